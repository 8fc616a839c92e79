"""Hooks under forward mode: each is called once, with a gradient that carries its tangents.

The gradient that a hook takes part in is written out by hand, without hooks, and differentiated.
"""

import pytest
from forward_orders import ORDERS, T, W, X, along, close, square

import pullback as torch
import pullback.autograd.forward_ad as fwAD
from pullback.func import grad, hessian, jacfwd, jvp, vjp, vmap


def in_place(x, at, hook):
    """y = 2x x in place, with the hook on it, then exp(y) in place."""
    y = x * 2
    y.mul_(x)
    at(y)
    y.exp_()
    return (y * x).sum()


def in_place_by_hand(x, hook):
    y = 2 * x * x
    return hook(y.exp() * x) * 4 * x + y.exp()


def views(x, at, hook):
    y = x.sin().reshape(3, 1)
    v = y[1:]
    at(v)
    return (v * v).sum() * x[0]


def views_by_hand(x, hook):
    first = torch.tensor([1.0, 0.0, 0.0], dtype=x.dtype)
    y = x.sin()
    g = torch.cat([torch.zeros(1, dtype=x.dtype), hook(2 * y[1:] * x[0])])
    return g * x.cos() + first * (y[1:] ** 2).sum()


def two_outputs(x, at, hook):
    low, high = x.aminmax()
    at(high)
    return low * high * high * x.sum()


def two_outputs_by_hand(x, hook):
    low, high = x.aminmax()
    is_low, is_high = ((x == v).to(x.dtype) for v in (low, high))
    total = x.sum()
    return is_low * high**2 * total + is_high * hook(2 * low * high * total) + low * high**2


def late(x, at, hook):
    y = x.sin()
    z = (y * y * x).sum()
    at(y)
    return z


def early(x, at, hook):
    y = x.sin()
    at(y)
    return (y * y * x).sum()


def by_hand(x, hook):
    return hook(2 * x.sin() * x) * x.cos() + x.sin() ** 2


def on_input(x, at, hook):
    at(x)
    return (x.sin() * x).sum()


def no_tangent(x, at, hook):
    """The hook is on a value without a tangent, whose gradient has one."""

    def inner(w):
        y = w * 2
        at(y)
        return (y * x * x).sum()

    return (grad(inner)(W) * x).sum()


def layer_norm(x, at, hook):
    y = torch.nn.functional.layer_norm(x, (3,))
    at(y)
    return (torch.softmax(y, 0) * x).sum()


def layer_norm_by_hand(x, hook):
    y, pull = vjp(lambda x: torch.nn.functional.layer_norm(x, (3,)), x)
    g = vjp(lambda y: torch.softmax(y, 0), y)[1](x)[0]
    return pull(hook(g))[0] + torch.softmax(y, 0)


def slices(x, at, hook):
    y = x * 2
    y[1:].mul_(x[:2])
    at(y)
    return (y * y).sum()


def slices_by_hand(x, hook):
    y, pull = vjp(lambda x: torch.cat([2 * x[:1], 2 * x[1:] * x[:2]]), x)
    return pull(hook(2 * y))[0]


def checkpointed(x, at, hook):
    u = x.sin()
    at(u)
    y = torch.utils.checkpoint.checkpoint(lambda u: u.exp() * u, u, use_reentrant=False)
    at(y)
    return (y * y * x).sum()


def checkpointed_by_hand(x, hook):
    u, y = x.sin(), x.sin().exp() * x.sin()
    return hook(hook(2 * y * x) * (u + 1) * u.exp()) * x.cos() + y * y


def packed(x, at, hook):
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.tolist(), X.new_tensor):
        y = torch.nn.functional.layer_norm(x, (3,))
        at(y)
        return (torch.softmax(y, 0) * x).sum()


def on_cpu(x, at, hook):
    with torch.autograd.graph.save_on_cpu():
        return early(x, at, hook)


def changed_since(x, at, hook):
    """The results that an operation keeps stay as they were."""
    u = x * 2
    y = u.exp()
    at(y)
    z = torch.softmax(y, 0)
    u.mul_(x)
    v = y + u
    at(v)
    return (v * z * x).sum()


def changed_since_by_hand(x, hook):
    e = (2 * x).exp()
    v, z = e + 2 * x * x, torch.softmax(e, 0)
    at_v = hook(z * x)
    softened = vjp(lambda e: torch.softmax(e, 0), e)[1](v * x)[0]
    return hook(at_v + softened) * e * 2 + at_v * 4 * x + v * z


