# Requires: torch_ema
# Laplace-style code: Hessians and Gauss-Newton matrices of a small network from autograd.grad alone.
import math

import torch
import torch.nn as nn

torch.manual_seed(0)
torch.set_printoptions(precision=6, sci_mode=False)
model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1)).double()
x, y = torch.rand(10, 2, dtype=torch.float64), torch.rand(10, 1, dtype=torch.float64)
params = list(model.parameters())


def flat(tensors):
    return torch.cat([t.contiguous().view(-1) for t in tensors])


loss = nn.functional.mse_loss(model(x), y, reduction="sum")
gradient = flat(torch.autograd.grad(loss, params, create_graph=True))
rows = [flat(torch.autograd.grad(g, params, retain_graph=True, allow_unused=False)) for g in gradient]
hessian = torch.stack(rows)
print(hessian.shape, torch.allclose(hessian, hessian.T), hessian.diagonal())
batched = torch.autograd.grad(
    gradient, params, torch.eye(len(gradient), dtype=torch.float64), is_grads_batched=True, retain_graph=True
)
print(torch.allclose(torch.cat([b.reshape(len(gradient), -1) for b in batched], 1), hessian))
jacobian = torch.stack([flat(torch.autograd.grad(o, params, retain_graph=True)) for o in model(x).squeeze(1)])
ggn = 2 * jacobian.T @ jacobian
print(ggn.diagonal(), torch.einsum("ni,nj->ij", jacobian, jacobian).trace())
# Largest eigenvalue by power iteration on Hessian-vector products.
v = torch.ones_like(gradient) / math.sqrt(len(gradient))
for _ in range(50):
    hv = flat(torch.autograd.grad(gradient @ v.detach(), params, retain_graph=True))
    v = hv / hv.norm()
print(f"{(v @ hv).item():.8f}")
probes = torch.randint(0, 2, (200, len(gradient)), dtype=torch.float64) * 2 - 1
products = [flat(torch.autograd.grad(gradient, params, p, retain_graph=True)) for p in probes]
print(f"{torch.stack(products).mul(probes).sum(1).mean().item():.6f} {hessian.trace().item():.6f}")
