"""Derivatives that torch 2.13 gets wrong: see docs/beyond_torch.md."""

import math

import pytest

import pullback as torch
import pullback.autograd.forward_ad as fwAD
from pullback.func import grad, hessian, jacfwd, jacrev, jvp, linearize, vjp


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_the_second_derivative_of_sinc_at_zero():
    assert grad(grad(torch.sinc))(torch.tensor(0.0, dtype=torch.float64)).item() == pytest.approx(
        -(math.pi**2) / 3
    )


def test_ldexp_with_negative_exponents():
    g = grad(lambda x: torch.ldexp(x, torch.tensor(-2)).sum())(numbers(1.0, 2.0))
    assert g.tolist() == [0.25, 0.25]


def scattered(x, start):
    return start.scatter_reduce(0, torch.tensor([0] * x.numel()), x, "prod")


def test_products_by_scattering_with_a_zero():
    one = numbers(1.0)
    second = hessian(lambda x: scattered(x, one).sum())(numbers(0.0, 2.0, 3.0))
    assert second.tolist() == [[0.0, 3.0, 2.0], [3.0, 0.0, 0.0], [2.0, 0.0, 0.0]]
    _, dot = jvp(lambda x: scattered(x, one), (numbers(0.0, 2.0),), (numbers(1.0, 1.0),))
    assert dot.tolist() == [2.0]


def test_logcumsumexp_from_minus_infinity():
    _, dot = jvp(lambda x: torch.logcumsumexp(x, 0), (numbers(-math.inf, 1.0),), (numbers(1.0, 1.0),))
    assert dot.tolist() == [1.0, 1.0]


def test_atan2_at_the_origin():
    """Torch gives 0 for the first derivative, and nan for the second."""
    g = grad(lambda x: torch.atan2(x, 0 * x).sum())
    assert g(numbers(0.0)).tolist() == [0.0]
    assert grad(lambda x: g(x).sum())(numbers(0.0)).tolist() == [0.0]


def nested(f, x, order):
    """The derivatives along changing directions, by each way of nesting forward and reverse mode."""
    for t in order:
        f = t(f)
    return f(x)


def along(f):
    return lambda x: jvp(f, (x,), (x * 0.7 + 0.1,))[1]


def pulled(f):
    return lambda x: vjp(f, x)[1](x * 0.3 + 1)[0]


@pytest.mark.parametrize("order", [(along, along), (along,) * 3, (pulled,) * 3, (pulled, along, pulled)])
def test_layer_norm_and_logcumsumexp(order):
    """As the same formulas in ordinary arithmetic."""
    x = numbers(-1.0, 0.5, 1.25, 2.0)
    norm = lambda x: (x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt()  # noqa: E731
    sums = lambda x: x.exp().cumsum(0).log()  # noqa: E731
    for ours, formula in (
        (lambda x: torch.nn.functional.layer_norm(x, (4,)), norm),
        (lambda x: x.logcumsumexp(0), sums),
    ):
        got, expected = nested(ours, x, order), nested(formula, x, order)
        assert torch.allclose(got, expected, rtol=1e-8, atol=1e-9), (got, expected)


def test_third_derivatives_of_batch_norm():
    x = numbers((0.3, 1.0), (2.0, -1.0), (0.5, 0.7))
    weight, along_ = (
        numbers((1.0, 2.0), (-1.0, 0.5), (0.3, 1.0)),
        numbers((1.0, -0.5), (0.2, 0.3), (-0.7, 1.0)),
    )
    formula = lambda x: (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()  # noqa: E731
    normed = lambda x: torch.nn.functional.batch_norm(x, None, None, training=True)  # noqa: E731

    def third(norm):
        def derivative(f):
            return lambda x: (grad(f)(x) * along_).sum()

        return derivative(derivative(derivative(lambda x: (norm(x) * weight).sum())))(x).item()

    assert third(normed) == pytest.approx(third(formula)) == pytest.approx(-0.170757581)


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x * x * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g):
        return 3 * ctx.saved_tensors[0] ** 2 * g

    @staticmethod
    def jvp(ctx, t):
        return 3 * ctx.saved_tensors[0] ** 2 * t


def test_nested_jvp_of_a_users_function():
    x, one = torch.tensor(2.0), torch.tensor(1.0)
    assert jvp(lambda x: jvp(Cube.apply, (x,), (one,))[1], (x,), (one,))[1].item() == 12
    assert jacfwd(jacfwd(Cube.apply))(x).item() == jacfwd(jacrev(Cube.apply))(x).item() == 12


def test_nested_linearize():
    x, one = torch.tensor(2.0), torch.tensor(1.0)
    slope = lambda x: linearize(lambda y: y**3, x)[1](one)  # noqa: E731
    assert (
        grad(slope)(x).item()
        == jvp(slope, (x,), (one,))[1].item()
        == linearize(slope, x)[1](one).item()
        == 12
    )
    assert not linearize(torch.sin, x)[1](one).requires_grad


def test_the_tangent_of_a_first_accumulated_gradient():
    with fwAD.dual_level():
        x = numbers(1.0, 2.0).requires_grad_()
        y = fwAD.make_dual(x, numbers(1.0, -1.0)) ** 3
        for times in (1, 2):
            y.sum().backward(retain_graph=True)
            value, tangent = fwAD.unpack_dual(x.grad)
            assert value.tolist() == [3 * times, 12 * times] and tangent.tolist() == [6 * times, -12 * times]


def test_gradients_of_functions_that_save_what_they_made():
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(x):
            return x * x

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(inputs[0] * 2)
            ctx.save_for_forward(inputs[0])

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]

        @staticmethod
        def jvp(ctx, t):
            return 2 * t * ctx.saved_tensors[0]

    x = torch.tensor(3.0)
    assert torch.func.jvp(torch.func.grad(lambda x: Square.apply(x) ** 2), (x,), (x,))[1] == 12 * 3**2 * 3
