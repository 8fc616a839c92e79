"""Every rule of the registry: derivatives to the third order, forward mode, batches, the bits of all paths.

The rules are taken from the registry, so that none can be without a test: one that has no cases fails.
"""

import numpy as np
import pytest

import pullback as torch
from pullback.checking import checks
from pullback.checking.cases import listed
from pullback.checking.checks import CHECKS
from pullback.checking.harness import Call, grad
from pullback.primitives.registry import ops

# Run sample by sample: their results, or what they keep, differ in size from sample to sample, or they work
# on memory as it lies.
LOOPED = {
    "as_strided_of_base",
    "as_strided_in_place",
    "masked_scatter",
    "masked_select_at",
    "copy_slices",
}
NOTHING_TO_DIFFERENTIATE = {"full_like_scalar", "log_of"}


def is_excused(name, check, reason):
    """Whether a check may be without a number."""
    if check == "fused steps":
        return reason == "one step"
    return reason == "sizes" and name in NOTHING_TO_DIFFERENTIATE


@pytest.mark.filterwarnings("ignore:This overload")
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", checks.built_in())
def test_rule(name, check):
    outcome = checks.run(check, checks.rule(name))
    if outcome.error is None:
        assert is_excused(name, check, outcome.reason), outcome.reason
    assert outcome.passed, f"{outcome.error} above {outcome.bound}"
    assert not outcome.looped or name in LOOPED


def test_lists_name_only_ops_that_exist():
    assert sorted(set(listed()) - set(ops)) == []


@pytest.mark.parametrize("name", checks.built_in())
def test_has_cases(name):
    assert checks.rule(name).cases, f"pullback/checking/cases.py has no cases for the op '{name}'"


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
