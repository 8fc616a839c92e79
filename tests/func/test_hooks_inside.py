"""Hooks on tensors inside transformations: each belongs to the scope in which the tensor lives.

What a hook makes of a gradient is written out by hand beside it, without hooks, and differentiated.
"""

import pytest

import pullback as torch
import pullback.autograd.forward_ad as fwAD
from pullback.func import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, vjp, vmap

X = torch.tensor([[0.3, -1.2, 0.7], [1.1, 0.4, -0.6]], dtype=torch.float64)

HOOKS = {
    "linear": lambda g, x: g * 2,
    "not linear": lambda g, x: g * g,
    "with the input": lambda g, x: g * x,
    "mixes elements": lambda g, x: g.flip(0) + g.sum(),
    "constant": lambda g, x: torch.ones_like(g),
    "looks": lambda g, x: None,
}


def hooked(make, hook):
    """z = sum(x y^2) for y = make(x), with the hook on y."""

    def f(x):
        y = make(x)
        y.register_hook(lambda g: hook(g, x))
        return (y * y * x).sum()

    return f


def by_hand(make, hook):
    """The gradient of that: the way through y as the hook leaves it, and the way past it."""

    def gradient(x):
        y, pull = vjp(make, x)
        g = 2 * y * x
        replaced = hook(g, x)
        return pull(g if replaced is None else replaced)[0] + y * y

    return gradient


MAKERS = {
    "sin": torch.sin,
    "exp": torch.exp,  # its tangent depends on its value
    "doubled": lambda x: x * 2,
    "clone": lambda x: x.clone(),  # shares its tangent
    "a matrix's": lambda x: torch.outer(x, x) @ torch.ones(3, dtype=x.dtype),
}

ORDERS = {
    "grad": lambda g: g,
    "jacrev": jacrev,
    "jacfwd": jacfwd,
    "jacfwd jacfwd": lambda g: jacfwd(jacfwd(g)),
    "jacrev jacfwd": lambda g: jacrev(jacfwd(g)),
    "jacfwd jacrev": lambda g: jacfwd(jacrev(g)),
    "jvp": lambda g: lambda x: jvp(g, (x,), (x.cos(),))[1],
    "grad of a sum": lambda g: grad(lambda x: g(x).sin().sum()),
}


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("make", MAKERS)
def test_gradients_of_all_orders(make, hook):
    f, gradient = hooked(MAKERS[make], HOOKS[hook]), by_hand(MAKERS[make], HOOKS[hook])
    for name, order in ORDERS.items():
        for around in (order, lambda g, o=order: vmap(o(g))):
            x = X if around is not order else X[0]
            a, b = around(grad(f))(x), around(gradient)(x)
            assert a.shape == b.shape and torch.allclose(a, b, rtol=1e-10, atol=1e-12), (name, a, b)
    assert torch.allclose(hessian(f)(X[0]), jacrev(gradient)(X[0]), rtol=1e-10)


def test_several_hooks_run_in_their_order_and_can_be_removed():
    def f(x):
        y = x * x
        y.register_hook(lambda g: g + 1)
        removed = y.register_hook(lambda g: g * 100)
        y.register_hook(lambda g: g * 3)
        removed.remove()
        return (y * x).sum()

    x = X[0, :1]
    for derivative in (jacrev(grad(f)), jacfwd(grad(f)), hessian(f)):
        assert torch.allclose(derivative(x)[0], 14 * x + 6)  # d/dx (3 (x + 1) 2x + x^2)


def test_a_hook_runs_in_its_own_scope_only():
    calls = []

    def f(x):
        y = x.sin()
        y.register_hook(lambda g: calls.append(torch.is_tensor(g)))
        return (y * y).sum()

    w = X[0].clone().requires_grad_()
    jacrev(grad(f))(X[0])
    grad(f)(w).sum().backward()
    assert calls == [True, True]

    def outer(x):
        y = x.sin()
        y.register_hook(lambda g: g * 5)  # of the outer scope: the inner one does not pass it
        return grad(lambda z: (z * z * y).sum())(x).sum()

    def inside(x):
        y = x.sin()

        def inner(z):
            y.register_hook(lambda g: g * 5)  # the tensor's own scope counts, not where this is called
            return (z * z * y).sum()

        return grad(inner)(x).sum()

    expected = 2 * X[0].sin() + 5 * 2 * X[0] * X[0].cos()
    assert torch.allclose(grad(outer)(X[0]), expected)
    assert torch.allclose(grad(inside)(X[0]), expected)
    assert torch.allclose(vmap(grad(outer))(X)[0], expected)


def test_hooks_see_one_sample():
    shapes = []

    def f(x):
        y = x * x
        y.register_hook(lambda g: shapes.append(g.shape))
        return y.sum()

    vmap(grad(f))(X)
    vmap(grad_and_value(f))(X)
    vmap(vmap(grad(f)))(X[None])
    assert shapes == [(3,)] * 3


def test_hooks_on_the_node_of_a_tensor():
    def f(x):
        y = x.sin()
        y.grad_fn.register_hook(lambda gi, go: (gi[0] * 2,))
        y.grad_fn.register_prehook(lambda go: (go[0] * 3,))
        return (y * y).sum()

    expected = 12 * (2 * X[0]).cos()
    assert torch.allclose(jacrev(grad(f))(X[0]).diagonal(), expected)
    assert torch.allclose(vmap(grad(f))(X), 6 * (2 * X).sin())
    assert torch.allclose(hessian(f)(X[0]).diagonal(), expected)