def many(x, at, hook):
    """More results than a mask has bits."""
    parts = torch.stack([x * k for k in range(24)]).reshape(72).unbind()
    at(parts[71])
    at(parts[2])
    return parts[71] ** 2 + parts[2] ** 3 + parts[9] * parts[69]


def many_by_hand(x, hook):
    at_2 = hook(0 * x[2])
    at_71 = hook(2 * 23 * x[2])
    return torch.stack([3 * 23 * 2 * x[0], 0 * x[0], 23 * at_71 + 0 * at_2])


def inner_gradient(x, at, hook):
    def inner(z):
        y = torch.utils.checkpoint.checkpoint(lambda z: z.sin() * z, z, use_reentrant=False)
        return (y * z).sum()

    y = grad(inner)(x)
    at(y)
    return (y * y).sum()


def inner_gradient_by_hand(x, hook):
    y, pull = vjp(lambda x: x * x * x.cos() + 2 * x * x.sin(), x)
    return pull(hook(2 * y))[0]


PROGRAMS = {
    "early": (early, by_hand),
    "late": (late, by_hand),
    "in place": (in_place, in_place_by_hand),
    "views": (views, views_by_hand),
    "slices": (slices, slices_by_hand),
    "two outputs": (two_outputs, two_outputs_by_hand),
    "on the input": (on_input, lambda x, hook: hook(x.cos() * x + x.sin())),
    "layer norm": (layer_norm, layer_norm_by_hand),
    "checkpoint": (checkpointed, checkpointed_by_hand),
    "hooks on saved tensors": (packed, layer_norm_by_hand),
    "save_on_cpu": (on_cpu, by_hand),
    "inner gradient": (inner_gradient, inner_gradient_by_hand),
    "changed since": (changed_since, changed_since_by_hand),
    "many results": (many, many_by_hand),
}
HOOKS = {
    "linear": lambda g: g * 3,
    "square": square,
    "mixes elements": lambda g: g.flip(0) * g.sum() if g.dim() else g * g.sin(),
    "constant": torch.ones_like,
    "detached": lambda g: g.detach() * 2,
}


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_derivatives_of_gradients(program, hook):
    (f, gradient), h = PROGRAMS[program], HOOKS[hook]
    for name, order in ORDERS.items():
        if hook == "detached" and name not in ("jvp", "jacfwd"):
            continue  # the derivative of what is detached, in forward mode, is zero at each order

        def attach(y):
            y.register_hook(h)

        a = order(grad(lambda x: f(x, attach, h)))(X)
        b = order(lambda x: gradient(x, h))(X)
        assert a.shape == b.shape and close(a, b), (name, a, b)


def test_a_hook_is_called_once_for_all_orders():
    calls = []

    def at(y):
        y.register_hook(lambda g: calls.append(tuple(g.shape)))

    for program in (early, late):
        for name, order in ORDERS.items():
            order(grad(lambda x, f=program: f(x, at, None)))(X)
            assert calls.pop() == (3,) and not calls, name
        hessian(lambda x, f=program: f(x, at, None))(X)
        assert calls.pop() == (3,) and not calls


def test_a_value_without_a_tangent_has_a_gradient_with_one():
    calls = []

    def at(y):
        y.register_hook(lambda g: calls.append(1) or g * g)

    def f(x):
        return grad(lambda w: no_tangent_of(w, x, at))(W)

    def no_tangent_of(w, x, at):
        y = w * 2
        at(y)
        return (y * x).sum()

    value, dot = jvp(f, (X,), (T,))
    assert close(value, 2 * X * X) and close(dot, 4 * X * T) and calls == [1]
    # grad of sum(4 x^5) through the inner gradient 2 (x^2)^2
    through = along(grad(lambda x: no_tangent(x, lambda y: y.register_hook(square), None)))(X)
    assert close(through, 40 * X**3 * T)


def test_removed_hooks_are_not_called():
    def f(x):
        y = x.sin()
        handle = y.register_hook(square)
        z = (y * y).sum()
        handle.remove()
        return z

    assert close(along(grad(f))(X), 2 * (2 * X).cos() * T)


def test_hooks_in_two_scopes():
    calls = []

    def outer(x):
        u = x * x
        u.register_hook(lambda g: calls.append("outer") or g * g)

        def inner(z):
            y = z.sin() * u
            y.register_hook(lambda g: calls.append("inner") or g * g * 3)
            return (y * y * z).sum()

        return (grad(inner)(x) * x).sum()

    def inner_by_hand(z, u):
        y = z.sin() * u
        return 3 * (2 * y * z) ** 2 * z.cos() * u + y * y

    def outer_by_hand(x):
        at_u = grad(lambda u: (inner_by_hand(x, u) * x).sum())(x * x)
        past_u = grad(lambda z: (inner_by_hand(z, x * x) * z).sum())(x)
        return at_u * at_u * 2 * x + past_u

    for order in (along, jacfwd, lambda g: along(along(g))):
        calls.clear()
        assert close(order(grad(outer))(X), order(lambda x: outer_by_hand(x))(X))
        assert calls == ["inner", "outer"]


