"""A user's autograd.Function inside vmap and forward mode."""

import pytest

import pullback as torch
from pullback.func import grad, hessian, jvp, not_vectorised, vmap


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x * x * g

    @staticmethod
    def jvp(ctx, t):
        (x,) = ctx.saved_tensors
        return 3 * x * x * t


class ScaledCube(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x, w):
        return x**3 * w

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return 3 * x * x * g * w, x**3 * g


class RuledCube(torch.autograd.Function):
    seen = None

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x)
        return x**3 + y

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x * x * g, g

    @staticmethod
    def vmap(info, in_dims, x, y):
        RuledCube.seen = (info.batch_size, info.randomness, in_dims)
        x = x if in_dims[0] is None else x.movedim(in_dims[0], 0)
        return RuledCube.apply(x, y), 0


class NoRules(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2


def rows():
    torch.manual_seed(0)
    return torch.randn(4, 3, dtype=torch.float64)


def test_forward_mode_by_its_own_jvp():
    x = rows()[0]
    value, dot = jvp(Cube.apply, (x,), (torch.ones_like(x),))
    assert torch.equal(value, x**3) and torch.allclose(dot, 3 * x * x)
    assert torch.allclose(grad(lambda v: jvp(Cube.apply, (v,), (torch.ones_like(v),))[1].sum())(x), 6 * x)
    assert torch.allclose(hessian(lambda v: Cube.apply(v).sum())(x).diag(), 6 * x)


def test_forward_mode_without_jvp_is_refused():
    x = rows()[0]
    with pytest.raises(
        NotImplementedError, match=r"You must implement the jvp function for custom autograd.Function"
    ):
        jvp(NoRules.apply, (x,), (x,))
    assert torch.equal(NoRules.apply(x), 2 * x)


def test_without_a_rule_it_runs_sample_by_sample():
    x = rows()
    with not_vectorised() as report:
        assert torch.equal(vmap(Cube.apply)(x), x**3)
        assert torch.allclose(vmap(grad(lambda v: Cube.apply(v).sum()))(x), 3 * x**2)
    assert all(line.startswith("Cube was run sample by sample") for line in report) and report


def test_a_generated_rule():
    x, w = rows(), rows()[1]
    with not_vectorised() as report:
        assert torch.allclose(vmap(ScaledCube.apply, (0, None))(x, w), x**3 * w)
        per_sample = vmap(grad(lambda v, s: ScaledCube.apply(v, s).sum(), argnums=(0, 1)), (0, None))(x, w)
        assert torch.allclose(per_sample[0], 3 * x**2 * w) and torch.allclose(per_sample[1], x**3)
        total = grad(lambda s: vmap(ScaledCube.apply, (0, None))(x, s).sum())(w)
        assert torch.allclose(total, (x**3).sum(0))
    assert report == []


def test_its_own_rule():
    x = rows()
    with not_vectorised() as report:
        assert torch.allclose(
            vmap(RuledCube.apply, (1, None))(x, torch.zeros(4, dtype=torch.float64)), (x**3).T
        )
        assert RuledCube.seen == (3, "error", (0, None))
    assert report == []


def test_both_rules_are_ambiguous():
    class Both(RuledCube):
        generate_vmap_rule = True

    with pytest.raises(
        RuntimeError, match="You tried to vmap over Both, but it has both generate_vmap_rule=True"
    ):
        vmap(Both.apply, (0, None))(rows(), rows()[0])


def test_a_rule_must_give_out_dims():
    class Bare(RuledCube):
        @staticmethod
        def vmap(info, in_dims, x, y):
            return x

    with pytest.raises(RuntimeError, match=r"must return a tuple of \(output, out_dims\)"):
        vmap(Bare.apply, (0, None))(rows(), rows()[0])
