"""One derivative after the other, until nothing is left, and the names that grad_fn shows on the way."""

import torch

F = torch.nn.functional


def chain(name, f, orders):
    x = torch.tensor(2.0, requires_grad=True)
    y = f(x)
    print(name, y)
    for order in range(1, orders + 1):
        (y,) = torch.autograd.grad(y, x, create_graph=True)
        print(f"  {order}: {y}, depends on x: {y.requires_grad}")


chain("cube", lambda x: x**3, 4)
chain("square", lambda x: x**2, 3)
chain("line", lambda x: x**1, 2)
chain("torch.square", torch.square, 3)
chain("quadratic", lambda x: 3 * x**2 + 2 * x + 1, 2)
chain("power", lambda x: x**2.5, 5)
chain("inverse", lambda x: 1 / x, 4)
chain("sine", torch.sin, 5)
chain("exp", torch.exp, 3)
chain("log", torch.log, 4)
chain("root", torch.sqrt, 3)
chain("absolute", torch.abs, 1)

x = torch.zeros(1, requires_grad=True)
y = x**4
for _ in range(5):
    (y,) = torch.autograd.grad(y.sum(), x, create_graph=True)
print([v + 0.0 for v in y.tolist()])

x = torch.arange(1.0, 7.0).view(2, 3).requires_grad_()
for f in (
    torch.tanh, torch.sigmoid, torch.relu, F.gelu, F.elu, F.leaky_relu, F.softplus, F.logsigmoid, F.hardtanh,
    F.silu, F.mish, torch.cos, torch.rsqrt, torch.erf, torch.atan, torch.log1p, torch.lgamma, torch.norm,
    torch.var, torch.cosh, lambda x: x.softmax(1), lambda x: x.log_softmax(1), lambda x: x.logsumexp(1),
    lambda x: F.layer_norm(x, (3,)), lambda x: F.mse_loss(x, torch.zeros(2, 3)), lambda x: x[0] ** 2,
    lambda x: F.cross_entropy(x, torch.tensor([0, 1])), lambda x: torch.cat([x, x]) ** 2, lambda x: x @ x.T,
):  # fmt: skip
    y = f(x)
    (g,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    print(y.grad_fn.name(), "->", g.grad_fn.name())

weight = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
for other in (torch.ones(2, 3), torch.ones(3)):
    (g,) = torch.autograd.grad((torch.sin(weight * other) ** 2).sum(), weight, create_graph=True)
    print(g)
