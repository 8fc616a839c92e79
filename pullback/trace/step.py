"""Update rules (an optimizer's step) as programs that run over all parameters with one native call."""

from __future__ import annotations

from pullback import _core
from pullback.trace.program import Lowering
from pullback.trace.tracer import N_INPUT, Graph, Number, kind_of

_programs: dict = {}


class StepScalar(Number):
    """A run-time scalar of a step. Which side of 1/2 it lies on is part of the program's key (lerp asks)."""

    __slots__ = ("hint",)

    def __abs__(self):
        return abs(self.hint)


def run_step(fn, columns, scalars, flags, outputs) -> None:
    """Calls `fn` for every row of `columns` and writes its results over the columns numbered in `outputs`."""
    by_types: dict = {}
    present = [c for c in columns if c is not None]
    for row in zip(*present):
        by_types.setdefault(tuple(t.dtype for t in row), []).append(row)
    values = list(scalars.values())
    kinds = tuple((n, kind_of(v), abs(v) < 0.5) for n, v in scalars.items())
    shape = tuple(c is not None for c in columns)
    for types, rows in by_types.items():
        key = (fn, shape, types, kinds, tuple(flags.items()))
        program = _programs.get(key)
        if program is None:
            program = _programs[key] = _trace(fn, shape, rows[0], scalars, flags, outputs)
        program.run([list(c) for c in zip(*rows)], values)


def _trace(fn, shape, example, scalars, flags, outputs):
    graph = Graph()
    tensors = iter(example)
    row, inputs = [], []
    for present in shape:
        if not present:
            row.append(None)
            continue
        t = next(tensors)
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
    program = Lowering(inputs, len(numbers)).finish(written, in_place=targets)
    return _core.StepProgram(program)
