"""Primitives from outside of the package: kernels in NumPy with rules like the built-in ones."""

import math

import numpy as np
import pytest

import pullback as torch
from pullback import extend
from pullback.checking.checks import CHECKS
from pullback.func import grad, hessian, jvp, not_vectorised, vmap
from pullback.primitives.registry import ops


@pytest.fixture(scope="module", autouse=True)
def primitives():
    """Declares the primitives of these tests, and takes them out of the registry again."""
    before = set(ops)
    declare()
    yield
    for name in set(ops) - before:
        del ops[name], extend._mine[name]


def declare():
    global scaled_product, running_sum, power_sum, min_and_max

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


# ---- check() ----


def test_a_right_rule_passes():
    row = extend.check(scaled_product)  # numbers are drawn, as for the package's own
    assert row.passed and row.failures == {}
    assert set(CHECKS) < set(row.outcomes)
    text = str(row)
    assert text.startswith("own_scaled_product (extension): passed\n") and "n/a (extension)" in text
    for check, outcome in row.outcomes.items():
        assert (outcome.error is None) == (check == "fused steps" or check.startswith("torch")), check
    assert extend.check(running_sum, points(4), points(3, 2)).passed
    assert extend.check(min_and_max, np.array([3.0, -1.0, 2.0]), torch.tensor([1.0, 5.0])).passed
    row = extend.check(power_sum, (points(3), 1.5), (points(2, 2), -2.0))
    assert row.passed and row.outcomes["second order"].error is not None


def test_wrong_rules_fail_where_they_are_wrong():
    @extend.elementwise("own_wrong_slope(Tensor x)", lambda g, x, out: 2 * g * x * x)
    def cube(x):
        return x**3

    row = extend.check(cube)
    assert not row.passed and row.outcomes["slope"].error > 0.1
    assert row.outcomes["transpose"].passed and "slope" in row.failures
    assert "own_wrong_slope (extension): FAILED" in repr(row) and "above 1e-07" in repr(row)

    @extend.elementwise("own_not_linear(Tensor x)", lambda g, x, out: g * g * x)
    def square(x):
        return x * x / 2

    assert "transpose" in extend.check(square).failures

    # Right by value, but what it is computed from does not depend on x any more.
    @extend.elementwise("own_wrong_second(Tensor x)", lambda g, x, out: g * torch.floor(x * 0 + 2))
    def doubled(x):
        return x * 2 + np.floor(x) * 0

    assert extend.check(doubled).passed

    @extend.kernel("own_failing_rule(Tensor x)", lambda g, v, out: g.no_such_op())
    def copied(x):
        return x.copy()

    row = extend.check(copied, points(3))
    assert row.outcomes["slope"].error == math.inf
    assert "AttributeError: a rule asked for 'no_such_op', which is no op" in str(row)

    @extend.linear("own_wrong_transpose(Tensor x)", lambda g, x: torch.cumsum(g, 0), samples=[np.arange(3.0)])
    def wrong_sum(x):
        return np.cumsum(x, 0)

    assert not extend.check(wrong_sum).outcomes["slope"].passed


def test_kernels_without_a_fixed_result_do_not_pass_for_the_same_bits():
    calls = []

    @extend.elementwise("own_counting(Tensor x)", lambda g, x, out: g)
    def counting(x):
        calls.append(x)
        return x + len(calls) * 1e-9

    row = extend.check(counting)
    assert row.outcomes["recorded path"].error > 0 and not row.outcomes["vmap"].passed


def test_what_cannot_be_checked():
    with pytest.raises(TypeError, match="is no primitive\nGive the function that elementwise"):
        extend.check(torch.sin)
    with pytest.raises(TypeError, match="is no primitive"):
        extend.check(len)

    @extend.kernel("own_many_parameters(Tensor x, int n)", lambda g, v, out: g * v[1])
    def times(x, n):
        return x * n

    with pytest.raises(
        ValueError, match="own_many_parameters: no arguments are known to check it with\nGive"
    ):
        extend.check(times)
    assert extend.check(times, (points(3), 4)).passed


RULES = {
    "squeeze_stack": lambda g: torch.squeeze(torch.stack([g]), 0),
    "einsum": lambda g: torch.einsum(
        "i...,i->...", torch.stack([g, g]), torch.stack([g.sum() * 0 + 0.5] * 2)
    ),
    "chunk": lambda g: torch.cat(torch.chunk(g, 2)),
    "split": lambda g: torch.cat(torch.split(g, 1)),
    "unbind": lambda g: torch.stack(torch.unbind(g)),
    "flip": lambda g: torch.flip(torch.flip(g, (0,)), (0,)),
    "squeeze": lambda g: torch.reshape(torch.squeeze(1 * g), g.shape),
    "diff": lambda g: torch.diff(torch.cumsum(g, 0), dim=0, prepend=0 * torch.narrow(g, 0, 0, 1)),
}


@pytest.mark.parametrize("way", RULES)
def test_rules_may_ask_for_the_sizes_of_what_they_compute(way):
    """What holds for the shapes of a backward's values is asked before there are any cotangents."""

    @extend.elementwise(f"own_cube_{way}(Tensor x)", lambda g, x, out: RULES[way](3 * g * x * x))
    def cube(x):
        return x**3

    def own(x):
        return (cube(x) * x.detach().sqrt()).sum()

    for shape in [(3,), (1,), (1, 3), (4, 1), (2, 2, 3), (3,)]:
        x = torch.arange(1.0, 1 + math.prod(shape), dtype=torch.float64).reshape(shape)
        weights = x.sqrt()
        assert torch.allclose(grad(own)(x), 3 * weights * x**2)
        assert torch.allclose(jvp(own, (x,), (weights,))[1], (3 * x**3).sum())
        expected = torch.diag((6 * weights * x).flatten())
        assert torch.allclose(hessian(own)(x).reshape(x.numel(), -1), expected)
        rows = torch.stack([x, 2 * x])
        assert torch.allclose(vmap(grad(own))(rows), 3 * rows.sqrt() * rows**2)
