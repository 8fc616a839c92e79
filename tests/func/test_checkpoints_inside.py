"""Checkpoints inside transformations: run again with what was open then, whether or not it was closed since.

torch.func refuses them: what comes out is that of the function without a checkpoint.
"""

import pytest
from forward_orders import ORDERS, T, W, X, along, close

import pullback as torch
import pullback.autograd.forward_ad as fwAD
from pullback.func import grad, jacfwd, jacrev, jvp, vjp, vmap
from pullback.utils.checkpoint import checkpoint


def f(x):
    return (x * 2).sin() * x.exp()


def looks(x):
    return x.sin() if x.sum() > 0 else x.exp() * x


def nested(x):
    return grad(lambda z: (z.sin() * z * x).sum())(x) * x


def batches(x):
    return vmap(lambda k: jvp(lambda z: z.sin() * k * x, (x,), (x * x,))[1])(torch.stack([T, W])).sum(0)


def within(f):
    return lambda x: checkpoint(f, x, use_reentrant=False)


FUNCTIONS = {"f": f, "looks": looks, "nested": nested, "batches": batches}
MORE = {
    "vmap": lambda g: lambda x: vmap(g)(torch.stack([x, x * x])),
    "vmap vmap": lambda g: lambda x: vmap(vmap(g))(torch.stack([x, x * x])[None]),
    "jvp": along,
    "jacfwd": jacfwd,
    "vmap jvp": lambda g: lambda x: vmap(along(g))(torch.stack([x, x * x])),
    "jvp vmap": lambda g: along(lambda x: vmap(g)(torch.stack([x, x * x]))),
    "jacrev": jacrev,
}


@pytest.mark.parametrize("inner", MORE)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_way_back_after_the_levels_were_closed(name, inner):
    g, plain = MORE[inner](within(FUNCTIONS[name])), MORE[inner](FUNCTIONS[name])
    assert close(grad(lambda x: (g(x) ** 2).sum())(X), grad(lambda x: (plain(x) ** 2).sum())(X))
    assert close(jacrev(g)(X), jacrev(plain)(X))
    assert close(hessian_of(g)(X), hessian_of(plain)(X))
    x, y = (X.clone().requires_grad_() for _ in range(2))
    g(x).sum().backward()
    plain(y).sum().backward()
    assert close(x.grad, y.grad)


def hessian_of(g):
    return jacrev(jacrev(g))


@pytest.mark.parametrize("order", ORDERS)
def test_orders(order):
    a, b = (ORDERS[order](grad(lambda x, g=g: (g(x) * x).sum()))(X) for g in (within(f), f))
    assert close(a, b)


def test_levels_by_hand():
    def gradient(g):
        x = X.clone().requires_grad_()
        with fwAD.dual_level():
            tangent = fwAD.unpack_dual(g(fwAD.make_dual(x, T))).tangent
        tangent.sum().backward()
        return x.grad

    assert close(gradient(within(f)), gradient(f))


def test_what_the_function_takes_from_around_it():
    def along_closure(g):
        def inner(x):
            d = x * x
            return g(lambda u: u * d)(x)

        return jacrev(along(inner))(X)

    assert close(along_closure(within), along_closure(lambda f: f))


def test_random_numbers_of_each_sample():
    def kept(g):
        torch.manual_seed(5)
        rows = torch.ones(4, 8, requires_grad=True)
        y = vmap(g, randomness="different")(rows)
        y.sum().backward()
        return y.detach(), rows.grad

    values, gradient = kept(within(lambda x: torch.nn.functional.dropout(x, 0.5)))
    assert torch.equal(values, gradient) and len({tuple(r.tolist()) for r in values}) > 1
    assert torch.equal(values, kept(lambda x: torch.nn.functional.dropout(x, 0.5))[0])


def test_all_is_closed_again():
    seen = []

    def g(x):
        seen.append(x)
        return f(x)

    y, pull = vjp(lambda x: vmap(within(g))(x), torch.stack([X, T]))
    pull(torch.ones_like(y))
    assert len(seen) == 2
    for x in seen:
        with pytest.raises(RuntimeError, match="made inside vmap is used outside"):
            x.sin()

    def fails(x):
        seen.append(x)
        if len(seen) == 4:
            raise ValueError("no")
        return f(x)

    y, pull = vjp(lambda x: vmap(within(fails))(x), torch.stack([X, T]))
    with pytest.raises(ValueError, match="no"):
        pull(torch.ones_like(y))
    with pytest.raises(RuntimeError, match="made inside vmap is used outside"):
        seen[-1].sin()
