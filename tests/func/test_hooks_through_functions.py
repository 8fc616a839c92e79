"""Hooks under forward mode where an autograd.Function with a jvp() of its own is on the way.

Its backward runs on what it saved with the tangents.

The same programs are written with operations, and their hooks by hand.
"""

import gc
import weakref

import pytest
from forward_orders import ORDERS, T, W, X, along, by_hand, close, result, square

import pullback as torch
import pullback.autograd.forward_ad as fwAD
from pullback.autograd.function import once_differentiable
from pullback.func import grad, hessian, jacfwd, jvp, vjp, vmap


class Inputs(torch.autograd.Function):
    """x^3, from the input."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, g):
        return 3 * g * ctx.saved_tensors[0] ** 2

    @staticmethod
    def jvp(ctx, t):
        return 3 * t * ctx.saved_tensors[0] ** 2


class SampleBySample(Inputs):
    generate_vmap_rule = False


class OwnRule(SampleBySample):
    @staticmethod
    def vmap(info, in_dims, x):
        return x * x * x, in_dims[0]


class Output(torch.autograd.Function):
    """exp, from the output."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x.exp()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]

    @staticmethod
    def jvp(ctx, t):
        return t * ctx.saved_tensors[0]


class Attributes(torch.autograd.Function):
    """a * sin(b), with tensors on ctx."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.pair, ctx.y = [a, {"b": b}], a * b.sin()
        return ctx.y

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.pair[0], ctx.pair[1]["b"]
        return g * ctx.y / a, g * a * b.cos()

    @staticmethod
    def jvp(ctx, da, db):
        a, b = ctx.pair[0], ctx.pair[1]["b"]
        return da * b.sin() + a * b.cos() * db


class Several(torch.autograd.Function):
    """(x * factor, a text, x * w, integers); a constant is saved too."""

    @staticmethod
    def forward(ctx, x, w, factor=2.0):
        ctx.factor = factor
        ctx.save_for_backward(x, w, None, W)
        ctx.save_for_forward(x, w)
        ctx.set_materialize_grads(False)
        return x * factor, "text", x * w, x.round().long()

    @staticmethod
    def backward(ctx, g, text, h, integers):
        x, w, none, constant = ctx.saved_tensors
        assert text is None and none is None and integers is None
        gx = torch.zeros_like(x)
        gw = None
        if g is not None:
            gx = gx + g * ctx.factor * constant / W
        if h is not None:
            gx, gw = gx + h * w, h * x
        return gx, gw, None

    @staticmethod
    def jvp(ctx, dx, dw, factor):
        x, w = ctx.saved_tensors
        second = torch.zeros_like(x) if dx is None else dx * w
        second = second if dw is None else second + x * dw
        return None if dx is None else dx * ctx.factor, None, second, None


def several(x):
    y, text, z, integers = Several.apply(x, x.cos(), 3.0)
    assert text == "text" and integers.dtype == torch.int64
    return y * z


class Chained(torch.autograd.Function):
    """A backward that runs another Function."""

    @staticmethod
    def forward(x):
        return x**4

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.save_for_forward(inputs[0])

    @staticmethod
    def backward(ctx, g):
        return 4 * g * Inputs.apply(ctx.saved_tensors[0])

    @staticmethod
    def jvp(ctx, t):
        return 4 * t * ctx.saved_tensors[0] ** 3


FUNCTIONS = {
    "inputs": (Inputs.apply, lambda x: x**3),
    "sample by sample": (SampleBySample.apply, lambda x: x**3),
    "own rule": (OwnRule.apply, lambda x: x**3),
    "output": (Output.apply, torch.exp),
    "attributes": (lambda x: Attributes.apply(x, x * 2), lambda x: x * (x * 2).sin()),
    "attributes, one constant": (lambda x: Attributes.apply(W, x), lambda x: W * x.sin()),
    "several": (several, lambda x: 3 * x * x * x.cos()),
    "chained": (Chained.apply, lambda x: x**4),
    "twice": (lambda x: Output.apply(Inputs.apply(x) * 0.5), lambda x: (0.5 * x**3).exp()),
}
NO_BATCHES = ("attributes", "attributes, one constant", "several")


@pytest.mark.parametrize("hook", [square, lambda g: g.flip(0) * g.sum()])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_of_gradients(name, hook):
    f, plain = FUNCTIONS[name]

    def attach(y):
        y.register_hook(hook)

    for order_name, order in ORDERS.items():
        if name in NO_BATCHES and order_name.endswith("vmap"):
            continue
        a = order(grad(lambda x: result(f, x, attach)))(X)
        b = order(lambda x: by_hand(plain, x, hook))(X)
        assert a.shape == b.shape and close(a, b), order_name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_without_hooks(name):
    f, plain = FUNCTIONS[name]
    for order_name, order in ORDERS.items():
        if name in NO_BATCHES and order_name.endswith("vmap"):
            continue
        a = order(grad(lambda x: result(f, x, lambda y: None)))(X)
        assert close(a, order(lambda x: by_hand(plain, x, lambda g: g))(X)), order_name


def test_a_backward_is_called_once_for_all_orders():
    calls = []

    class Counted(Inputs):
        @staticmethod
        def backward(ctx, g):
            calls.append(tuple(g.shape))
            return 3 * g * ctx.saved_tensors[0] ** 2

    def f(x):
        y = Counted.apply(x)
        y.register_hook(square)
        return y.sum()

    for order in (along, lambda g: along(along(g))):
        calls.clear()
        order(grad(f))(X)
        assert calls == [(3,)]


@pytest.mark.parametrize("name", ["inputs", "output", "several"])
def test_levels_by_hand(name):
    f, plain = FUNCTIONS[name]
    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        z = result(f, fwAD.make_dual(x, T), lambda y: y.register_hook(square))
        (g,) = torch.autograd.grad(z, x, create_graph=True)
        value, tangent = fwAD.unpack_dual(g)
    expected = jvp(lambda x: by_hand(plain, x, square), (X,), (T,))
    assert close(value, expected[0]) and close(tangent, expected[1])


def test_its_node_is_the_one_that_the_program_knows():
    seen = []

    def f(x):
        y = Inputs.apply(x.sin())
        node = y.grad_fn
        assert node.name() == "InputsBackward" and len(node.next_functions) == 1
        assert (y * 2).grad_fn.next_functions[0][0] is node
        node.register_prehook(lambda go: seen.append(("before", len(go))) or (go[0] * go[0],))
        node.register_hook(lambda gi, go: seen.append(("after", len(gi), len(go))) or (gi[0] * go[0],))
        return y.sum()

    def expected(x):
        return 3 * x.sin() ** 2 * x.cos()

    for order in (along, jacfwd, lambda g: along(along(g))):
        seen.clear()
        assert close(order(grad(f))(X), order(expected)(X))
        assert seen == [("before", 1), ("after", 1, 1)]


def test_hooks_on_its_node_after_the_level():
    seen = []
    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        y = Inputs.apply(fwAD.make_dual(x, T))
        y.grad_fn.register_hook(lambda gi, go: seen.append((gi[0], go[0])))
        value = fwAD.unpack_dual(y).primal
    value.sum().backward()
    ((at_input, at_result),) = seen
    assert close(x.grad, 3 * X * X) and close(at_input, x.grad) and close(at_result, torch.ones(3).double())


def test_hooks_on_nodes_of_several():
    """A call that a vmap() of its own turned into operations is one node while there are tangents."""
    seen = []

    class Sine(SampleBySample):
        @staticmethod
        def vmap(info, in_dims, x):
            return x * (x + 0) * x, in_dims[0]

    def f(x):
        y = Sine.apply(x.sin())
        y.grad_fn.register_hook(lambda gi, go: seen.append((len(gi), len(go))) or (gi[0] * go[0],))
        return (y * y).sum()

    def expected(x):
        y = x.sin() ** 3
        return (2 * y) * 3 * x.sin() ** 2 * (2 * y) * x.cos()

    for order in (along, jacfwd):
        seen.clear()
        a = vmap(order(grad(f)))(torch.stack([X, W]))
        assert close(a, torch.stack([order(expected)(X), order(expected)(W)]))
        assert seen == [(1, 1)]


def test_hooks_on_nodes_of_several_after_the_level():
    w = W.clone().requires_grad_()

    def f(x, hooked):
        y = OwnRule.apply(x * w)
        assert y.grad_fn.name() == "OwnRuleBackward"
        if hooked:
            y.grad_fn.register_hook(lambda gi, go: None)
        return y

    for hooked in (False, True):
        value, _ = vmap(lambda x, h=hooked: jvp(lambda x: f(x, h), (x,), (T,)))(torch.stack([X, T]))
        if not hooked:
            value.sum().backward()
            assert close(w.grad, 3 * w * w * (X**3 + T**3))
            continue
        with pytest.raises(RuntimeError, match=r"^a hook on the node of OwnRuleBackward cannot be shown its"):
            value.sum().backward()


def test_what_it_saved_is_freed_and_checked():
    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        d = fwAD.make_dual(x, T)
        z = result(Inputs.apply, d, lambda y: y.register_hook(square))
        torch.autograd.grad(z, x)
        with pytest.raises(RuntimeError, match=r"^Trying to backward through the graph a second time"):
            torch.autograd.grad(z, x)

    def changes(x):
        u = x.sin()
        y = Inputs.apply(u)
        y.register_hook(square)
        u.mul_(2)
        return y.sum() + u.sum()

    with pytest.raises(RuntimeError, match=r"^one of the variables needed for gradient computation has been"):
        along(grad(changes))(X)


def test_nothing_is_left_behind():
    refs = []

    class Marked(Output):
        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(output)
            ctx.save_for_forward(output)
            refs.append(weakref.ref(ctx))

    for order in (along, lambda g: along(along(g))):
        order(grad(lambda x: result(Marked.apply, x, lambda y: y.register_hook(square))))(X)
        along(grad(lambda x: result(Marked.apply, x, lambda y: None)))(X)
        along(lambda x: result(Marked.apply, x, lambda y: None))(X)
    gc.collect()
    assert refs and not [r for r in refs if r() is not None]


def test_hooks_on_saved_tensors():
    packed = []

    def pack(t):
        packed.append(t)
        return t.clone()

    for name in ("inputs", "output", "several"):
        f, plain = FUNCTIONS[name]

        def program(x, f=f):
            with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
                y = f(x)
            y.register_hook(square)
            return (y * y).sum()

        def expected(x, plain=plain):
            y, pull = vjp(plain, x)
            return pull(square(2 * y))[0]

        for order in (along, jacfwd, lambda g: along(along(g))):
            assert close(order(grad(program))(X), order(expected)(X))
    assert packed and all(torch.func.debug_unwrap(t) is t for t in packed)


def test_arguments_by_name():
    class Powers(torch.autograd.Function):
        @staticmethod
        def forward(x, y, n=2):
            return x**n * y

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, y, ctx.n = inputs
            ctx.save_for_backward(x, y)
            ctx.save_for_forward(x, y)

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * ctx.n * x ** (ctx.n - 1) * y, g * x**ctx.n, None

        @staticmethod
        def jvp(ctx, dx, dy, n):
            x, y = ctx.saved_tensors
            return dx * ctx.n * x ** (ctx.n - 1) * y + dy * x**ctx.n

    def f(x):
        z = Powers.apply(y=x.sin(), x=x)
        z.register_hook(square)
        return (z * z).sum()

    def expected(x):
        z = x**2 * x.sin()
        return (2 * z) ** 2 * (2 * x * x.sin() + x**2 * x.cos())

    assert close(hessian(f)(X), jacfwd(expected)(X))


def test_a_backward_that_is_not_to_be_differentiated():
    class Once(Inputs):
        backward = staticmethod(once_differentiable(Inputs.backward))

    def f(x):
        y = Once.apply(x)
        y.register_hook(square)
        return (y * y).sum()

    def expected(x):
        return (2 * x**3) ** 2 * 3 * x**2

    assert close(along(grad(f))(X), along(expected)(X))


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return x.mul_(2)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_dirty(inputs[0])

    @staticmethod
    def backward(ctx, g):
        return g * 2

    @staticmethod
    def jvp(ctx, t):
        return t * 2


def test_arguments_that_it_changes_in_place():
    def program(x, hook=None):
        u = x.sin()
        y = Doubled.apply(u)
        assert y is u
        if hook is not None:
            y.register_hook(hook)
        return (y * u * x).sum()

    def expected(x, hook=lambda g: g):
        y = 2 * x.sin()
        return 2 * hook(2 * y * x) * x.cos() + y * y

    for order in (along, lambda g: along(along(g)), lambda g: along(along(along(g)))):
        assert close(order(grad(program))(X), order(expected)(X))
        a = order(grad(lambda x: program(x, square)))(X)
        assert close(a, order(lambda x: expected(x, square))(X))
    with pytest.raises(RuntimeError, match=r"^a Function with a jvp\(\) changed a view in place"):
        along(lambda x: Doubled.apply((x * 1)[1:]).sum())(X)

    class OfCtx(Doubled):
        setup_context = torch.autograd.Function.setup_context

        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

    def double(x):
        u = x * 1
        return OfCtx.apply(u) * u

    assert close(along(double)(X), 8 * X * T)
    with pytest.raises(
        RuntimeError, match=r"^OfCtx changes its arguments in place \(mark_dirty\), and is called"
    ):
        along(along(double))(X)
