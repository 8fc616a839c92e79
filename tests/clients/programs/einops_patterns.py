# Requires: einops
# Rearranging, reducing, repeating, packing, einsum and layers, with gradients.
import torch
import torch.nn as nn
from einops import asnumpy, einsum, pack, parse_shape, rearrange, reduce, repeat, unpack
from einops.layers.torch import EinMix, Rearrange, Reduce

torch.manual_seed(0)
x = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).reshape(2, 3, 4, 5).requires_grad_()
for pattern, sizes in (
    ("b c h w -> b h w c", {}),
    ("b c h w -> b (c h w)", {}),
    ("b c (h h2) w -> (b h2) c h w", {"h2": 2}),
    ("b c h w -> h (b w) c", {}),
    ("b ... w -> w ... b", {}),
    ("b c h w -> b c h w 1", {}),
):
    y = rearrange(x, pattern, **sizes)
    print(pattern, tuple(y.shape), y.flatten()[:4].tolist(), y.grad_fn is not None)
for how in ("sum", "mean", "max", "min", "prod"):
    y = reduce(x / 100 + 0.5, "b c (h h2) (w w2) -> b h w", how, h2=2, w2=5)
    print(how, tuple(y.shape), [f"{v:.4f}" for v in y.flatten().tolist()])
    (g,) = torch.autograd.grad(y.sum(), x)
    print([f"{v:.5f}" for v in g.flatten()[:6].tolist()])
mask = torch.arange(6).reshape(2, 3) > 2
print(reduce(mask, "a b -> a", "any"), reduce(mask, "a b -> b", "all"))
print(
    repeat(torch.arange(3), "n -> n k", k=2).tolist(), repeat(x[0, 0, :2, :2], "h w -> (h 2) (w 2)").tolist()
)
packed, ps = pack([torch.ones(2, 3), torch.zeros(2), torch.ones(2, 2, 2)], "b *")
print(packed.shape, ps, [tuple(t.shape) for t in unpack(packed, ps, "b *")])
print(einsum(x, torch.ones(3, 2), "b c h w, c d -> b d h w").sum((1, 2)).tolist())
print(parse_shape(x, "b c _ w"), asnumpy(x.detach()).sum())
print(rearrange([torch.ones(2), torch.zeros(2)], "k n -> n k").tolist())
net = nn.Sequential(
    Rearrange("b c h w -> b (c h w)"),
    nn.Linear(60, 12),
    Rearrange("b (n k) -> b n k", n=3),
    Reduce("b n k -> b k", "mean"),
)
print(net)
out = net(x / 100)
out.sum().backward()
print(out.shape, out.flatten()[:4], x.grad.sum())
mix = EinMix("b c h w -> b h w d", weight_shape="c d", bias_shape="d", c=3, d=2)
print(mix, mix(x.detach()).shape, sum(p.numel() for p in mix.parameters()))
try:
    rearrange(x, "b c h -> b c h")
except Exception as e:
    print(type(e).__name__, str(e).splitlines()[0])