# ---- nodes ----


def test_hooks_on_nodes():
    seen = []

    def hooked(register):
        def f(x):
            y = x.sin()
            register(y.grad_fn)
            return (y * y * x).sum()

        return grad(f)

    def before(node):
        node.register_prehook(lambda go: seen.append((len(go), tuple(go[0].shape))) or (go[0] * go[0].sum(),))

    def after(node):
        node.register_hook(
            lambda gi, go: seen.append((len(gi), len(go), tuple(gi[0].shape))) or (gi[0] * go[0].sum(),)
        )

    def expected(x):
        g = 2 * x.sin() * x
        return g * g.sum() * x.cos() + x.sin() ** 2

    for register, entry in ((before, (1, (3,))), (after, (1, 1, (3,)))):
        for order in ORDERS.values():
            seen.clear()
            assert close(order(hooked(register))(X), order(expected)(X))
            assert seen == [entry]
        assert close(vmap(hooked(register))(torch.stack([X, W]))[1], expected(W))


def test_hooks_on_the_node_of_an_op_with_two_operands():
    seen = []

    def f(x):
        y = x.exp()
        z = y * x.sin()
        z.grad_fn.register_hook(lambda gi, go: seen.append((len(gi), len(go))) or (gi[0] * gi[1], None))
        assert [type(n).__name__ for n, _ in z.grad_fn.next_functions] == ["ExpBackward0", "SinBackward0"]
        return (z * z).sum()

    def by_hand(x):
        y, s = x.exp(), x.sin()
        g = 2 * y * s
        return g * s * g * y * y

    assert close(along(grad(f))(X), along(by_hand)(X))
    assert seen == [(2, 1)]


def test_hooks_on_nodes_in_vmap_and_linearize_themselves_are_refused():
    def f(x):
        y = x.sin()
        y.grad_fn.register_hook(lambda *g: None)
        return y.sum()

    for transform in (lambda: grad(lambda x: vmap(f)(x[None]).sum())(X), lambda: torch.func.linearize(f, X)):
        with pytest.raises(RuntimeError, match=r"^hooks on nodes are not called under forward mode"):
            transform()


# ---- several tensors ----


@pytest.mark.parametrize("mode", ["all", "any"])
def test_one_hook_on_several_tensors(mode):
    seen = []

    def f(x):
        y, z = x.sin(), x.cos()
        torch.autograd.graph.register_multi_grad_hook((y, z), lambda g: seen.append(len(g)), mode=mode)
        return (y * z).sum()

    hessian(f)(X)
    assert seen == [2 if mode == "all" else 3]


# ---- levels by hand ----


@pytest.mark.parametrize("register", [early, late])
def test_dual_levels(register):
    seen = []

    def hook(g):
        seen.append(fwAD.unpack_dual(g).tangent is not None)
        return g * g

    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        d = fwAD.make_dual(x, T)
        (g,) = torch.autograd.grad(register(d, lambda y: y.register_hook(hook), hook), x, create_graph=True)
        value, tangent = fwAD.unpack_dual(g)
        assert seen == [True]
    expected = jvp(lambda x: by_hand(x, square), (X,), (T,))
    assert close(value, expected[0]) and close(tangent, expected[1])


def test_a_tangent_that_depends_on_the_input_is_a_direction():
    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        d = fwAD.make_dual(x, x * 2)
        (g,) = torch.autograd.grad((d * d).sum(), x)
        value, tangent = fwAD.unpack_dual(g)
    assert close(value, 2 * X) and close(tangent, 4 * X)


def test_a_hook_does_not_see_what_comes_to_a_tangent_alone():
    calls = []
    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        y = fwAD.make_dual(x, T).sin()
        y.register_hook(calls.append)
        (g,) = torch.autograd.grad(fwAD.unpack_dual(y).tangent.sum(), x)
    assert close(g, -X.sin() * T) and not calls


def test_a_tangent_used_as_a_value():
    """z = y + y' with y' taken out: a constant along the level, and yet differentiated."""
    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        y = fwAD.make_dual(x, T).sin()
        y.register_hook(lambda g: g * 2)
        z = y * y + fwAD.unpack_dual(y).tangent
        (g,) = torch.autograd.grad(z.sum(), x)
        value, tangent = fwAD.unpack_dual(g)
    assert close(value, 4 * X.sin() * X.cos() - X.sin() * T)
    assert close(tangent, 4 * (2 * X).cos() * T)


