"""Forward mode and batches where rules choose: at zeros, infinities, ties, positions from the end."""

import numpy as np
import pytest

import pullback as torch
import pullback.autograd.forward_ad as forward_ad
from pullback import _core
from pullback.func import not_vectorised, vmap
from pullback.primitives.registry import ops

inf, nan = float("inf"), float("nan")
POINTS = [0.0, -0.0, 0.25, -0.5, 1.0, -1.0, 2.0, 3.0, -3.0, inf, -inf, nan, 1e-300, 1e300]
F = torch.nn.functional


def of_numbers(op):
    """Whether an op takes one or two tensors and nothing else, and is differentiable."""
    parameters = op.signature.parameters
    plain = all(p.kind in ("Tensor", "Operand") and not p.list for p in parameters)
    return op.family in ("elementwise", "composite") and op.differentiable and plain and len(parameters) <= 2


def tangents_and_gradients(function, values):
    """(reverse, forward) derivatives of a function of numbers by each of them."""
    xs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]
    y = function(*xs)
    if not isinstance(y, torch.Tensor) or not y.requires_grad:
        return
    reverse = torch.autograd.grad(y, xs, allow_unused=True)
    for k, g in enumerate(reverse):
        with forward_ad.dual_level():
            given = [x.detach() for x in xs]
            given[k] = forward_ad.make_dual(given[k], torch.ones((), dtype=torch.float64))
            t = forward_ad.unpack_dual(function(*given)).tangent
        yield (0.0 if g is None else g.item()), (0.0 if t is None else t.item())


@pytest.mark.parametrize("name", [name for name, op in ops.items() if of_numbers(op)])
def test_both_modes_choose_alike(name):
    op = ops[name]
    function = _core.op_function(name, [(op.signature.text, op.handle)], False, None, "")
    two = len(op.signature.parameters) == 2
    for values in [(a, b) for a in POINTS[::2] for b in POINTS[1::3]] if two else [(a,) for a in POINTS]:
        try:
            pairs = list(tangents_and_gradients(function, values))
        except (RuntimeError, TypeError):  # refuses numbers or tensors, or has no derivative
            return
        for reverse, forward in pairs:
            np.testing.assert_allclose(forward, reverse, rtol=1e-12, err_msg=f"{name}{values}")


ROWS = [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 2.0], [-inf, 0.0, 1.0], [2.0, 2.0, 1.0], [0.5, 0.5, 0.0]]
OF_ROWS = {
    **{f"norm {p}": (lambda x, p=p: torch.linalg.vector_norm(x, p)) for p in (0.5, 1, 1.5, 2, 2.5, 3, inf)},
    "std": lambda x: x.std(),
    "std_mean": lambda x: torch.std_mean(x, 0)[0],
    "prod": lambda x: x.prod(),
    "cumprod": lambda x: x.cumprod(0),
    "logsumexp": lambda x: x.logsumexp(0),
    "logcumsumexp": lambda x: x.logcumsumexp(0),
    "softmax": lambda x: x.softmax(0),
    "amax": lambda x: x.amax(),
    "median": lambda x: x.median(),
    "dist": lambda x: torch.dist(x, x.detach(), 3),
    "logit": lambda x: torch.logit(x, 1e-3),
    "xlogy": lambda x: torch.xlogy(x, x),
    "hardswish": lambda x: F.hardswish(x),
    "prelu": lambda x: F.prelu(x, x[:1].detach()),
    "scatter_reduce": lambda x: x.scatter_reduce(0, torch.tensor([0, 0, 1]), x, "prod"),
}


@pytest.mark.parametrize("name", OF_ROWS)
def test_both_modes_choose_alike_in_rows(name):
    function = OF_ROWS[name]
    for row in ROWS:
        x = torch.tensor(row, dtype=torch.float64)
        leaf = x.clone().requires_grad_()
        y = function(leaf).reshape(-1)
        rows = [torch.autograd.grad(y[k], leaf, retain_graph=True)[0].numpy() for k in range(len(y))]
        columns = []
        for k in range(3):
            with forward_ad.dual_level():
                t = torch.zeros(3, dtype=torch.float64)
                t[k] = 1
                pushed = forward_ad.unpack_dual(function(forward_ad.make_dual(x, t)).reshape(-1)).tangent
                columns.append(pushed.numpy())
        if np.isfinite(rows).all():  # else 0 * nan, on one way or the other
            np.testing.assert_allclose(np.stack(columns, 1), rows, rtol=1e-9, err_msg=f"{name} at {row}")


def test_positions_from_the_end():
    x = torch.arange(12.0).reshape(2, 3, 2)
    index = torch.tensor([[0, -1], [-6, 5]])
    with not_vectorised() as report:
        got = vmap(torch.take)(x, index)
    assert got.tolist() == [[0.0, 5.0], [6.0, 11.0]] and not report
