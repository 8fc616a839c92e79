"""One body for one optimizer step.

A rule is a pure function of one parameter's tensors: it takes them as positional arguments, run-time numbers
and static flags as keywords, and returns the new tensors. ``update_rule`` turns it into a function of columns
(the same tensor of every parameter in one list) that writes the results in place. A rule uses torch's own
combined operations where torch does, because they round once where two operations round twice:

    add(a, b, alpha=s)           fma(s, b, a)
    lerp(a, b, w)                fma(w, b - a, a) for abs(w) < 1/2, else fma(w - 1, b - a, b)
    addcmul(a, b, c, value=s)    fma(s * b, c, a)
    addcdiv(a, b, c, value=s)    (s * b) / c + a
"""

from __future__ import annotations

import functools
import inspect
import itertools

from pullback import _api as torch
from pullback.tensor import Tensor
from pullback.trace.step import step_rule

__all__ = ["add_quotient", "add_scaled", "number", "update_rule"]


def _run_recorded(fn, outputs, columns, values):
    """The step in tensor operations: a tensor among the values (a learning rate that is differentiated)
    keeps it on the tape."""
    rows = zip(*(itertools.repeat(None) if column is None else column for column in columns), strict=False)
    for row in rows:
        results = fn(*row, **values)
        for index, result in zip(outputs, results, strict=True):
            if result is not None and result is not row[index]:
                row[index].copy_(result)


def update_rule(*writes):
    """Decorate a rule; ``writes`` names, in the order of the returned tuple, the arguments that it replaces.

    The decorated function is called as ``rule(columns, name=value, ...)``, with the same tensor of every
    parameter in each column, and the rule's numbers and flags by name. Flags are True or False.
    """

    def decorate(fn):
        parameters = inspect.signature(fn).parameters.values()
        names = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
        outputs = tuple(names.index(name) for name in writes)
        return step_rule(fn, names, outputs, functools.partial(_run_recorded, fn, outputs))

    return decorate


def number(value, keep_graph=False):
    """A run-time scalar as a Python number; with ``keep_graph`` a tensor that needs a gradient stays one."""
    if isinstance(value, Tensor) and not (keep_graph and value.requires_grad):
        return value.item()
    return value


def add_scaled(a, b, scale):
    """a + scale * b, rounded once; ``scale`` may be a tensor whose gradient is wanted."""
    if isinstance(scale, Tensor):
        return torch.addcmul(a, b, scale)
    return torch.add(a, b, alpha=scale)


def add_quotient(p, a, b, scale):
    """p + scale * a / b, rounded as addcdiv; ``scale`` may be a tensor whose gradient is wanted."""
    if isinstance(scale, Tensor):
        return p + scale * a / b
    return torch.addcdiv(p, a, b, value=scale)