def test_one_hook_on_several_tensors():
    seen = []

    def f(x):
        y, z = x.sin(), x.cos()
        torch.autograd.graph.register_multi_grad_hook((y, z), lambda gs: seen.append([g.shape for g in gs]))
        return (y * z).sum()

    for transform in (grad, lambda f: vmap(grad(f)), hessian):
        transform(f)(X if transform not in (grad, hessian) else X[0])
        assert seen.pop() == [(3,), (3,)]


def test_backward_inside_a_program_runs_the_hooks_of_its_scope():
    def f(x):
        y = x * x
        y.register_hook(lambda g: g * 2)
        (a,) = torch.autograd.grad(y.sum(), x, create_graph=True)
        return (a * x).sum()  # 4 x^2: the hook is in a, and not on the way to a's own gradient

    assert torch.allclose(grad(f)(X[0]), 8 * X[0])


def test_forward_ad_levels_are_no_transformation():
    with fwAD.dual_level():
        x = X[0].clone().requires_grad_()
        d = fwAD.make_dual(x, torch.ones(3, dtype=x.dtype))
        y = d.sin()
        y.register_hook(lambda g: g * g)
        (g,) = torch.autograd.grad((y * y).sum(), x, create_graph=True)
        value, tangent = fwAD.unpack_dual(g)
    assert torch.allclose(value, 4 * X[0].sin() ** 2 * X[0].cos())
    expected = 8 * X[0].sin() * X[0].cos() ** 2 - 4 * X[0].sin() ** 3
    assert torch.allclose(tangent, expected)


REFUSED = {
    "vmap": lambda f: vmap(f)(X),
    "jvp": lambda f: jvp(f, (X[0],), (X[0],)),
    "grad vmap": lambda f: grad(lambda x: vmap(f)(x).sum())(X),
    "grad jvp": lambda f: grad(lambda x: jvp(f, (x,), (x,))[1])(X[0]),
    "vmap over a leaf": lambda f: vmap(f)(X.clone().requires_grad_()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_values_that_no_scope_differentiates_take_no_hook(name):
    with pytest.raises(RuntimeError, match=r"^cannot register a hook on a tensor that doesn't require grad"):
        REFUSED[name](hooked(torch.sin, HOOKS["linear"]))


def test_what_a_hook_raises_leaves_the_scopes_as_they_were():
    def boom(g, x):
        raise ValueError("mine")

    for transform in (jacrev, jacfwd):
        with pytest.raises(ValueError, match=r"^mine$"):
            transform(grad(hooked(torch.sin, boom)))(X[0])
    f = hooked(torch.sin, HOOKS["linear"])
    assert torch.allclose(hessian(f)(X[0]), jacrev(by_hand(torch.sin, HOOKS["linear"]))(X[0]))


def test_hooks_inside_linearize_are_refused():
    def f(x):
        y = x.sin()
        y.register_hook(lambda g: g.detach())
        return y

    def by_node(x):
        y = x.sin()
        y.grad_fn.register_hook(lambda *g: None)
        return y

    x = torch.ones(3)
    with pytest.raises(
        RuntimeError, match="cannot register a hook on a tensor that doesn't require gradient"
    ):
        torch.func.linearize(f, x)
    with pytest.raises(RuntimeError, match="hooks on nodes are not called under forward mode"):
        torch.func.linearize(by_node, x)
    # A gradient that is taken inside has its own.
    push = torch.func.linearize(lambda x: torch.func.grad(lambda y: (f(y) * y).sum())(x), x)[1]
    assert torch.allclose(push(x), x.cos() - x * x.sin())  # not through what is detached
    assert torch.func.vjp(f, x)[1](x)[0].tolist() == x.cos().tolist()


@pytest.mark.parametrize("transform", [torch.func.grad, torch.func.hessian, torch.func.jacfwd])
def test_what_takes_the_place_of_a_gradient_is_checked(transform):
    def hooked(hook):
        def f(x):
            y = x.sin()
            y.register_hook(hook)
            return (y * x).sum()

        return lambda: torch.vmap(transform(torch.func.grad(f) if transform is torch.func.jacfwd else f))(
            torch.ones(2, 3)
        )

    def shorter(g):
        return g[:1]

    with pytest.raises(RuntimeError, match="hook 'shorter' has changed the size of value"):
        hooked(shorter)()
    with pytest.raises(RuntimeError, match=r"hook '<lambda>' has changed the type of value \(was torch.F"):
        hooked(lambda g: g.double())()
    with pytest.raises(TypeError, match="expected Variable, but hook returned 'float'"):
        hooked(lambda g: 3.0)()


def test_a_hook_keeps_its_name():
    def halves(g):
        return g[:1]

    def f(x):
        x.register_hook(halves)
        return x.sum()

    with pytest.raises(RuntimeError, match="hook 'halves' has changed the size of value"):
        torch.func.grad(f)(torch.ones(3))


@pytest.mark.parametrize("on_input", [True, False])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_hook_under_nested_forward_mode(on_input, depth):
    def f(x):
        y = x if on_input else x * 2
        y.register_hook(lambda g: g * g)
        return x * 2 if on_input else y

    def derivative(g):
        return lambda z: torch.func.jvp(g, (z,), (torch.ones(1),))[1]

    def g(z):
        return torch.func.vjp(f, z)[1](z * z)[0]

    for _ in range(depth):
        g = derivative(g)
    # (2 z**2)**2 or 2 (z**2)**2
    expected = {1: 2.0, 2: 12.0, 3: 48.0}[depth] / (1 if on_input else 2)
    assert g(torch.tensor([0.5])).tolist() == [expected]
