"""Hooks under forward mode where what the way back reads is neither an argument nor a result: values that an
autograd.Function makes for itself, hidden results of operations.

The same programs are written with operations, and their hooks by hand.
"""

import gc
import weakref

import pytest
from forward_orders import ORDERS, T, W, X, along, by_hand, close, result, square

import pullback as torch
import pullback.autograd.forward_ad as fwAD
import pullback.nn.functional as F
from pullback.func import grad, hessian, jvp, vmap


class Square(torch.autograd.Function):
    """x^2, from a value of its own."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x * 2)
        ctx.save_for_forward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]

    @staticmethod
    def jvp(ctx, t):
        return 2 * t * ctx.saved_tensors[0]


class View(Square):
    """From a view of its argument, on ctx."""

    @staticmethod
    def forward(ctx, x):
        ctx.twice = [x.reshape(1, 3)]
        ctx.save_for_forward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return g * 2 * ctx.twice[0].reshape(3)


class Context(Square):
    """From what setup_context() makes."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0] * 2, output / inputs[0])
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g):
        twice, once = ctx.saved_tensors
        return g * (twice + twice - 2 * once)


class Relu(Square):
    """A mask beside values of its own, a result, an argument by name, and no tensor."""

    @staticmethod
    def forward(ctx, x, power=2, offset=0):
        mask = (x > offset).to(x.dtype)
        y = mask * x**power
        ctx.power = power
        ctx.save_for_backward(mask, x ** (power - 1), y, None, x)
        ctx.save_for_forward(mask, x)
        return y, mask.long()

    @staticmethod
    def backward(ctx, g, _):
        mask, before, y, none, x = ctx.saved_tensors
        assert none is None
        return g * mask * (ctx.power * before + y - mask * x**ctx.power), None, None

    @staticmethod
    def jvp(ctx, t, *others):
        mask, x = ctx.saved_tensors
        return t * mask * ctx.power * x ** (ctx.power - 1), None


class Nested(Square):
    """Another such Function inside."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(Square.apply(x) * 3)
        ctx.save_for_forward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]

    @staticmethod
    def jvp(ctx, t):
        return 3 * t * ctx.saved_tensors[0] ** 2


class Dropout(Square):
    """The random numbers that it took."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x * torch.bernoulli(torch.full((3,), 0.5, dtype=x.dtype)))
        ctx.save_for_forward(ctx.to_save[0])
        return x * ctx.to_save[0] / 2

    @staticmethod
    def jvp(ctx, t):
        return t * ctx.saved_tensors[0]


def changed(x):
    """msort and cross keep what is no result."""
    z = x * 2
    y = z.msort()
    w = torch.linalg.cross(z, y)
    z.add_(1)
    return y * z * w


def unchanged(x):
    z = x * 2
    y = z.msort()
    return y * (z + 1) * torch.linalg.cross(z, y)


def gelu(x):
    z = x * 2
    y = F.gelu(z)
    z[1:].mul_(z[:2].clone())
    return y + z


def gelu_beside(x):
    z = x * 2
    return F.gelu(z) + torch.cat([z[:1], z[1:] * z[:2]])


PROGRAMS = {
    "made inside": (Square.apply, lambda x: x * x),
    "a view": (View.apply, lambda x: x * x),
    "setup_context": (Context.apply, lambda x: x * x),
    "a mask": (lambda x: Relu.apply(x, offset=-0.5)[0], lambda x: x**2 * (x > -0.5)),
    "nested": (Nested.apply, lambda x: x**3),
    "twice": (lambda x: Square.apply(Square.apply(x)), lambda x: x**4),
    "hidden results": (changed, unchanged),
    "gelu": (gelu, gelu_beside),
}


@pytest.mark.parametrize("hook", [square, lambda g: g.flip(0) * g.sum()])
@pytest.mark.parametrize("name", PROGRAMS)
def test_derivatives_of_gradients(name, hook):
    f, plain = PROGRAMS[name]
    for order_name, order in ORDERS.items():
        if name == "gelu" and order_name in ("jacrev jacfwd", "grad of a jvp"):
            continue  # they come back after the level was closed: what is kept for that was changed
        a = order(grad(lambda x: result(f, x, lambda y: y.register_hook(hook))))(X)
        b = order(lambda x: by_hand(plain, x, hook))(X)
        assert a.shape == b.shape and close(a, b), order_name


@pytest.mark.parametrize("name", PROGRAMS)
def test_without_hooks(name):
    f, plain = PROGRAMS[name]
    for order_name, order in ORDERS.items():
        if name == "gelu" and order_name in ("jacrev jacfwd", "grad of a jvp"):
            continue
        a = order(grad(lambda x: result(f, x, lambda y: None)))(X)
        assert close(a, order(lambda x: by_hand(plain, x, lambda g: g))(X)), order_name


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_hook_is_called_once(name):
    calls = []
    for order in (along, lambda g: along(along(g)), lambda g: hessian(lambda x: (g(x) * x).sum())):
        calls.clear()
        order(grad(lambda x: result(PROGRAMS[name][0], x, lambda y: y.register_hook(calls.append))))(X)
        assert len(calls) == 2


@pytest.mark.parametrize("name", PROGRAMS)
def test_levels_by_hand(name):
    f, plain = PROGRAMS[name]
    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        z = result(f, fwAD.make_dual(x, T), lambda y: y.register_hook(square))
        for keep in (True, False):  # the second time, from what was found for the first
            (g,) = torch.autograd.grad(z, x, retain_graph=keep, create_graph=keep)
            value, tangent = fwAD.unpack_dual(g)
            expected = jvp(lambda x: by_hand(plain, x, square), (X,), (T,))
            assert close(value, expected[0]) and close(tangent, expected[1])
        with pytest.raises(RuntimeError, match=r"^Trying to backward through the graph a second time"):
            torch.autograd.grad(z, x)


