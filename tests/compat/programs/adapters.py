# Low-rank adapters on frozen layers, and a mixture of experts.
import copy

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)


class LoRA(nn.Module):
    def __init__(self, base, r=2, alpha=4):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.randn(r, base.in_features) / r)
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.scale = alpha / r

    def forward(self, x):
        return self.base(x) + x @ self.A.T @ self.B.T * self.scale

    def extra_repr(self):
        return f"rank={self.A.shape[0]}, scale={self.scale}"


def swap(m):
    for n, c in list(m.named_children()):
        if isinstance(c, nn.Linear):
            setattr(m, n, LoRA(c))
        else:
            swap(c)
    return m


net = swap(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 2))))
print(net)
tr = sum(p.numel() for p in net.parameters() if p.requires_grad)
al = sum(p.numel() for p in net.parameters())
print(f"trainable params: {tr} || all params: {al} || trainable%: {100 * tr / al:.2f}")
x = torch.randn(16, 4)
y = torch.randint(0, 2, (16,))
o = torch.optim.AdamW(filter(lambda p: p.requires_grad, net.parameters()), lr=0.05)
w = net[0].base.weight.clone()
for i in range(20):
    l = F.cross_entropy(net(x), y)
    o.zero_grad()
    l.backward()
    o.step()
print(
    f"{l.item():.4f}",
    torch.equal(w, net[0].base.weight),
    net[0].base.weight.grad,
    [n for n, p in net.named_parameters() if p.grad is None],
)


class MoE(nn.Module):
    def __init__(self, d, E=4, k=2):
        super().__init__()
        self.gate = nn.Linear(d, E)
        self.experts = nn.ModuleList([nn.Linear(d, d) for _ in range(E)])
        self.k = k

    def forward(self, x):
        w, idx = self.gate(x).softmax(-1).topk(self.k)
        w = w / w.sum(-1, keepdim=True)
        out = torch.zeros_like(x)
        for e, ex in enumerate(self.experts):
            tok, slot = torch.where(idx == e)
            if len(tok):
                out.index_add_(0, tok, w[tok, slot, None] * ex(x[tok]))
        load = F.one_hot(idx, len(self.experts)).sum((0, 1))
        return out, load


m = MoE(4)
out, load = m(x)
print(load, out[0])
(out**2).mean().backward()
print([round(e.weight.grad.abs().sum().item(), 4) if e.weight.grad is not None else None for e in m.experts])
print(m)
frozen = copy.deepcopy(net).eval().requires_grad_(False)
print(any(p.requires_grad for p in frozen.parameters()), frozen.training, net.training)
