"""From a trace to a native program: what is needed for the outputs, in order, over numbered values."""

from __future__ import annotations

from pullback import _core
from pullback.trace.sizes import CONST, PARAM, SIZE, Size, work_out
from pullback.trace.tracer import FLOAT, N_CONST, N_INPUT, N_SIZE, Number, Tracer

V_INPUT, V_RESULT, V_NUMBER = range(3)


class Lowering:
    """Numbers values, expressions and instructions. `inputs` are the tracers that the program is given."""

    def __init__(self, inputs, scalars=0, params=0):
        self.spec = {
            "inputs": len(inputs),
            "scalars": scalars,
            "params": params,
            "ints": [],
            "numbers": [],
            "guards": [],
            "values": [],
            "instructions": [],
            "outputs": [],
            "in_place": [],
        }
        self.value_of: dict = {}
        self.int_of: dict = {}
        self.sizes: dict = {}  # expressions that are written down already
        self.number_of: dict = {}
        self.only_shapes = False
        for k, t in enumerate(inputs):
            if t is not None:
                self.value_of[t] = self._add("values", (V_INPUT, k, 0))

    def _add(self, table, row) -> int:
        self.spec[table].append(row)
        return len(self.spec[table]) - 1

    def value(self, x) -> int:
        if isinstance(x, Number):
            if x not in self.value_of:
                self.value_of[x] = self._add("values", (V_NUMBER, self.number(x), 0))
            return self.value_of[x]
        self._ensure(x)
        return self.value_of[x]

    def _ensure(self, tracer):
        """Writes down everything that a value needs, without recursion over the trace."""
        stack = [tracer]
        while stack:
            t = stack[-1]
            if t in self.value_of:
                stack.pop()
                continue
            if t.source is None and not (t.like is not None and self.only_shapes):
                raise RuntimeError("a program reads a value that is not among its inputs")
            missing = [d for d in dependencies(t, self.sizes) if d not in self.value_of]
            if missing:
                stack.extend(missing)
                continue
            if t.source is None:
                self.value_of[t] = self.value_of[t.like]
            else:
                self._instruction(t.source)
            stack.pop()

    def _instruction(self, i):
        operands = [self.value(x) for x in i.operands]
        params = [(True, self.integer(p)) if isinstance(p, Size) else (False, p) for p in i.ints]
        index = len(self.spec["instructions"])
        first = len(self.spec["values"])
        for k, out in enumerate(i.outputs):
            value = self._add("values", (V_RESULT, index, k))
            self.value_of.setdefault(out, value)  # one that the program is given stays what it is given
        self.spec["instructions"].append((i.op.handle, operands, params, first, len(i.outputs)))

    def integer(self, e) -> int:
        return work_out(e, self._plain_integer, self._int_row, self.sizes)

    def _plain_integer(self, e) -> int:
        if not isinstance(e, Size):
            return self._int_row(CONST, e, 0)
        if e.kind == PARAM:
            return self._int_row(PARAM, e.a, 0)
        return self._int_row(e.kind, self.value(e.a), e.b if e.kind == SIZE else 0)

    def _int_row(self, *row) -> int:
        if row not in self.int_of:
            self.int_of[row] = self._add("ints", row)
        return self.int_of[row]

    def number(self, n) -> int:
        if n in self.number_of:
            return self.number_of[n]
        example = 0.0 if n.kind == FLOAT else (False if n.kind == 0 else 0)
        if n.op == N_CONST:
            row = (N_CONST, 0, 0, n.value)
        elif n.op == N_INPUT:
            row = (N_INPUT, n.a, 0, example)
        elif n.op == N_SIZE:
            row = (N_SIZE, self.integer(n.a), 0, example)
        else:
            row = (n.op, self.number(n.a), self.number(n.b), example)
        self.number_of[n] = self._add("numbers", row)
        return self.number_of[n]

    def finish(self, outputs, guards=(), in_place=()):
        self.spec["outputs"] = [self.value(o) for o in outputs]
        # Guards of a backward are asked before there are cotangents: an instruction for its shape is not run.
        self.only_shapes = True
        for relation, a, b, answer in guards:
            self.spec["guards"].append((relation, self.integer(a), self.integer(b), answer))
        self.spec["in_place"] = list(in_place)
        return _core.program(self.spec)


def size_sources(e, known=()) -> list:
    """The values whose sizes an expression needs, apart from those of `known` parts."""
    found, seen, stack = [], set(), [e]
    while stack:
        x = stack.pop()
        if not isinstance(x, Size) or x in known or x in seen:
            continue
        seen.add(x)
        if isinstance(x.a, Tracer):
            found.append(x.a)
        else:
            stack += (x.b, x.a)
    return found


def _number_sources(n, known) -> list:
    if n.op == N_SIZE:
        return size_sources(n.a, known)
    if n.op in (N_CONST, N_INPUT):
        return []
    return _number_sources(n.a, known) + _number_sources(n.b, known)


def dependencies(t, known=()) -> list:
    """Values whose elements or sizes are needed to make a value; what `known` sizes need is there already."""
    if t.source is None:
        return [t.like]
    instruction = t.source
    found = [x for x in instruction.operands if isinstance(x, Tracer)]
    for x in instruction.operands:
        if isinstance(x, Number):
            found += _number_sources(x, known)
    for p in instruction.ints:
        found += size_sources(p, known)
    return found


def is_constant(t) -> bool:
    """Made from a shape alone: made again where it is asked for, never kept."""
    return t.source is not None and t.source.op.shape_only


def element_reads(outputs, stop) -> set:
    """The values of `stop` whose elements are needed to compute `outputs`."""
    reads, seen, stack = set(), set(), list(outputs)
    while stack:
        t = stack.pop()
        if t in seen:
            continue
        seen.add(t)
        if is_constant(t):
            continue
        if t in stop:
            reads.add(t)
        elif t.source is not None:
            stack.extend(x for x in t.source.operands if isinstance(x, Tracer))
    return reads
