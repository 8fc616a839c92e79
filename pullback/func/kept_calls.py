"""What a call of a user's Function keeps under forward mode: its own backward can be run on values with their
tangents."""

from __future__ import annotations

import itertools
from contextlib import contextmanager

from pullback import _core, random
from pullback.autograd.function import Function, _run_backward
from pullback.autograd.grad_mode import enable_grad
from pullback.autograd.saved import Kept
from pullback.func import levels
from pullback.functions import allclose
from pullback.utils._pytree import tree_leaves, tree_map, tree_unflatten

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

    def __init__(self, arguments, results, epoch):
        self.known = {id(below): seen for below, seen in (*arguments, *results)}
        self.numbers = {id(below): k for k, (below, _) in enumerate(results)}
        self.memory = {_core.storage_id(below) for below, _ in (*arguments, *results)}
        self.epoch, self.below = epoch, [below for below, _ in (*arguments, *results)]

    def lacks(self, t):
        """Whether the call made t, or a view of what it was given: then its tangent is not known."""
        if not isinstance(t, _core.Tensor) or id(t) in self.known or not t.dtype.is_floating_point:
            return False
        return _core.born(t) >= self.epoch or _core.storage_id(t) in self.memory

    def keep(self, t):
        """Keeps what t stands for, itself where it is a constant of the call. Gives what restores it; results
        by `place`: their node would be held by what it holds."""
        number, restore = self.numbers.get(id(t)), keep(self.known.get(id(t), t))
        if number is None:
            return lambda place: restore()
        return lambda place: place(restore(), number)


class Call:
    """A call's backward with tangents: for the time of it, ctx holds what it kept as the program knows it."""

    def __init__(self, ctx, saved, places):
        self.ctx = ctx
        self.saved = [places.keep(t) for t in saved]
        self.named = {
            name: tree_map(places.keep, value)
            for name, value in ctx.__dict__.items()
            if name not in _OF_CTX and any(id(t) in places.known for t in tree_leaves(value))
        }

    def lacks(self):
        """Whether something keeps the backward from being run with tangents."""
        return False

    def __call__(self, node, gradients, place):
        ctx = self.ctx
        named = {name: _restored(value, place) for name, value in self.named.items()}
        entries, before = ctx._entries, {name: ctx.__dict__[name] for name in named if name in ctx.__dict__}
        ctx.__dict__.update(named)
        try:
            return _run(ctx, node, gradients, _restored(self.saved, place))
        finally:
            ctx._entries = entries
            ctx.__dict__.update(before)

    def release(self):
        """Lets go of all of it, as the graph is freed."""
        self.saved, self.named = [], {}


def _restored(tree, *place):
    return tree_map(lambda restore: restore(*place), tree)


def _run(ctx, node, gradients, saved):
    arrived = iter(gradients)
    gradients = [None if info is None else next(arrived) for info in ctx._outputs]
    ctx._entries = tuple((t, None, 0 if t is None else _core.change_count(t)) for t in saved)
    return _run_backward(ctx, node, gradients)


