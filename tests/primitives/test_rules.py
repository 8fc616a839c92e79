"""Every differentiable op of the registry against numerical derivatives, to the second order, and its own
algebra.

The operators are taken from the registry, so that an op cannot be without a test: one that has no cases
fails.
"""

import numpy as np
import pytest
from cases import cases_of, listed
from harness import Call, bits, function_of, grad, inner, like, ops

import pullback as torch
from pullback.primitives.family import Composite
from pullback.trace import tracer

LISTS = listed()
# These read no element, only sizes and types; and float32 is too coarse for a slope: see test_cast.
NO_DERIVATIVE_TO_CHECK = {"zeros_of", "full_like_scalar", "one_hot", "log_of", "cast"}
STEP = 1e-5


def checked_ops():
    return sorted(
        name
        for name, op in ops.items()
        if op.differentiable
        and op.handle in tracer.ops_by_handle
        and not hasattr(op, "trace")
        and op.kernel != "foreign"  # declared by other tests, and checked there
        and name not in NO_DERIVATIVE_TO_CHECK
    )


def calls(name, dtype=torch.float64):
    for case in cases_of(ops[name], LISTS):
        yield Call(ops[name], case, dtype)


def moved(tensors, directions, step):
    return [(t.detach() + step * d).requires_grad_() for t, d in zip(tensors, directions, strict=True)]


def slope(function, tensors, directions):
    """The directional derivative of a number-valued function, by central differences."""
    values = [function(moved(tensors, directions, s)).item() for s in (STEP, -STEP)]
    return (values[0] - values[1]) / (2 * STEP)


def assert_close(a, b, scale, tolerance, what):
    assert abs(a - b) <= tolerance * (1 + abs(scale) + abs(a)), f"{what}: {a} against {b}"


def test_lists_name_only_ops_that_exist():
    assert sorted(set(LISTS) - set(ops)) == []


@pytest.mark.parametrize("name", checked_ops())
def test_has_cases(name):
    assert cases_of(ops[name], LISTS), f"tests/primitives/cases.py has no cases for the op '{name}'"


@pytest.mark.parametrize("name", checked_ops())
def test_gradient_is_the_slope(name):
    random = np.random.RandomState(1)
    for call in calls(name):
        outputs = call.run()
        g, t = like(outputs, random), like(call.inputs, random)
        assert not call.inputs or any(o.requires_grad for o in outputs)
        expected = slope(lambda x, call=call, g=g: inner(call.with_inputs(x), g), call.inputs, t)
        got = inner(grad(outputs, call.inputs, g), t).item()
        assert_close(got, expected, 0, 1e-7, name)


@pytest.mark.parametrize("name", checked_ops())
def test_transpose_and_second_order(name):
    """<g, J t> = <J^T g, t>, with J t from the derivative of J^T g; and the slope of J^T g."""
    random = np.random.RandomState(2)
    for call in calls(name):
        outputs = call.run()
        g, t = [v.requires_grad_() for v in like(outputs, random)], like(call.inputs, random)
        pulled = grad(outputs, call.inputs, g, create_graph=True)
        pairing = inner(pulled, t)
        pushed = grad([pairing], g)
        assert_close(inner(pushed, g).item(), pairing.item(), 0, 1e-11, f"{name}, transpose")

        def pairing_at(x, call=call, g=g, t=t):
            return inner(grad(call.with_inputs(x), x, g), t)

        d = like(call.inputs, random)
        expected = slope(pairing_at, call.inputs, d)
        got = inner(grad([pairing], call.inputs), d).item()
        assert_close(got, expected, pairing.item(), 2e-7, f"{name}, second order")


@pytest.mark.parametrize("name", [n for n in checked_ops() if ops[n].family in ("composite", "elementwise")])
def test_third_order(name):
    random = np.random.RandomState(3)
    for call in list(calls(name))[:2]:
        g, t, d, e = (like(x, random) for x in (call.run(), call.inputs, call.inputs, call.inputs))

        def second(x, create_graph, call=call, g=g, t=t, d=d):
            pairing = inner(grad(call.with_inputs(x), x, g, create_graph=True), t)
            return inner(grad([pairing], x, create_graph=create_graph), d)

        expected = slope(lambda x: second(x, False), call.inputs, e)
        value = second(call.inputs, True)
        got = inner(grad([value], call.inputs), e).item()
        assert_close(got, expected, value.item(), 1e-6, f"{name}, third order")


@pytest.mark.parametrize("name", checked_ops())
def test_both_paths_give_the_same_bits(name):
    """The engine's own path and the recorded one, in both precisions, and again from filled caches."""
    random = np.random.RandomState(4)
    for dtype in (torch.float32, torch.float64):
        for call in calls(name, dtype):
            outputs = call.run()
            g = like(outputs, random)
            plain = bits(grad(outputs, call.inputs, g))
            assert plain == bits(grad(outputs, call.inputs, g, create_graph=True))
            again = call.run()
            assert bits(outputs) == bits(again)
            assert plain == bits(grad(again, call.inputs, g))


CHAINED = sorted(
    name
    for name in checked_ops()
    if ops[name].family == "elementwise"
    and all(p.kind in ("Tensor", "Operand") for p in ops[name].signature.parameters)
)


@pytest.mark.parametrize("name", CHAINED)
def test_fused_and_single_steps_give_the_same_bits(name):
    """A chain as one traced program, where steps are fused, and step by step."""
    op = ops[name]
    function = function_of(op)

    def chain(*args):
        y = function(*args)
        return (y * 0.5 + 1.25) * y

    traced = Composite(op.signature.text, chain, name=f"chain_of_{name}")
    del ops[traced.name]
    random = np.random.RandomState(6)
    for dtype in (torch.float32, torch.float64):
        for call in calls(name, dtype):
            one, many = function_of(traced)(*call.args), chain(*call.args)
            g = like([one], random)
            assert bits([one]) == bits([many])
            assert bits(grad([one], call.inputs, g)) == bits(grad([many], call.inputs, g))


def test_cast():
    x = torch.tensor([1.5, -2.0], dtype=torch.float64, requires_grad=True)
    (g,) = torch.autograd.grad(x.float(), [x], torch.tensor([0.1, 3.0]), create_graph=True)
    assert g.dtype == torch.float64
    assert g.tolist() == [float(np.float32(0.1)), 3.0]


@pytest.mark.parametrize("name", sorted(n for n, op in ops.items() if op.edges))
def test_edges(name):
    """The derivative at the points that the declaration names."""
    op = ops[name]
    for dtype in (torch.float32, torch.float64):
        for point, expected in op.edges.items():
            points = point if isinstance(point, tuple) else (point,)
            expected = expected if isinstance(expected, tuple) else (expected,)
            x = [torch.tensor(float(p), dtype=dtype, requires_grad=True) for p in points]
            call = Call(op, [np.asarray(float(p)) for p in points], dtype)
            got = [g.item() for g in grad(call.with_inputs(x), x)]
            assert got == pytest.approx(list(expected), abs=0, rel=1e-6), f"{name} at {point}"
