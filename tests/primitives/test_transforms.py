"""Forward mode, forward over reverse, and batches, for every differentiable op of the registry."""

import numpy as np
import pytest
from harness import grad, inner, like
from test_rules import assert_close, calls, checked_ops

import pullback as torch
from pullback.func import jvp, not_vectorised, vmap

# Run sample by sample: their results, or what they keep, differ in size from sample to sample, or they work
# on memory as it lies.
LOOPED = {
    "as_strided_of_base",
    "as_strided_in_place",
    "masked_scatter",
    "masked_select_at",
    "copy_slices",
}


def plain(tensors):
    return tuple(t.detach() for t in tensors)


@pytest.mark.parametrize("name", checked_ops())
def test_forward_mode_is_the_transpose_of_reverse_mode(name):
    """<g, J t> = <J^T g, t>, with the same value beside the tangent as without."""
    random = np.random.RandomState(5)
    for call in calls(name):
        if not call.inputs:
            continue
        outputs = call.run()
        g, t = like(outputs, random), like(call.inputs, random)
        values, pushed = jvp(lambda *x, call=call: call.with_inputs(x), plain(call.inputs), tuple(t))
        for v, o in zip(values, outputs, strict=True):
            assert torch.equal(v, o.detach()) or torch.allclose(v, o.detach(), rtol=1e-14, equal_nan=True)
        expected = inner(grad(outputs, call.inputs, g), t).item()
        assert_close(inner(pushed, g).item(), expected, 0, 1e-11, name)


@pytest.mark.parametrize("name", checked_ops())
def test_forward_over_reverse_is_reverse_over_reverse(name):
    random = np.random.RandomState(6)
    for call in list(calls(name))[:4]:
        if not call.inputs:
            continue
        outputs = call.run()
        g, t, d = like(outputs, random), like(call.inputs, random), like(call.inputs, random)
        pairing = inner(grad(outputs, call.inputs, g, create_graph=True), t)
        expected = inner(grad([pairing], call.inputs), d).item()

        def pulled(*x, call=call, g=g, t=t):
            _, pull = torch.func.vjp(lambda *y: tuple(call.with_inputs(y)), *x)
            return inner(pull(tuple(g)), t)

        _, got = jvp(pulled, plain(call.inputs), tuple(d))
        assert_close(got.item(), expected, pairing.item(), 1e-10, name)


def batches(call, random):
    """Three variations of each tensor argument, along a new axis in front."""

    def vary(x):
        if isinstance(x, list):
            return [vary(v) for v in x]
        if not isinstance(x, torch.Tensor):
            return x
        x = x.detach()
        if x.dtype.is_floating_point:
            return torch.stack([x, x * 1.01 + 0.001, x * 0.98])
        return torch.stack([x, x.flip(0) if x.dim() else x, x])

    return [vary(x) for x in call.args], {k: vary(v) for k, v in call.kwargs.items()}


def tensors_of(x):
    if isinstance(x, list):
        return [t for v in x for t in tensors_of(v)]
    return [x] if isinstance(x, torch.Tensor) else []


def rebuilt(x, tensors):
    if isinstance(x, list):
        return [rebuilt(v, tensors) for v in x]
    return next(tensors) if isinstance(x, torch.Tensor) else x


def function_of_tensors(call):
    def function(*tensors):
        tensors = iter(tensors)
        args = [rebuilt(x, tensors) for x in call.args]
        kwargs = {k: rebuilt(v, tensors) for k, v in call.kwargs.items()}
        out = call.function(*args, **kwargs)
        return tuple(out) if isinstance(out, (tuple, list)) else (out,)

    return function


def assert_batches_agree(name, function, one, many, dims):
    def sample(k):
        return [m[k] if d == 0 else o for o, m, d in zip(one, many, dims)]

    try:
        expected = [function(*sample(k)) for k in range(3)]
    except (RuntimeError, IndexError):
        return  # the variations do not all suit this op
    if any(a.shape != b.shape for e in expected for a, b in zip(e, expected[0])):
        return
    given = [m if d == 0 else o for o, m, d in zip(one, many, dims)]
    with not_vectorised() as report:
        got = vmap(function, in_dims=tuple(dims))(*given)
    assert name in LOOPED or not report, f"{name}: {report}"
    for k, outputs in enumerate(expected):
        for a, b in zip(got, outputs, strict=True):
            assert a.dtype == b.dtype and a[k].shape == b.shape, name
            same = torch.allclose(a[k], b, rtol=1e-12, atol=1e-13, equal_nan=True)
            assert same if b.dtype.is_floating_point else torch.equal(a[k], b), f"{name}, sample {k}"


@pytest.mark.parametrize("name", checked_ops())
def test_vmap_is_the_loop(name):
    random = np.random.RandomState(7)
    for call in calls(name):
        many, kwargs = batches(call, random)
        many = [t for x in (*many, *kwargs.values()) for t in tensors_of(x)]
        one = [t.detach() for x in (*call.args, *call.kwargs.values()) for t in tensors_of(x)]
        function = function_of_tensors(call)
        choices = [[0] * len(one)]
        if len(one) > 1:
            choices += [[0 if j == k else None for j in range(len(one))] for k in range(len(one))]
        for dims in choices:
            assert_batches_agree(name, function, one, many, dims)


@pytest.mark.parametrize("name", checked_ops())
def test_vmap_of_the_gradient_is_the_loop(name):
    random = np.random.RandomState(8)
    for call in list(calls(name))[:5]:
        places = [k for k, x in enumerate(call.args) if any(x is t for t in call.inputs)]
        if len(places) != len(call.inputs) or not places:
            continue
        g = like(call.run(), random)

        def pulled(*x, call=call, g=g):
            _, pull = torch.func.vjp(lambda *y: tuple(call.with_inputs(y)), *x)
            return pull(tuple(g))

        one = list(plain(call.inputs))
        many = [torch.stack([x, x * 1.01 + 0.001, x * 0.98]) for x in one]
        assert_batches_agree(name, pulled, one, many, [0] * len(one))
