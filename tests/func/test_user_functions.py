"""A user's autograd.Function inside vmap and forward mode."""

import gc
import weakref

import pytest

import pullback as torch
from pullback.func import grad, hessian, jacfwd, jacrev, jvp, not_vectorised, vmap
from pullback.utils._pytree import tree_leaves


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


class Attributes(torch.autograd.Function):
    """x y^2, with tensors on ctx and others beside them."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x, y):
        return x * y * y

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.pair, ctx.n = {"x": inputs[0], "y": [inputs[1], 2, None]}, 2
        ctx.twice = inputs[1] * ctx.n
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, g):
        _, n, none = ctx.pair["y"]
        (out,) = ctx.saved_tensors
        assert none is None
        return g * out / ctx.pair["x"], g * ctx.pair["x"] * ctx.twice * n / ctx.n

    @staticmethod
    def jvp(ctx, dx, dy):
        x, y = ctx.pair["x"], ctx.pair["y"][0]
        return dx * y * y + x * ctx.twice * dy


@pytest.mark.parametrize("inner", [(0, 0), (0, None), (None, 0)])
@pytest.mark.parametrize("outer", [(0, 0), (1, None), (None, 1)])
@pytest.mark.parametrize("function", [ScaledCube, Attributes])
def test_a_generated_rule_in_a_batch_of_batches(function, inner, outer):
    """Each is batched by itself: nothing is run sample by sample."""

    def plain(x, y):
        return x**3 * y if function is ScaledCube else x * y * y

    generator = torch.Generator().manual_seed(1)
    shapes = [[2] * (o is not None) + [3] * (i is not None) + [4] for o, i in zip(outer, inner)]
    x, y = (torch.rand(s, generator=generator, dtype=torch.float64) + 0.5 for s in shapes)
    if 1 in outer:  # the other axis in front
        k = outer.index(1)
        x, y = (t.movedim(0, 1) if n == k else t for n, t in enumerate((x, y)))

    def all_of(f):
        def many(x, y):
            return vmap(vmap(f, inner), outer)(x, y)

        def gradients(x, y):
            return vmap(vmap(grad(lambda x, y: f(x, y).sum(), argnums=(0, 1)), inner), outer)(x, y)

        def total(x, y):
            return (many(x, y) ** 2).sum()

        values = [many(x, y), *gradients(x, y), *grad(total, argnums=(0, 1))(x, y)]
        if function is Attributes:
            values += [jvp(many, (x, y), (x.cos(), y.sin()))[1]]
            values += [*jvp(gradients, (x, y), (x.cos(), y.sin()))[1]]
        return values

    with not_vectorised() as report:
        found = all_of(function.apply)
    assert report == []
    for a, b in zip(found, all_of(plain), strict=True):
        assert torch.allclose(a, b)


def test_classes_are_not_kept_alive():
    class Own(ScaledCube):
        pass

    vmap(vmap(Own.apply, (0, None)), (0, None))(rows()[None], rows()[1])
    gone = weakref.ref(Own)
    del Own
    gc.collect()
    assert gone() is None


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
            return Bare.answer(x)

    two = (
        "Expected the vmap staticmethod to have two returns, an output and out_dims with pytree structure "
        "compatible with the output. Got {} instead"
    )
    pair = (
        "The autograd.Function's vmap staticmethod returned an incompatible (output, out_dims) tuple. "
        "Expected out_dims=(0,) to be compatible with the structure of `output`. out_dims has structure "
        "TreeSpec(tuple, None, [*]) but output has structure *. For more details, please see "
        "https://pytorch.org/docs/main/notes/extending.func.html"
    )
    for answer, text in (
        (lambda x: x, two.format("a <class 'torch.Tensor'>")),
        (lambda x: (x, 0, 1), two.format("3 returns")),
        (lambda x: (x, (0,)), pair),
    ):
        Bare.answer = staticmethod(answer)
        with pytest.raises(RuntimeError) as e:
            vmap(Bare.apply, (0, None))(rows(), rows()[0])
        assert str(e.value).split("\n")[0].replace("pullback.", "torch.") == text


class Powers(torch.autograd.Function):
    """(x^3, x^2), with two values kept for the tangents: an argument and a result."""

    @staticmethod
    def forward(x):
        return x**3, x * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs, output[1])
        ctx.save_for_forward(*inputs, output[1])

    @staticmethod
    def backward(ctx, g, h):
        x, square = ctx.saved_tensors
        return 3 * square * g + 2 * x * h

    @staticmethod
    def jvp(ctx, t):
        x, square = ctx.saved_tensors
        return 3 * square * t, 2 * x * t


class GeneratedPowers(Powers):
    generate_vmap_rule = True


class RuledPowers(Powers):
    @staticmethod
    def vmap(info, in_dims, x):
        return RuledPowers.apply(x), (0, 0)


NESTINGS = {
    "hessian": lambda f, x: hessian(lambda x: mixed(f, x))(x),
    "reverse over reverse": lambda f, x: jacrev(jacrev(lambda x: mixed(f, x)))(x),
    "forward over forward": lambda f, x: jacfwd(jacfwd(lambda x: mixed(f, x)))(x),
    "reverse over forward": lambda f, x: jacrev(jacfwd(lambda x: mixed(f, x)))(x),
    "third order": lambda f, x: jacfwd(jacrev(jacfwd(lambda x: mixed(f, x))))(x),
    "jvp of grad": lambda f, x: jvp(grad(lambda x: mixed(f, x)), (x,), (x,))[1],
    "jvp of vmap": lambda f, x: jvp(vmap(f), (x,), (x * x,)),
    "hessian of vmap": lambda f, x: hessian(lambda x: vmap(lambda y: mixed(f, y))(x[None]).sum())(x),
    "vmap of hessian": lambda f, x: vmap(hessian(lambda x: mixed(f, x)))(torch.stack([x, -x, 2 * x])),
    "vmap of reverse over reverse": lambda f, x: vmap(jacrev(jacrev(lambda x: mixed(f, x))))(x[None]),
    "vmap of grad of jvp": lambda f, x: vmap(
        grad(lambda x: jvp(lambda y: mixed(f, y), (x,), (torch.ones_like(x),))[1])
    )(torch.stack([x, -x])),
}


def mixed(f, x):
    cube, square = f(x)
    return (cube * square.sum()).sum() + (square**2).sum()


@pytest.mark.parametrize("nesting", NESTINGS)
@pytest.mark.parametrize("cls", [Powers, GeneratedPowers, RuledPowers])
def test_any_nesting_is_as_for_the_operations_themselves(cls, nesting):
    x = torch.tensor([0.7, -1.3], dtype=torch.float64)
    found = NESTINGS[nesting](cls.apply, x)
    wanted = NESTINGS[nesting](lambda x: (x**3, x * x), x)
    for a, b in zip(tree_leaves(found), tree_leaves(wanted), strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("pushed", "text"),
    [
        (
            lambda t: (t, t),
            r"Function's jvp returned an invalid number of forward gradients \(expected 1 but got 2\)",
        ),
        (lambda t: 3, r"expected Variable or None \(got int\) for grad output 0"),
        (lambda t: [t], r"expected Variable or None \(got list\) for grad output 0"),
        (lambda t: t[:1], r"different size than .* Tensor is of size \[2\] while .* is of size \[1\]"),
        (lambda t: t.sum(), r"different size than .* Tensor is of size \[2\] while .* is of size \[\]"),
    ],
)
def test_what_a_jvp_returns_is_checked(pushed, text):
    class Bad(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def jvp(ctx, t):
            return pushed(t)

    with pytest.raises(RuntimeError, match=text):
        jvp(Bad.apply, (torch.ones(2),), (torch.ones(2),))
    assert jvp(torch.sin, (torch.zeros(2),), (torch.ones(2),))[1].tolist() == [1, 1]  # every level is closed