def test_a_graph_that_was_freed():
    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        z = early(fwAD.make_dual(x, T), lambda y: y.register_hook(square), None)
        torch.autograd.grad(z, x)
        with pytest.raises(RuntimeError, match=r"^Trying to backward through the graph a second time"):
            torch.autograd.grad(z, x)


# ---- what cannot be had ----


class Doubled(torch.autograd.Function):
    """In place, with a value of its own for the way back."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x / x)
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx, g):
        return g * 2 * ctx.saved_tensors[0]

    @staticmethod
    def jvp(ctx, t):
        return 2 * t


def doubled(x):
    z = x * 1
    return Doubled.apply(z) * z


def inner_gradient_lacking(x):
    return grad(lambda z: (doubled(z) * z).sum())(x)


LACKING = {
    "changed": (doubled, r"^cannot work out .* an autograd.Function with a jvp\(\) of its own changed"),
    "inner gradient": (
        inner_gradient_lacking,
        r"^cannot work out .* it is a gradient that was worked out without",
    ),
}
PLAIN = {
    "changed": lambda x: 4 * x * x,
    "inner gradient": lambda x: 12 * x * x,
}


@pytest.mark.parametrize("name", LACKING)
def test_where_hooks_are_refused_derivatives_are_right_without(name):
    f, message = LACKING[name]

    def program(x, hook=None):
        y = f(x * 1)
        if hook is not None:
            y.register_hook(hook)
        return (y * y).sum()

    for order in (along, ORDERS["grad of a jvp"]):
        expected = order(grad(lambda x: (PLAIN[name](x) ** 2).sum()))(X)
        assert close(order(grad(program))(X), expected)
        with pytest.raises(RuntimeError, match=message):
            order(grad(lambda x: program(x, square)))(X)


def test_an_operation_that_is_run_sample_by_sample():
    mask = torch.tensor([True, False, True])
    seen = []

    def program(x, at=lambda y: None):
        y = x.masked_scatter(mask, x * x)
        at(y)
        return (y * y * x).sum()

    def on_tensor(y):
        y.register_hook(square)

    def on_node(y):
        assert [k for k, (n, _) in enumerate(y.grad_fn.next_functions) if n is not None] == [0, 2]
        y.grad_fn.register_prehook(lambda go: (square(go[0]),))
        y.grad_fn.register_hook(lambda gi, go: seen.append((len(gi), len(go))))

    def gradient(x, hook=lambda g: g):
        y, pull = vjp(lambda x: torch.where(mask, torch.stack([x[0], x[1], x[1]]) ** 2, x), x)
        return pull(hook(2 * y * x))[0] + y * y

    for name, order in ORDERS.items():
        if name.endswith("vmap"):
            continue  # a batch of masks
        assert close(order(grad(program))(X), order(gradient)(X)), name
        for at in (on_tensor, on_node):
            a = order(grad(lambda x, at=at: program(x, at)))(X)
            assert close(a, order(lambda x: gradient(x, square))(X)), name
    assert set(seen) == {(3, 1)}


def test_results_may_change_in_place_without_hooks():
    """The fused operation with tangents keeps more than the operation itself."""

    def f(x):
        y = x.sin()
        y.mul_(2)
        return (y * y).sum()

    for name, order in ORDERS.items():
        if name not in ("jacrev jacfwd", "grad of a jvp"):  # they come back after the level was closed
            assert close(order(grad(f))(X), order(lambda x: 4 * (2 * x).sin())(X)), name


def test_hooks_aside_of_the_way_are_no_reason_to_refuse():
    w = torch.full((3,), 2.0, dtype=torch.float64, requires_grad=True)
    w.register_hook(square)
    v = w * 1
    v.register_hook(square)
    value = along(grad(lambda x: (doubled(x) * v).sum()))(X)
    assert close(value, along(grad(lambda x: (PLAIN["changed"](x) * 2).sum()))(X))


@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
def test_anomaly_mode_finds_the_nan_of_a_tangent():
    def f(x):
        return ((x * 1) ** 1.5).sum()  # at 0 a slope, and no second derivative

    x, t = torch.zeros(2), torch.zeros(2)
    assert jvp(grad(f), (x,), (t,))[1].isnan().all()
    with (
        pytest.warns(UserWarning, match="Error detected in PowBackward0"),
        torch.autograd.detect_anomaly(),
        pytest.raises(RuntimeError, match=r"^Function 'PowBackward0' returned nan values in its 0th output"),
    ):
        jvp(grad(f), (x,), (t,))
