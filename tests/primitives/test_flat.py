"""Step functions pass no cotangent: no nan comes back from behind them, as in PyTorch."""

import pytest

import pullback as torch
from pullback.func import grad, hessian, jvp, vmap

inf, nan = float("inf"), float("nan")
STEPS = {
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "round to": lambda x: torch.round(x, decimals=1),
    "trunc": torch.trunc,
    "sign": torch.sign,
    "sgn": torch.sgn,
    "div trunc": lambda x: torch.div(x, 2.0, rounding_mode="trunc"),
    "div floor": lambda x: torch.div(x, 2.0, rounding_mode="floor"),
    "by x, trunc": lambda x: torch.div(torch.tensor(2.0), x, rounding_mode="trunc"),
    "by x, floor": lambda x: torch.div(2.0 * torch.ones(3), x, rounding_mode="floor"),
    "floor_divide": lambda x: x // 2,
}


@pytest.mark.parametrize("name", STEPS)
def test_nothing_comes_back_through_a_step(name):
    step = STEPS[name]
    x = torch.tensor([-1.5, 0.0, 2.0], requires_grad=True)
    (g,) = torch.autograd.grad(step(x).sqrt().sum(), x)
    assert g.tolist() == [0, 0, 0] and not torch.signbit(g).any()
    for cotangent in (1.0, inf, -inf, nan):
        (g,) = torch.autograd.grad(step(x), x, torch.full((3,), cotangent), create_graph=True)
        assert g.tolist() == [0, 0, 0]
    values = x.detach()
    assert jvp(step, (values,), (torch.tensor([nan, inf, 1.0]),))[1].tolist() == [0, 0, 0]
    two = torch.stack([values, values + 1])
    assert vmap(grad(lambda x: step(x).sqrt().sum()))(two).tolist() == [[0, 0, 0]] * 2
    plain = torch.tensor([1.5, 2.5, -3.5])
    assert hessian(lambda x: (step(x) * x).sum())(plain).abs().sum().item() == 0


def test_powers_of_zero():
    x = torch.tensor([-1.5, 0.0, -0.0, 2.0, inf], requires_grad=True)
    for cotangent in (1.0, inf, nan):
        (g,) = torch.autograd.grad(torch.pow(0, x), x, torch.full((5,), cotangent))
        assert g.tolist()[1:] == [0, 0, 0, 0]
    x = x[:4].detach().requires_grad_()
    y = torch.pow(2.0, x)
    assert y.grad_fn._saved_exponent.tolist() == x.tolist()  # as in torch
    (g,) = torch.autograd.grad(y[1:].sum(), x)
    assert g.tolist() == pytest.approx([0, 0.6931472, 0.6931472, 2.7725887])


def test_remainders_of_infinite_divisors():
    y = torch.tensor([-inf, inf, -2.0], requires_grad=True)
    (g,) = torch.autograd.grad(torch.remainder(torch.tensor(3.0), y).sum(), y)
    assert g.tolist() == [1, 0, 2]


def test_relu_passes_where_it_is_not_a_number():
    x = torch.tensor([nan, -1.0, 0.0, 2.0], requires_grad=True)
    (g,) = torch.autograd.grad(torch.relu(x).sum(), x)
    assert g.tolist() == [1, 0, 0, 1]
