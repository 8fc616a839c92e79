"""The pullback of vjp(), called inside of transformations that were opened after it."""

import pytest

import pullback as torch
from pullback.func import grad, jacfwd, jacrev, vjp, vmap

X = torch.tensor([0.5, -1.2, 0.8], dtype=torch.float64)


def hooked(x):
    y = x.sin()
    y.register_hook(lambda g: g * g)
    return y * x


def plain(x):
    return x.sin() * x


@pytest.mark.parametrize("f", [plain, hooked])
def test_gradients_pass_through_a_pullback(f):
    pull = vjp(f, X)[1]

    def expected(z):  # the same without vjp
        g = (z * X) ** 2 if f is hooked else z * X
        return g * X.cos() + z * X.sin()

    total = torch.ones_like(X)
    for z in (X, X * 3):
        wanted = grad(lambda z: expected(z * z).sum())(z)
        assert torch.allclose(grad(lambda z: pull(z * z)[0].sum())(z), wanted)
        assert torch.allclose(jacrev(lambda z: pull(z * z)[0])(z), torch.diag(wanted))
        assert torch.allclose(jacfwd(lambda z: pull(z * z)[0])(z), torch.diag(wanted))
        samples = torch.stack([z, z])
        assert torch.allclose(vmap(grad(lambda z: pull(z * z)[0].sum()))(samples), torch.stack([wanted] * 2))
        assert torch.allclose(vjp(lambda z: pull(z * z)[0], z)[1](total)[0], wanted)


def test_nothing_is_left_on_the_tape():
    pull = vjp(plain, X)[1]
    assert not pull(X)[0].requires_grad
    assert not grad(lambda z: pull(z * z)[0].sum())(X).requires_grad
    constant = grad(lambda z: (pull(X)[0] * z).sum())(X)
    assert torch.allclose(constant, pull(X)[0])
