"""Ops derived from ops: results with their tangents (forward mode), and many samples at once (vmap).

Each is a composite of its own, traced when a symbolic key first asks for it; so it is recorded, differentiated,
batched and pushed forward like any other op, to any depth.
"""

from __future__ import annotations

from pullback import _core
from pullback.trace.batching import BatchReplay, NoBatchRule
from pullback.trace.rules import Replay, Trace, make_rule, shared_bit
from pullback.trace.tracer import DTYPES, functions

SHARED = 63  # operands from here on share a bit of a mask


class DerivedOp:
    """An op made from another, for the operands in a mask. Lives as long as the process, like its origin."""

    family = "composite"
    dear = True

    def __init__(self, origin, mask, suffix):
        self.origin, self.mask = origin, mask
        self.differentiable = origin.differentiable
        self.name = origin.name + suffix
        self.node_name = origin.node_name
        self.handle = _core.register_op(
            self.name, self.node_name, "composite", 0, "", self.differentiable, self
        )


class DualOp(DerivedOp):
    """Takes the tangents of the operands in the mask, then the operands. Gives each result, followed by its
    tangent if it has one."""

    def __init__(self, origin, mask):
        super().__init__(origin, mask, "_dual")

    def make_trace(self, operands, ints, symbolic, need):
        return DualTrace(self, operands, ints, symbolic, need)

    def tangents(self, operands) -> int:
        """How many tangents there are: one an operand, where several share a bit too."""
        few = (self.mask & ((1 << SHARED) - 1)).bit_count()
        if not self.mask >> SHARED:
            return few
        n = few
        while sum(_is_float(o) for o in operands[n + SHARED :]) != n - few:
            n += 1
        return n


def _is_float(operand):
    return len(operand) > 1 and DTYPES[operand[0]].is_floating_point


class DualTrace(Trace):
    def __init__(self, op, operands, ints, symbolic, need):
        self.n_tangents = op.tangents(operands)
        self.inner = make_rule(op.origin, operands[self.n_tangents :], ints, symbolic, op.mask)
        super().__init__(op, operands, ints, symbolic, need)

    def run(self):
        inner, n = self.inner, self.n_tangents
        tangents = [inner.graph.input(w.meta, -1 - k) for k, w in enumerate(inner.wanted())]
        pushed = inner.push_forward(tangents)
        replay = Replay(self, dict(zip(tangents + inner.inputs, self.inputs)))
        replay.guards(inner.graph)
        out = []
        for o, t in zip(inner.visible_outputs, pushed):
            out += replay.run([o])
            if t is not None:
                out += replay.run([t])
            elif o.dtype.is_floating_point:
                out.append(functions["_full_like"](out[-1], 0))
        assert len(tangents) == n
        return out


class BatchOp(DerivedOp):
    """Operands in the mask, and all results, have the samples along an axis in front."""

    def __init__(self, origin, mask):
        super().__init__(origin, mask, "_batched")

    def make_trace(self, operands, ints, symbolic, need):
        return BatchTrace(self, operands, ints, symbolic, need)


class BatchTrace(Trace):
    def __init__(self, op, operands, ints, symbolic, need):
        one = [
            (o[0], o[1][1:], o[2][1:]) if len(o) > 1 and op.mask & shared_bit(k) else o
            for k, o in enumerate(operands)
        ]
        self.inner = make_rule(op.origin, one, ints, symbolic, 0)
        super().__init__(op, operands, ints, symbolic, need)

    def run(self):
        many = [t for k, t in self.tensors() if self.op.mask & shared_bit(k)]
        replay = BatchReplay(self, dict(zip(self.inner.inputs, self.inputs)), many)
        replay.guards(self.inner.graph)
        return [replay.in_front(t) for t in replay.run(self.inner.visible_outputs)]


_known: dict = {}


def derive(origin, kind, mask):
    """Called by the native side at the first use of a derived op."""
    key = (id(origin), kind, mask)
    if key not in _known:
        _known[key] = (BatchOp, DualOp)[kind](origin, mask)
    return _known[key].handle


_core.set_op_deriver(derive, NoBatchRule)
