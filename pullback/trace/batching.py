"""One program for many samples: each instruction of a program for one sample, replaced by its rule for a
batch.

The samples lie along an axis in front. The rules stand in pullback/primitives/batch_rules.py, most of them
one for a whole family.
"""

from __future__ import annotations

from pullback.trace import signature as sig
from pullback.trace.rules import Replay
from pullback.trace.sizes import SIZE
from pullback.trace.tracer import DTYPES, functions

find_rule = None  # (op) -> rule(batch, instruction, values); set by pullback.primitives.batch_rules


class BatchReplay(Replay):
    """Copies a program; what depends on a batched input is batched."""

    def __init__(self, trace, new, many):
        super().__init__(trace, new)
        self.many = set(many)  # new tracers with the samples in front
        self.size = many[0].size(0)

    def copy(self, i):
        operands = [self.operand(x) for x in i.operands]
        ints = [self.integer(p) for p in i.ints]
        if not any(x in self.many for x in operands):
            return self.trace.graph.record(i.op, operands, ints)
        values = sig.decode(i.op.signature, operands, ints, DTYPES)
        out = find_rule(i.op)(self, i, *values)
        out = out if isinstance(out, (tuple, list)) else (out,)
        self.many.update(out)
        return [self.shaped(t, o) for t, o in zip(out, i.outputs)]

    def shaped(self, t, one):
        """Axes of size 1 that a rule put in for a scalar are taken out again."""
        while t.ndim > one.ndim + 1:
            t = functions["_squeeze"](t, (1,))
        self.many.add(t)
        return t

    def size_of(self, kind, t, axis):
        """Of one sample."""
        if t not in self.many:
            return super().size_of(kind, t, axis)
        return t.size(axis + 1) if kind == SIZE else t.numel() // self.size

    # ---- what rules use ----

    def record(self, op, *values):
        """The op itself on batched values: all of its results."""
        operands, ints, _ = sig.encode(op.signature, values)
        return self.trace.graph.record(op, operands, ints)

    def is_many(self, t):
        return t in self.many

    def rank(self, t):
        """Axes of one sample."""
        return t.ndim - (t in self.many)

    def in_front(self, t):
        """With the samples in front, whether it has them or is shared by all."""
        if t in self.many:
            return t
        out = functions["expand"](t, (self.size, *t.shape))
        self.many.add(out)
        return out

    def lines_up(self, t, rank):
        """With axes of size 1 after the samples, up to the rank that broadcasting needs."""
        if t not in self.many:
            return t
        for _ in range(rank - self.rank(t)):
            t = functions["unsqueeze"](t, 1)
        self.many.add(t)
        return t

    def one_axis(self, t):
        """A scalar a sample as a line of one element a sample."""
        t = self.in_front(t)
        if t.ndim == 1:
            t = functions["unsqueeze"](t, 1)
            self.many.add(t)
        return t
