"""linearize() inside and around other transformations: a result needs a gradient only where something outside
of it does."""

import pytest

import pullback as torch
from pullback.func import grad, jvp, linearize

X, V = torch.tensor([1.0, 2.0]), torch.tensor([0.5, 1.0])


def g(x):
    return x.sin() * x


NESTED = {
    "derivative by the point": lambda x, v: grad(lambda q: linearize(g, q)[1](v).sum())(x),
    "derivative by the tangent": lambda x, v: grad(lambda w: linearize(g, x)[1](w).sum())(v),
    "value inside grad": lambda x, v: grad(lambda q: linearize(g, q)[0].sum())(x),
    "used beside the point": lambda x, v: grad(lambda q: (linearize(torch.sin, q)[1](v) * q).sum())(x),
    "linearized twice": lambda x, v: linearize(lambda q: linearize(g, q)[1](v), x)[1](v),
    "of a gradient": lambda x, v: linearize(grad(lambda q: g(q).sum()), x)[1](v),
    "grad of grad": lambda x, v: grad(lambda p: grad(lambda q: linearize(g, q)[1](v).sum())(p).sum())(x),
}


@pytest.mark.parametrize("name", NESTED)
def test_results_of_plain_tensors_are_plain(name):
    result = NESTED[name](X, V)
    assert not result.requires_grad and result.grad_fn is None and result.is_leaf
    outer = NESTED[name](X.clone().requires_grad_(), V)
    assert outer.requires_grad and outer.equal(result)


def test_an_application_made_outside_leaves_no_trace_inside_other_transformations():
    push = linearize(g, X)[1]
    assert not grad(lambda w: grad(lambda u: push(u * w).sum())(V).sum())(V).requires_grad
    assert push(V).equal(jvp(g, (X,), (V,))[1])


def test_what_the_function_captures_gets_its_gradient():
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    y, push = linearize(lambda q: q * q * w, X)
    dot = push(V)
    assert y.requires_grad and dot.requires_grad
    with torch.no_grad():
        assert not push(V).requires_grad
    assert torch.autograd.grad(dot.sum(), w)[0].equal(2 * X * V)