class CallAgain:
    """The same of a call that made for itself some of what it keeps. The tangents of that come to light where
    it is made again, of the arguments with theirs: not before somebody asks for gradients with tangents.

    `state` is that of the random numbers before the call; `results` have their tangents.
    """

    def __init__(self, ctx, level, call, results, spec):
        self.first, self.level, self.spec = ctx, level, spec
        args, kwargs, self.state = call
        self.arguments = tree_map(keep, (args, kwargs))
        self.results = [keep(y) for y in results]
        self.known = None  # whether it lacks something

    def lacks(self):
        """Whether the tangents of what the call kept cannot be known."""
        if self.known is None:
            try:
                self.make_again(lambda y, number: y)
                self.known = False
            except _Lacking:
                self.known = True
        return self.known

    def make_again(self, place):
        """(ctx, what it saved): all of it with tangents, and at its place on the tape."""
        first, cls = self.first, type(self.first)._forward_cls
        ctx = cls._backward_cls()
        ctx.needs_input_grad = first.needs_input_grad
        try:
            args, kwargs = _restored(self.arguments)
            again = results = self.placed(place)
            with enable_grad(), _without_hooks(), random_numbers_from(self.state):
                if cls.setup_context is not Function.setup_context:
                    cls.setup_context(ctx, args, tree_unflatten(results, self.spec))
                else:
                    again = tree_leaves(cls.forward(ctx, *args, **kwargs))
                    self.check(again, results)
        except Exception as error:  # of the user's program, or of what it changed since
            raise _Lacking(
                f"{cls.__name__} keeps what it made itself, which cannot be made again: {error}"
            ) from error
        made = dict(zip(map(id, again), results, strict=True))
        saved = [made.get(id(t), t) for t in ctx.to_save or ()]
        ctx.to_save = ctx.dirty_tensors = ctx.non_differentiable = ctx.saved_for_forward = None
        ctx.__dict__ |= tree_map(lambda t: made.get(id(t), t), ctx.__dict__)
        ctx._inputs, ctx._outputs, ctx._is_tensor = first._inputs, first._outputs, first._is_tensor
        return ctx, saved

    def placed(self, place):
        numbers = itertools.count()
        results = [restore() for restore in self.results]
        return [place(y, next(numbers)) if isinstance(y, _core.Tensor) else y for y in results]

    def check(self, again, results):
        """The results must be what they were and, as far as jvp() gives tangents, have tangents."""
        for a, y in zip(again, results, strict=True):
            if not isinstance(y, _core.Tensor):
                continue
            if levels.has_level(y, self.level) and not levels.has_level(a, self.level):
                raise RuntimeError("its forward hides the tangents from itself, by numpy() or detach()")
            a, y = _core.innermost(a).detach(), _core.innermost(y).detach()
            if a.shape == y.shape and not allclose(a, y, equal_nan=True):
                raise RuntimeError("its forward gives other values each time")

    def __call__(self, node, gradients, place):
        # What was made is not kept from one run to the next: it may lead to the node that keeps this.
        try:
            ctx, saved = self.make_again(place)
        except _Lacking as lacking:
            _core.refuse_tangents(str(lacking))
        return _run(ctx, node, gradients, saved)

    def release(self):
        """Lets go of all of it, as the graph is freed."""
        self.arguments, self.results = ((), {}), []


class _Lacking(Exception):
    """Why the tangents of what a call kept cannot be known."""


@contextmanager
def _without_hooks():
    """What is recorded meanwhile goes into nobody's keeping."""
    before = _core.swap_saved_hooks(None)
    try:
        yield
    finally:
        _core.swap_saved_hooks(before)


@contextmanager
def random_numbers_from(state):
    """For the block, the random numbers that follow upon a state."""
    with random.fork_rng():
        random.set_rng_state(state)
        yield


def recorded(ctx, level, saved, call, arguments, results, spec, epoch):
    """The results of a call, in whose place on the tape gradients with tangents find the call's backward.

    `call` are the arguments by place and by name, and the state of the random numbers before it; `arguments`
    and `results` are pairs of what lies below the level and what the program knows. None where the call keeps
    what it made for itself, and cannot make it again: it changed an argument, which is among the results."""
    tensors, made = ([p for p in pairs if isinstance(p[0], _core.Tensor)] for pairs in (arguments, results))
    places = _Places(tensors, made, epoch)
    own = [x for name, x in ctx.__dict__.items() if name not in _OF_CTX]
    keeps_its_own = any(places.lacks(t) for t in (*saved, *tree_leaves(own)))
    if keeps_its_own and {id(x) for x, _ in tensors} & {id(y) for y, _ in made}:
        return None
    joined = [y for _, y in results]
    function = CallAgain(ctx, level, call, joined, spec) if keeps_its_own else Call(ctx, saved, places)
    found = _core.note_call(
        level, type(ctx).__name__, function, keeps_its_own, [x for _, x in tensors], [y for _, y in made]
    )
    found = iter(found)
    return [next(found) if isinstance(y, _core.Tensor) else y for y in joined]
