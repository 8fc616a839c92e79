"""Derivatives of gradients in forward mode, alone and among other transformations; what their tests share."""

import pullback as torch
from pullback.func import grad, jacfwd, jacrev, jvp, vjp, vmap

X = torch.tensor([0.3, -1.2, 0.7], dtype=torch.float64)
T = torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)
W = torch.tensor([1.1, 0.4, -0.6], dtype=torch.float64)


def square(g):
    return g * g


def close(a, b):
    return torch.allclose(a, b, rtol=1e-10, atol=1e-12)


def along(g):
    return lambda x: jvp(g, (x,), (T,))[1]


ORDERS = {
    "jvp": along,
    "jacfwd": jacfwd,
    "jvp jvp": lambda g: along(along(g)),
    "jvp jvp jvp": lambda g: along(along(along(g))),
    "jacfwd jacrev": lambda g: jacfwd(jacrev(g)),
    "jacrev jacfwd": lambda g: jacrev(jacfwd(g)),
    "jacfwd jacfwd": lambda g: jacfwd(jacfwd(g)),
    "jvp of a vmap": lambda g: along(lambda x: vmap(g)(torch.stack([x, x * x])).sum(0)),
    "vmap of a jvp": lambda g: lambda x: vmap(along(g))(torch.stack([x, x * x])),
    "grad of a jvp": lambda g: grad(lambda x: along(g)(x).sin().sum()),
}


def result(f, x, at):
    """Hooks on both sides of f, and on its result."""
    u = x.sin()
    at(u)
    y = f(u)
    at(y)
    return (y * y * x).sum()


def by_hand(f, x, hook):
    """Its gradient; f without hooks inside."""
    u, pull_u = vjp(torch.sin, x)
    y, pull_y = vjp(f, u)
    return pull_u(hook(pull_y(hook(2 * y * x))[0]))[0] + y * y
