"""erfinv against erf and erfc, renorm against its definition, and both with gradients."""

import math

import pytest

import pullback as torch
from pullback.autograd import gradcheck, gradgradcheck

DOUBLE = torch.float64


def test_erfinv_is_the_inverse():
    x = torch.linspace(-0.999, 0.999, 4001, dtype=DOUBLE)
    assert (torch.erf(torch.erfinv(x)) - x).abs().max() < 4e-16
    gap = 10 ** -torch.linspace(1, 15, 200, dtype=DOUBLE)
    gap = 1 - (1 - gap)  # as the numbers near 1 have it
    assert (torch.erfc(torch.erfinv(1 - gap)) / gap - 1).abs().max() < 1e-13
    tiny = 10 ** -torch.linspace(1, 300, 200, dtype=DOUBLE)
    close = (torch.erfinv(tiny[20:]) / tiny[20:] - math.sqrt(math.pi) / 2).abs().max()
    assert close < 4e-16


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_erfinv_at_its_edges(dtype):
    x = torch.tensor([0.0, -0.0, 1.0, -1.0, 2.0, torch.nan], dtype=dtype)
    y = x.erfinv()
    assert y[:4].tolist() == [0.0, 0.0, math.inf, -math.inf] and y[4:].isnan().all() and y.dtype == dtype
    assert y[:2].signbit().tolist() == [False, True]
    assert x.erfinv_() is x and x[:4].equal(y[:4])
    assert torch.erfinv(torch.tensor([0, 1])).tolist() == [0.0, math.inf]


def test_renorm():
    x = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], dtype=DOUBLE)
    factor = 1 / (5 + 1e-7)
    assert torch.renorm(x, 2, 0, 1).equal(x * torch.tensor([[factor], [1.0], [1.0]], dtype=DOUBLE))
    assert x.renorm(1, -1, 100).equal(x)
    cube = torch.arange(8.0).reshape(2, 2, 2)
    for p in (0.5, 1, 2, 3, math.inf):
        norms = cube.renorm(p, 1, 3).movedim(1, 0).reshape(2, -1).norm(p, 1)
        assert (norms < 3.00001).all() and norms[1] > 2.99
    y = x.clone()
    assert y.renorm_(2, 0, 1) is y and y.equal(x.renorm(2, 0, 1))


def test_gradients():
    x = torch.tensor([[3.0, 4.0], [0.3, 0.5], [1.0, -2.0]], dtype=DOUBLE, requires_grad=True)
    for p, dim in ((1, 0), (2, 0), (2, 1), (3, -1)):
        call = lambda t, p=p, dim=dim: t.renorm(p, dim, 1.0)  # noqa: E731
        assert gradcheck(call, (x,)) and gradgradcheck(call, (x,))
    u = torch.linspace(-0.9, 0.9, 7, dtype=DOUBLE).requires_grad_()
    assert gradcheck(torch.erfinv, (u,)) and gradgradcheck(torch.erfinv, (u,))


@pytest.mark.parametrize(
    "call, kind, text",
    [
        (
            lambda: torch.ones(3).renorm(2, 0, 1),
            RuntimeError,
            "renorm: input needs at least 2 dimensions, got 1 ",
        ),
        (lambda: torch.ones(3, 2).renorm(0, 0, 1), RuntimeError, "renorm: non-positive-norm not supported"),
        (
            lambda: torch.ones(3, 2).renorm(2, 0, -1),
            RuntimeError,
            "renorm: expected maxnorm to be >= 0 but got -1",
        ),
        (
            lambda: torch.ones(3, 2).renorm(2, 5, 1),
            IndexError,
            "Dimension out of range (expected to be in range of",
        ),
        (
            lambda: torch.ones(3, 2).renorm(2, 0),
            TypeError,
            'renorm() missing 1 required positional arguments: "max',
        ),
    ],
)
def test_what_renorm_refuses(call, kind, text):
    with pytest.raises(kind) as e:
        call()
    assert str(e.value).startswith(text)
