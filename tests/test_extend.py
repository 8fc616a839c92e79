"""Primitives from outside of the package: kernels in NumPy with rules like the built-in ones."""

import numpy as np
import pytest

import pullback as torch
from pullback import extend
from pullback.func import grad, hessian, jvp, not_vectorised, vmap


@extend.elementwise(
    "own_scaled_product(Tensor a, Tensor b, float s=2.0)", lambda g, a, b, s, out: (g * b * s, g * a * s)
)
def scaled_product(a, b, s):
    return a * b * s


@extend.linear(
    "own_running_sum(Tensor x)", lambda g, x: torch.flip(torch.cumsum(torch.flip(g, (0,)), 0), (0,))
)
def running_sum(x):
    return np.cumsum(x, 0)


@extend.kernel(
    "own_power_sum(Tensor x, Scalar k)", lambda g, v, out: 2 * g * v[0] * v[1], shape=lambda s, k: ()
)
def power_sum(x, k):
    return np.array((x * x).sum() * k)


@extend.kernel(
    "own_min_and_max(Tensor x)",
    lambda gs, v, outs: sum(g * (v[0] == o) for g, o in zip(gs, outs, strict=True) if g is not None),
    shape=lambda s: [(), ()],
    outputs=2,
)
def min_and_max(x):
    return x.min(), x.max()


def points(*shape):
    torch.manual_seed(3)
    return torch.randn(*shape, dtype=torch.float64)


def test_values_gradients_and_broadcasting():
    a, b = points(3, 1).requires_grad_(), points(4).requires_grad_()
    out = scaled_product(a, b, s=3.0)
    assert torch.equal(out, a * b * 3.0)
    assert out.grad_fn.name() == "OwnScaledProductBackward0"
    ga, gb = torch.autograd.grad(out.sum(), (a, b))
    assert torch.allclose(ga, 3.0 * b.sum() * torch.ones_like(a)) and torch.allclose(
        gb, 3.0 * a.sum().expand(4)
    )
    assert torch.autograd.gradcheck(scaled_product, (a, b))
    assert torch.autograd.gradgradcheck(scaled_product, (a, b))


def test_forward_mode_higher_orders_and_batches():
    x = points(4)
    assert torch.equal(hessian(lambda v: power_sum(v, 2.0))(x), 4.0 * torch.eye(4, dtype=torch.float64))
    assert torch.allclose(jvp(running_sum, (x,), (x,))[1], x.cumsum(0))
    rows = points(3, 4)
    with not_vectorised() as report:
        assert torch.equal(vmap(scaled_product)(rows, rows), 2.0 * rows * rows)
    assert report == []
    assert torch.equal(vmap(running_sum)(rows), rows.cumsum(1))
    assert torch.allclose(vmap(grad(lambda v: power_sum(v, 1.5)))(rows), 3.0 * rows)


def test_several_results():
    x = points(5).requires_grad_()
    low, high = min_and_max(x)
    (g,) = torch.autograd.grad(high - low, x)
    assert g.tolist() == [(v == high).item() - (v == low).item() * 1.0 for v in x]


def test_a_kernel_may_keep_its_arguments():
    kept = []

    @extend.elementwise("own_keeper(Tensor x)", lambda g, x, out: g)
    def keeper(x):
        kept.append(x)
        return x.copy()

    x = points(1000)
    keeper(x)
    before = x.tolist()
    del x
    assert kept[0].tolist() == before


def test_a_wrong_or_failing_kernel_leaves_everything_usable():
    @extend.elementwise("own_wrong_shape(Tensor x)", lambda g, x, out: g)
    def wrong(x):
        return x[:1]

    @extend.elementwise("own_failing(Tensor x)", lambda g, x, out: g)
    def failing(x):
        raise ZeroDivisionError("by hand")

    @extend.kernel("own_too_many(Tensor x)", None)
    def too_many(x):
        return x, x

    x = points(3)
    with pytest.raises(
        ValueError, match=r"the kernel gave an array of shape \(1,\), and \(3,\) was declared"
    ):
        wrong(x)
    with pytest.raises(ZeroDivisionError, match="by hand"):
        failing(x)
    with pytest.raises(ValueError, match="the kernel gave 2 results, and 1 were declared"):
        too_many(x)
    assert torch.equal(scaled_product(x, x), 2.0 * x * x)


def test_declarations_are_checked():
    with pytest.raises(ValueError, match="the op own_running_sum is declared twice"):
        extend.linear("own_running_sum(Tensor x)")(lambda x: x)
    with pytest.raises(TypeError, match="a primitive's first parameter must be a Tensor"):
        extend.kernel("own_first(float x)")(lambda x: x)
    with pytest.raises(TypeError, match="is neither one Tensor nor one number"):
        extend.kernel("own_list(Tensor x, Tensor[] more)")(lambda x: x)
    assert {"own_running_sum", "own_power_sum"} <= set(extend.primitive_names())
