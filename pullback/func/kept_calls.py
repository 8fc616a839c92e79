"""What a call of a user's Function keeps under forward mode: its own backward can be run on values with their
tangents."""

from __future__ import annotations

from pullback import _core
from pullback.autograd.function import _run_backward
from pullback.autograd.saved import Kept
from pullback.func import levels
from pullback.utils._pytree import tree_leaves, tree_map

_OF_CTX = ("_entries",)  # tensors that the machinery of ctx keeps itself


def keep(t):
    """Keeps a tensor with its layers, each value on the tape as an operation would. Gives its restorer."""
    if not isinstance(t, _core.Tensor):
        return lambda: t
    top = levels.layers(t)
    if top is None:
        return Kept(t).restore
    level, value, tangent = top[0], keep(top[1]), keep(top[2])
    return lambda: levels.rewrap(level, value(), tangent())


class _Places:
    """From values below a level to the tensors with tangents that they stand for."""

    def __init__(self, pairs, epoch):
        self.known = {id(below): seen for below, seen in pairs}
        self.memory = {_core.storage_id(below) for below, _ in pairs}
        self.epoch, self.below = epoch, [below for below, _ in pairs]

    def tensor(self, t):
        """What t stands for: itself where it is a constant of the call."""
        return self.known.get(id(t), t)

    def lacks(self, t):
        """Whether the call made t, or a view of what it was given: then its tangent is not known."""
        if not isinstance(t, _core.Tensor) or id(t) in self.known or not t.dtype.is_floating_point:
            return False
        return _core.born(t) >= self.epoch or _core.storage_id(t) in self.memory


class Call:
    """A call's backward with tangents: for the time of it, ctx holds what it kept as the program knows it."""

    def __init__(self, ctx, saved, places):
        self.ctx = ctx
        self.saved = [keep(places.tensor(t)) for t in saved]
        self.named = {
            name: tree_map(lambda t: keep(places.tensor(t)), value)
            for name, value in ctx.__dict__.items()
            if name not in _OF_CTX and any(id(t) in places.known for t in tree_leaves(value))
        }

    def __call__(self, node, gradients):
        ctx, entries = self.ctx, self.ctx._entries
        arrived = iter(gradients)
        gradients = [None if place is None else next(arrived) for place in ctx._outputs]
        saved = [restore() for restore in self.saved]
        named = {name: ctx.__dict__[name] for name in self.named if name in ctx.__dict__}
        ctx._entries = tuple((t, None, 0 if t is None else _core.change_count(t)) for t in saved)
        ctx.__dict__.update({k: tree_map(lambda restore: restore(), v) for k, v in self.named.items()})
        try:
            return _run_backward(ctx, node, gradients)
        finally:
            ctx._entries = entries
            ctx.__dict__.update(named)

    def release(self):
        """Lets go of all of it, as the graph is freed."""
        self.saved, self.named = [], {}


def recorded(ctx, level, saved, pairs, arguments, results, epoch):
    """The results of a call, in whose place on the tape gradients with tangents find the call's backward.

    None where they cannot: of what the call made for itself, the tangents are not known."""
    places = _Places(pairs, epoch)
    own = [x for name, x in ctx.__dict__.items() if name not in _OF_CTX]
    if any(places.lacks(t) for t in (*saved, *tree_leaves(own))):
        return None
    return _core.note_call(level, type(ctx).__name__, Call(ctx, saved, places), arguments, results)
