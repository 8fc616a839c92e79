"""Ops derived from ops: results with their tangents (forward mode), and many samples at once (vmap).

Each is a composite of its own, traced when a symbolic key first asks for it; so it is recorded,
differentiated, batched and pushed forward like any other op, to any depth.
"""

from __future__ import annotations

from pullback import _core
from pullback.trace.batching import BatchReplay
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


class DerivedTrace(Trace):
    """A trace made from that of the origin: a vjp that is given by hand there is used here too."""

    inner: Trace

    @property
    def given_by_hand(self):
        return self.inner.given_by_hand

    def pulled(self, cotangents, need):
        """The origin's gradients of the operands in `need`, in its own graph: (its cotangents, its wanted
        inputs, gradients)."""
        inner = self.inner
        before, inner.need = inner.need, need
        try:
            given = [
                None if c is None else inner.graph.companion(o, -1 - k)
                for k, (c, o) in enumerate(zip(cotangents, inner.visible_outputs))
            ]
            return given, inner.wanted(), inner.pull_back(given + [None] * len(inner.hidden))
        finally:
            inner.need = before


class DualOp(DerivedOp):
    """Takes the tangents of the operands in the mask, then the operands. Gives each result, followed by its
    tangent if it has one."""

    suffix = "_dual"
    with_values = True

    def __init__(self, origin, mask):
        super().__init__(origin, mask, self.suffix)

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


def is_view(t):
    """Whether a traced value shares the memory of an operand."""
    while t.source is not None and t.source.op.family == "view":
        t = t.source.operands[0]
    return t.source is None


def own_memory(tangent, value, out):
    """A tangent in memory that belongs to no other, unless its value is a view in its turn."""
    shared = is_view(tangent) and not is_view(value)
    return functions["_clone"](tangent) if shared or any(tangent is o for o in out) else tangent


class TangentOp(DualOp):
    """The tangents alone: for tangents of many samples beside values that all of them share."""

    suffix = "_tangents"
    with_values = False


class DualTrace(DerivedTrace):
    def __init__(self, op, operands, ints, symbolic, need):
        self.n_tangents = op.tangents(operands)
        self.inner = make_rule(op.origin, operands[self.n_tangents :], ints, symbolic, op.mask)
        super().__init__(op, operands, ints, symbolic, need)

    def run(self):
        inner = self.inner
        tangents = [inner.graph.companion(w, -1 - k) for k, w in enumerate(inner.wanted())]
        pushed = inner.push_forward(tangents)
        self.replay = replay = Replay(self, dict(zip(tangents + inner.inputs, self.inputs)))
        replay.guards(inner.graph)
        out, self.values = [], []
        for o, t in zip(inner.visible_outputs, pushed):
            value = replay.run([o])[0]
            if self.op.with_values:
                self.values.append(len(out))
                out.append(value)
            if t is not None:
                out.append(own_memory(replay.run([t])[0], value, out))
            elif o.dtype.is_floating_point:
                out.append(functions["_full_like"](value, 0))
        return out

    def direct_outputs(self):
        return self.values

    def by_hand(self, cotangents):
        own = [k - self.n_tangents for k in range(len(self.operands)) if self.need & shared_bit(k)]
        need = sum({shared_bit(k) for k in own if k >= 0})
        given, wanted, gradients = self.pulled(cotangents, need)
        self.replay.new.update((g, c) for g, c in zip(given, cotangents) if g is not None)
        found = {
            self.replay.new[w]: self.replay.run([g])[0] for w, g in zip(wanted, gradients) if g is not None
        }
        return [found.get(w) for w in self.wanted()]


class BatchOp(DerivedOp):
    """Operands in the mask, and all results, have the samples along an axis in front."""

    def __init__(self, origin, mask):
        super().__init__(origin, mask, "_batched")

    def make_trace(self, operands, ints, symbolic, need):
        return BatchTrace(self, operands, ints, symbolic, need)


class BatchTrace(DerivedTrace):
    def __init__(self, op, operands, ints, symbolic, need):
        one = [
            (o[0], o[1][1:], o[2][1:]) if len(o) > 1 and op.mask & shared_bit(k) else o
            for k, o in enumerate(operands)
        ]
        self.inner = make_rule(op.origin, one, ints, symbolic, need)
        super().__init__(op, operands, ints, symbolic, need)

    def run(self):
        many = [t for k, t in self.tensors() if self.op.mask & shared_bit(k)]
        self.replay = replay = BatchReplay(self, dict(zip(self.inner.inputs, self.inputs)), many)
        replay.guards(self.inner.graph)
        outputs = self.inner.visible_outputs
        return [self.for_each(t, o) for t, o in zip(replay.run(outputs), outputs)]

    def for_each(self, t, one):
        """A result with the samples in front, in memory of its own for each: it may be changed in place."""
        if t not in self.replay.many:
            return functions["_contiguous"](self.replay.in_front(t))
        return functions["_clone"](t) if is_view(t) and not is_view(one) else t

    def by_hand(self, cotangents):
        replay = self.replay
        given, wanted, gradients = self.pulled(cotangents, self.need)
        pairs = [(g, c) for g, c in zip(given, cotangents) if g is not None]
        replay.new.update(pairs)
        replay.many.update(c for _, c in pairs)
        found = {}
        for w, g in zip(wanted, gradients):
            if g is None:
                continue
            new, total = replay.new[w], replay.in_front(replay.run([g])[0])
            found[new] = total if new in replay.many else functions["sum"](total, (0,))
        return [found.get(w) for w in self.wanted()]


class GradientsOp:
    """The gradients of an op's operands in `need`: takes the cotangents in the mask, then the operands. All
    that the way back reads is worked out from these."""

    family = "composite"
    differentiable = True
    dear = True

    def __init__(self, origin, mask, need):
        self.origin, self.mask, self.wanted = origin, mask, need
        self.name, self.node_name = origin.name + "_gradients", origin.node_name
        self.handle = _core.register_op(self.name, self.node_name, "composite", 0, "", True, self)

    def make_trace(self, operands, ints, symbolic, need):
        return GradientsTrace(self, operands, ints, symbolic, need)


class GradientsTrace(Trace):
    def __init__(self, op, operands, ints, symbolic, need):
        self.inner = make_rule(op.origin, operands[op.mask.bit_count() :], ints, symbolic, op.wanted)
        super().__init__(op, operands, ints, symbolic, need)

    def run(self):
        inner = self.inner
        cotangents, gradients = inner.derive(self.op.mask)
        replay = Replay(self, dict(zip(cotangents + inner.inputs, self.inputs)))
        replay.guards(inner.graph)
        return replay.run(gradients)


_known: dict = {}


def derive(origin, kind, mask, need):
    """At the first use of a derived op: its handle."""
    key = (id(origin), kind, mask, need)
    if key not in _known:
        _known[key] = (
            GradientsOp(origin, mask, need) if kind == 3 else (BatchOp, DualOp, TangentOp)[kind](origin, mask)
        )
    return _known[key].handle
