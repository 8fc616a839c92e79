"""Update rules (an optimizer's step) as programs that run over all parameters with one native call."""

from __future__ import annotations

from pullback import _core
from pullback.trace.program import Lowering
from pullback.trace.tracer import N_INPUT, Graph, Number, kind_of


class StepScalar(Number):
    """A run-time scalar of a step. Which side of 1/2 it lies on is part of the program's key (lerp asks)."""

    __slots__ = ("hint",)

    def __abs__(self):
        return abs(self.hint)


def step_rule(fn, outputs):
    """A native rule that calls `fn` for rows of tensors and writes its results over the columns in
    `outputs`."""
    programs: dict = {}

    def trace(row, scalars, flags):
        types = tuple(None if t is None else t.dtype for t in row)
        kinds = tuple((kind_of(v), abs(v) < 0.5) for v in scalars.values())
        key = (types, kinds, tuple(flags.values()))
        if key not in programs:
            programs[key] = _trace(fn, row, scalars, flags, outputs)
        return programs[key]

    return _core.StepRule(trace)


def _trace(fn, example, scalars, flags, outputs):
    graph = Graph()
    row, inputs = [], []
    for t in example:
        if t is None:
            row.append(None)
            continue
        row.append(graph.input((t.dtype._id, tuple(t.shape), t.stride()), len(inputs)))
        inputs.append(row[-1])
    numbers = {}
    for k, (name, value) in enumerate(scalars.items()):
        numbers[name] = StepScalar(graph, N_INPUT, k, None, kind_of(value))
        numbers[name].hint = value
    results = fn(*row, **numbers, **flags)
    written, targets = [], []
    for index, result in zip(outputs, results):
        if result is None or result is row[index]:
            continue
        written.append(result)
        targets.append(next(k for k, t in enumerate(inputs) if t is row[index]))
    return Lowering(inputs, len(numbers)).finish(written, in_place=targets)
