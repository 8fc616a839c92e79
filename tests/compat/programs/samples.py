# Gradients sample by sample, clipped and noised; a stack of models at once.
import copy

import torch
from torch import nn
from torch.func import functional_call, grad, grad_and_value, stack_module_state, vmap

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
X = torch.randn(12, 5)
y = torch.randint(0, 3, (12,))
params = {k: v.detach() for k, v in model.named_parameters()}
buffers = {k: v.detach() for k, v in model.named_buffers()}


def loss_fn(params, buffers, sample, target):
    out = functional_call(model, (params, buffers), (sample.unsqueeze(0),))
    return nn.functional.cross_entropy(out, target.unsqueeze(0))


per, losses = vmap(grad_and_value(loss_fn), in_dims=(None, None, 0, 0))(params, buffers, X, y)
for k, g in per.items():
    print(k, g.shape)
print(losses)
ref = []
for i in range(12):
    l = nn.functional.cross_entropy(model(X[i : i + 1]), y[i : i + 1])
    ref.append(torch.autograd.grad(l, model.parameters()))
print([torch.allclose(a, torch.stack(b), atol=1e-6) for a, b in zip(per.values(), zip(*ref))])
norms = torch.sqrt(sum(g.flatten(1).pow(2).sum(1) for g in per.values()))
scale = (1.0 / (norms + 1e-6)).clamp(max=1.0)
print(norms, scale)
gen = torch.Generator()
gen.manual_seed(17)
for step in range(3):
    per = vmap(grad(loss_fn), in_dims=(None, None, 0, 0))(params, buffers, X, y)
    norms = torch.sqrt(sum(g.flatten(1).pow(2).sum(1) for g in per.values()))
    scale = (1.0 / (norms + 1e-6)).clamp(max=1.0)
    for k in params:
        g = torch.einsum("i,i...->...", scale, per[k])
        noise = torch.normal(0.0, 1.1, g.shape, generator=gen)
        params[k] = params[k] - 0.1 * (g + noise) / len(X)
    print(step, vmap(loss_fn, (None, None, 0, 0))(params, buffers, X, y).mean())
models = [nn.Linear(5, 2) for _ in range(3)]


p, b = stack_module_state(models)
base = copy.deepcopy(models[0])
print({k: v.shape for k, v in p.items()})
print(vmap(lambda p, b, x: functional_call(base, (p, b), (x,)), in_dims=(0, 0, None))(p, b, X).shape)