def test_random_numbers_are_those_of_the_call():
    def program(x, function):
        y = function(x)
        y.register_hook(square)
        return (y * y).sum()

    for order in (along, lambda g: along(along(g))):
        torch.manual_seed(3)
        a = order(grad(lambda x: program(x, Dropout.apply)))(X)
        after = torch.rand(2)
        torch.manual_seed(3)
        mask = torch.bernoulli(torch.full((3,), 0.5, dtype=X.dtype))
        assert 0 < mask.sum() < 3
        assert close(a, order(grad(lambda x, m=mask: program(x, lambda x: x * x * m / 2)))(X))
        assert torch.equal(after, torch.rand(2))


def test_a_forward_without_ctx_runs_once():
    calls = []

    class Counted(Context):
        @staticmethod
        def forward(x):
            calls.append(1)
            return x * x

    along(grad(lambda x: result(Counted.apply, x, lambda y: y.register_hook(square))))(X)
    assert calls == [1]


def test_hooks_on_saved_tensors_are_asked_for_the_arguments():
    def program(x):
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t.tolist(), X.new_tensor):
            y = Square.apply(x)
        y.register_hook(square)
        return (y * y).sum()

    assert close(along(grad(program))(X), along(lambda x: (2 * x * x) ** 2 * 2 * x)(X))


def test_nothing_is_left_behind():
    refs = []

    class Marked(Square):
        @staticmethod
        def forward(ctx, x):
            refs.append(weakref.ref(ctx))
            return Square.forward(ctx, x)

    gc.disable()
    try:
        for hook in (lambda y: None, lambda y: y.register_hook(square)):
            along(grad(lambda x, hook=hook: result(Marked.apply, x, hook)))(X)
            along(lambda x, hook=hook: result(Marked.apply, x, lambda y: None))(X)
        assert refs and not [r for r in refs if r() is not None]
    finally:
        gc.enable()


# ---- what is changed in place ----


def test_tangents_that_the_program_changes():
    """The tangent that a dual tensor was made with is the program's own tensor."""
    for f, plain in ((lambda d: F.gelu(d), F.gelu), (lambda d: d.msort(), torch.msort)):
        t = T.clone()
        with fwAD.dual_level():
            x = X.clone().requires_grad_()
            y = f(fwAD.make_dual(x, t))
            y.register_hook(square)
            z = (y * y).sum()
            t.zero_()
            g = fwAD.unpack_dual(torch.autograd.grad(z, x)[0])
        expected = jvp(grad(lambda x, plain=plain: (plain(x) ** 3 * 4 / 3).sum()), (X,), (T,))
        assert close(g.primal, expected[0]) and close(g.tangent, expected[1])
    t = T.clone()
    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        y = fwAD.make_dual(x, t).sin()
        y.register_hook(square)
        t.zero_()
        with pytest.raises(RuntimeError, match=r"^one of the variables needed for gradient computation has"):
            torch.autograd.grad((y * y).sum(), x)


def test_values_that_are_kept_are_refused_once_changed():
    def program(x):
        y = x * 2
        z = y * x
        z.register_hook(square)
        y.add_(1)
        return (z * y).sum()

    with pytest.raises(RuntimeError, match=r"^one of the variables needed for gradient computation has been"):
        along(grad(program))(X)


def test_changes_of_what_is_no_longer_kept():
    """Neither after the graph was freed, nor once it is gone, are copies made of what changes."""
    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        z = fwAD.make_dual(x, T) * 1
        y = F.gelu(z)
        y.sum().backward()
        z.add_(1)
        del y
        z.add_(1)
    kept = []

    def inside(x):
        y = F.gelu(x * W.clone().requires_grad_())
        kept.append(y)
        return y

    rows = torch.stack([X, T])
    vmap(lambda x: jvp(inside, (x,), (x,))[1])(rows)
    rows.add_(1)  # its batch is closed
    assert len(kept) == 1


# ---- what cannot be made again ----


class Detached(Square):
    @staticmethod
    def forward(ctx, x):
        y = Square.forward(ctx, x.detach())
        ctx.save_for_forward(x)
        return y


class ByNumpy(Square):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(torch.from_numpy(x.numpy() * 2))
        ctx.save_for_forward(x)
        return torch.from_numpy(x.numpy() ** 2)


class Counting(Square):
    calls = 0

    @staticmethod
    def forward(ctx, x):
        Counting.calls += 1
        return Square.forward(ctx, x) + Counting.calls


class Failing(Square):
    calls = 0

    @staticmethod
    def forward(ctx, x):
        Failing.calls += 1
        if Failing.calls % 2 == 0:
            raise ValueError("no more")
        return Square.forward(ctx, x)


REASONS = {
    Detached: "its forward hides the tangents",
    ByNumpy: "Can't call numpy",
    Counting: "its forward gives other values",
    Failing: "no more",
}


@pytest.mark.parametrize("function", REASONS)
def test_what_cannot_be_made_again_is_refused(function):
    def program(x, hook=None):
        y = function.apply(x * 1)
        if hook is not None:
            y.register_hook(hook)
        return (y * y).sum()

    more = 1 if function is Counting else 0
    assert close(along(grad(program))(X), along(grad(lambda x: ((x * x + more) ** 2).sum()))(X))
    function.calls = 0
    pattern = rf"^cannot work out .*: {function.__name__} keeps what it made itself, .*{REASONS[function]}"
    with pytest.raises(RuntimeError, match=pattern):
        along(grad(lambda x: program(x, square)))(X)
