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


def step_rule(fn, columns, outputs, recorded):
    """A native rule that calls `fn` for rows of tensors and writes its results over the columns in `outputs`:
    ``rule(columns, name=value, ...)``, where truth values are part of the program and numbers are not.

    recorded(columns, values) runs where a value is neither, but a tensor.
    """
    programs: dict = {}

    def trace(row, values):
        types = tuple(None if t is None else t.dtype for t in row)
        key = (types, tuple((k, v if v is True or v is False else _side(v)) for k, v in values.items()))
        if key not in programs:
            programs[key] = _trace(fn, row, values, outputs)
        return programs[key]

    return _core.StepRule(fn, columns, trace, recorded)


def _side(number):
    return kind_of(number), abs(number) < 0.5


def _trace(fn, example, values, outputs):
    graph = Graph()
    row, inputs = [], []
    for t in example:
        if t is None:
            row.append(None)
            continue
        row.append(graph.input((t.dtype._id, tuple(t.shape), t.stride()), len(inputs)))
        inputs.append(row[-1])
    options = dict(values)
    numbers = [name for name, value in values.items() if not isinstance(value, bool)]
    for k, name in enumerate(numbers):
        options[name] = StepScalar(graph, N_INPUT, k, None, kind_of(values[name]))
        options[name].hint = values[name]
    results = fn(*row, **options)
    written, targets = [], []
    for index, result in zip(outputs, results):
        if result is None or result is row[index]:
            continue
        written.append(result)
        targets.append(next(k for k, t in enumerate(inputs) if t is row[index]))
    return Lowering(inputs, len(numbers)).finish(written, in_place=targets)
