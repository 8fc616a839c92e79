"""backward() and retain_grad() on tensors with tangents: `.grad` has the gradient and its tangent.

Expected values are derivatives of gradients that are written out by hand.
"""

import pytest

import pullback as torch
import pullback.autograd.forward_ad as fwAD
from pullback.func import grad, jacfwd, jvp, vmap

X = torch.tensor([0.3, -1.2, 0.7], dtype=torch.float64)
T = torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)
W = torch.tensor([1.1, 0.4, -0.6], dtype=torch.float64)


def close(a, b):
    return torch.allclose(a, b, rtol=1e-10, atol=1e-12)


def parts_are(g, function, at=X, direction=T):
    value, tangent = fwAD.unpack_dual(g)
    expected = jvp(function, (at,), (direction,))
    return close(value, expected[0]) and close(tangent, expected[1])


def gradient(x):
    """Of sum(x sin x)."""
    return x.sin() + x * x.cos()


def test_leaves():
    with fwAD.dual_level():
        x, w = X.clone().requires_grad_(), W.clone().requires_grad_()
        d = fwAD.make_dual(x, T)
        (d.sin() * d * w).sum().backward()
        assert parts_are(x.grad, lambda x: gradient(x) * W) and parts_are(w.grad, lambda x: x.sin() * x)
        assert not x.grad.requires_grad
    assert close(x.grad, gradient(X) * W)  # the level is closed
    with pytest.raises(RuntimeError, match=r"^Trying to create a dual Tensor"):
        fwAD.make_dual(x.grad, T)


@pytest.mark.filterwarnings("ignore:Using backward")
@pytest.mark.parametrize("create_graph", [False, True])
def test_gradients_add_up(create_graph):
    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        d = fwAD.make_dual(x, T)
        z = (d.sin() * d).sum()
        (x * x).sum().backward(create_graph=create_graph)
        plain = x.grad
        z.backward(retain_graph=True, create_graph=create_graph)
        assert parts_are(x.grad, lambda x: gradient(x) + 2 * X) and (x.grad is plain) == (not create_graph)
        z.backward(create_graph=create_graph)
        (x * x).sum().backward()
        assert parts_are(x.grad, lambda x: 2 * gradient(x) + 4 * X)
        assert x.grad.requires_grad == create_graph


@pytest.mark.filterwarnings("ignore:Using backward")
def test_gradients_of_gradients():
    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        d = fwAD.make_dual(x, T)
        (d.sin() * d).sum().backward(create_graph=True)
        first, x.grad = x.grad, None
        fwAD.unpack_dual(first).tangent.sum().backward()
    assert close(x.grad, grad(lambda x: jvp(gradient, (x,), (T,))[1].sum())(X))


def test_cotangents_with_tangents():
    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        g = fwAD.make_dual(W, T)
        x.sin().backward(g)
        assert close(fwAD.unpack_dual(x.grad).tangent, X.cos() * T)
        x.grad = None
        torch.autograd.backward([fwAD.make_dual(x, T).sin(), (x * x).sum()], [g, None])
        value, tangent = fwAD.unpack_dual(x.grad)
    assert close(value, X.cos() * W + 2 * X) and close(tangent, X.cos() * T - X.sin() * T * W)


def test_retained_gradients():
    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        d = fwAD.make_dual(x, T)
        y = d.sin()
        y.retain_grad()
        z = (y * y * d).sum()
        torch.autograd.grad(z, x, retain_graph=True)
        assert y.retains_grad and parts_are(y.grad, lambda x: 2 * x.sin() * x)
        z.backward()
        assert parts_are(y.grad, lambda x: 4 * x.sin() * x)


def test_retained_gradients_inside_jvp():
    kept = []

    def f(x):
        y = x.sin()
        y.retain_grad()
        kept.append(y)
        return (y * y * x).sum()

    def first(x):
        g = grad(f)(x)
        return g, kept[-1].grad

    (_, retained), (_, tangent) = jvp(first, (X,), (T,))
    assert close(retained, 2 * X.sin() * X) and close(tangent, 2 * (X.cos() * X + X.sin()) * T)


def test_inputs():
    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        y = fwAD.make_dual(x, T) * 2
        (y * y).sum().backward(inputs=[y])
        assert x.grad is None and parts_are(y.grad, lambda x: 4 * x)
        y = fwAD.make_dual(x, T) * 2
        (y * y).sum().backward(inputs=x)
        assert parts_are(x.grad, lambda x: 8 * x)


def test_a_leaf_with_a_tangent():
    with fwAD.dual_level():
        d = fwAD.make_dual(X.clone(), T).requires_grad_()
        (d.sin() * d).sum().backward()
        assert d.is_leaf and parts_are(d.grad, gradient)
        d.grad = None
        assert d.grad is None
        d.sum().backward()
        assert close(d.grad, torch.ones(3).double())


def test_hooks_see_what_goes_into_grad():
    seen = []
    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        x.register_hook(lambda g: g * g)
        x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad))
        d = fwAD.make_dual(x, T)
        (d.sin() * d).sum().backward()
        assert seen[0] is x.grad and parts_are(x.grad, lambda x: gradient(x) ** 2)


def test_inside_jvp():
    def f(x):
        w = W.clone().requires_grad_()
        (w * w * x * x).sum().backward()
        return w.grad

    value, tangent = jvp(f, (X,), (T,))
    assert close(value, 2 * W * X * X) and close(tangent, 4 * W * X * T)
    second = jvp(lambda x: jvp(f, (x,), (T,))[1], (X,), (T,))[1]
    assert close(second, 4 * W * T * T)


def test_after_the_level():
    with fwAD.dual_level():
        x = X.clone().requires_grad_()
        y = fwAD.make_dual(x, T).sin()
        y.retain_grad()
        z = (y * y).sum()
    z.backward()
    assert close(x.grad, (2 * X).sin()) and close(y.grad, 2 * X.sin())


def test_batches_are_refused():
    def f(x):
        w = W.clone().requires_grad_()
        (w * x).sum().backward()
        return w.grad

    def retained(x):
        y = x.sin()
        y.retain_grad()
        return y.sum()

    for run in (lambda: vmap(f)(X[None]), lambda: jacfwd(f)(X)):
        with pytest.raises(RuntimeError, match=r"^backward\(\) called inside a functorch transform"):
            run()
    for run in (lambda: vmap(grad(retained))(X[None]), lambda: jacfwd(grad(retained))(X)):
        with pytest.raises(RuntimeError, match=r"^You are attempting to call Tensor.retain_grad\(\) inside"):
            run()
    w = torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"^backward\(\) called inside a functorch transform"):
        vmap(lambda g: w.backward(g))(torch.ones(2, 3))
