"""Rows of derivatives by transformations: the same programs for pullback, torch and JAX."""

from __future__ import annotations

from rows import repeat, row


def func_of(torch):
    import importlib

    return importlib.import_module(torch.__name__ + ".func")


def parameters(net):
    return {k: v.detach() for k, v in net.named_parameters()}


@row("Hessian, Rosenbrock of 50", 0.3, 0.1)
def rosenbrock_hessian(torch):
    h = func_of(torch).hessian(
        lambda x: (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum(),
    )
    x = torch.randn(50)
    return repeat(lambda: h(x), 10)


@row("gradients per sample, MLP 64-64-64-1, 256", 0.3, 0.2)
def gradients_per_sample(torch):
    func, nn = func_of(torch), torch.nn
    net = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
    p, x, y = parameters(net), torch.randn(256, 64), torch.randn(256, 1)

    def loss(p, x, y):
        return nn.functional.mse_loss(func.functional_call(net, p, (x,)), y)

    g = func.vmap(func.grad(loss), (None, 0, 0))
    return repeat(lambda: g(p, x, y), 5)


@row("physics-informed loss, 2-32-32-1, 256", 0.3, 0.2)
def physics_informed(torch):
    """Burgers' equation: u_t + u u_x - 0.01 u_xx at 256 points, and the loss's gradient by the parameters."""
    func, nn = func_of(torch), torch.nn
    net = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
    p, points = parameters(net), torch.rand(256, 2)

    def u(p, z):
        return func.functional_call(net, p, (z,)).squeeze()

    slope = func.grad(u, argnums=1)

    def residual(p, z):
        d, dd = slope(p, z), func.jacfwd(slope, argnums=1)(p, z)
        return d[1] + u(p, z) * d[0] - 0.01 * dd[0, 0]

    g = func.grad(lambda p: func.vmap(residual, (None, 0))(p, points).pow(2).mean())
    return repeat(lambda: g(p), 3)


@row("Jacobian, dense 100x100", 0.3, 0.2)
def dense_jacobian(torch):
    a, v = torch.randn(100, 100), torch.randn(100)
    j = func_of(torch).jacrev(lambda v: torch.tanh(a @ v) * v)
    return repeat(lambda: j(v), 10)
