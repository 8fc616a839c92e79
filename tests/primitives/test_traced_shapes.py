"""Functions that look at shapes before they call an op, where the values are those of a trace."""

import pytest

import pullback as torch
from pullback.primitives.family import composite
from pullback.primitives.registry import ops
from pullback.trace.tracer import functions as f

CASES = {
    "einsum": (lambda a: torch.einsum("ij,kj->ik", a, a), lambda a: a @ a.T),
    "flatten": (lambda a: torch.flatten(a, 0, 1), lambda a: a.reshape(-1)),
    "squeeze": (lambda a: torch.squeeze(a, 0), lambda a: a.reshape(a.shape[1:]) if len(a) == 1 else a),
    "stack": (lambda a: torch.stack([a, a], 1), lambda a: torch.cat([a[:, None], a[:, None]], 1)),
}


@pytest.fixture(params=CASES)
def case(request):
    """(a composite op whose function calls the public one, what it should be); taken out again afterwards."""
    name = f"_traced_{request.param}"
    traced, expected = CASES[request.param]
    composite(f"{name}(Tensor a)", traced, expose_as=name)
    yield f[name], expected
    del ops[name], f[name]


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_as_outside_of_a_trace(case, rows):
    traced, expected = case
    a = torch.arange(1.0, 1 + 3 * rows).reshape(rows, 3).requires_grad_()
    got, wanted = traced(a), expected(a)
    assert torch.equal(got, wanted)
    (g,), (h,) = torch.autograd.grad(got.square().sum(), a), torch.autograd.grad(wanted.square().sum(), a)
    assert torch.equal(g, h)
