"""Hooks on tensors inside transformations.

A hook belongs to the innermost scope of differentiation that the tensor depends on, and runs only where the
gradients of that scope are worked out: the tape is one for all scopes, and an outer one passes the same nodes
again. What a hook sees is a gradient as its program knows it, with the samples and the tangents of the levels
around the scope.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import combinations

from pullback import _core
from pullback.autograd.function import Function
from pullback.func import levels


class _InScope:
    """A hook that is called in the backward passes of one scope, with gradients under `batches`."""

    __slots__ = ("batches", "hook", "scope")

    def __init__(self, hook, scope, batches=()):
        self.hook, self.scope, self.batches = hook, scope, batches

    def __call__(self, *gradients):
        if levels.running_scope() != self.scope:
            return None
        if not self.batches:
            return self.hook(*gradients)
        gradient = _seen(gradients[0], self.batches)
        replaced = _replaced(gradient, self.hook)
        return None if replaced is gradient else _taken(replaced, self.batches)

    @property
    def __name__(self):
        return self.hook.__name__


def _replaced(gradient, hook):
    """What the hook puts in the gradient's place, checked as by the engine, but as the hook sees it."""
    given = hook(gradient)
    if given is None:
        return gradient
    if not isinstance(given, _core.Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(given).__name__}'")
    name = getattr(hook, "__name__", "<unknown>")
    if given.dtype != gradient.dtype:
        raise RuntimeError(
            f"hook '{name}' has changed the type of value (was {gradient.type()} got {given.type()})"
        )
    if given.shape != gradient.shape:
        raise RuntimeError(
            f"hook '{name}' has changed the size of value\nIt returned {list(given.shape)} for a gradient of "
            f"shape {list(gradient.shape)}."
        )
    return given


def _seen(gradient, batches):
    for level in batches:
        gradient = levels.insert(gradient, level)
    return gradient


def _taken(gradient, batches):
    for level in reversed(batches):
        gradient = levels.remove(levels.include(gradient, level), level)
    return gradient


def in_scope_of(node, hook):
    """The hook on a node, for the passes of the scope that the node belongs to."""
    scope = levels.innermost_scope(node._scopes)
    if levels.is_forward(scope) or levels.tangents_around(scope):
        raise RuntimeError(
            "hooks on nodes are not called under forward mode (jvp, jacfwd, hessian): a tensor has several "
            "there\nRegister a hook on the tensor: tensor.register_hook(hook)."
        )
    return _InScope(hook, scope) if scope else hook


def place(tensor, hook):
    """Where a hook on this tensor goes: (dict, what to put there).

    Under forward mode the gradients of value and tangents come together only where both pass through one
    node: it is put behind the tensor, for what is done with it from here on.
    """
    scope = levels.innermost_scope(_core.scopes(tensor))
    around = levels.of(tensor)
    if levels.is_forward(scope) or any(levels.is_newer(level, scope) for level in around):
        raise RuntimeError(
            "cannot register a hook on a tensor that doesn't require gradient\n"
            "Inside vmap, jvp and linearize, only what a grad or vjp in them differentiates has gradients."
        )
    if any(not level.is_batch for level in around):
        return _joint(tensor, around, scope), hook
    if scope:
        hook = _InScope(hook, scope, tuple(around))
    return _core.innermost(tensor)._hook_dict("tensor"), hook


# ---- values with tangents ----


class _Joint:
    """The parts of a tensor with tangents, by the set of levels whose derivatives they are."""

    def __init__(self, around, scope):
        self.scope, self.hooks, self.sent = scope, OrderedDict(), None
        self.batches = [x for x in around if x.is_batch]
        self.tangents = [x for x in around if not x.is_batch]
        self.keys = list(_subsets(self.tangents))

    def all_parts(self, t):
        """By the keys, zero where there was none: what is done with the others may have tangents there, and
        its gradients come to that part."""
        found = self.split(t)
        value = found[frozenset()]
        return [found[key] if key in found else value.new_zeros(value.shape) for key in self.keys]

    def split(self, t):
        found = {frozenset(): t}
        for level in reversed(self.tangents):
            for key, x in list(found.items()):
                value, dot = levels.parts(x, level)
                found[key] = value
                if dot is not None:
                    found[key | {level}] = dot
        return {key: _taken(x, self.batches) for key, x in found.items()}

    def join(self, found, over):
        found = {key: _seen(x, self.batches) for key, x in found.items()}
        for level in over:
            for key in [k for k in found if level not in k]:
                dot = found.pop(key | {level}, None)
                found[key] = levels.join(found[key], dot, level)
        return found[frozenset()]

    def backward(self, cotangents):
        """Of the levels along whose tangents the engine runs: g comes to the tangent along all of them, and
        the derivative of g along some comes to the tangent along the others."""
        along = [x for x in self.tangents if levels.is_along(x)]
        top = frozenset(along)
        given = {top - k: g for k, g in zip(self.keys, cotangents) if g is not None and k <= top}
        if not given:
            return (None,) * len(self.keys)
        like = next(iter(given.values()))
        for key in _subsets(along):
            given.setdefault(key, like.new_zeros(like.shape))
        g = self.join(given, along)
        for hook in tuple(self.hooks.values()):
            g = _replaced(g, hook)
        found = {top - key: x for key, x in self.split(g).items() if key <= top}
        if not along:
            self.sent = _core.innermost(found[frozenset()]).detach()
        return tuple(found.get(key) for key in self.keys)

    def check_uses(self, gradient):
        """A hook on the value behind the node, to which nothing else may have sent a gradient. (Tangents may
        well have, as they depend on the value.)"""
        if levels.running_scope() != self.scope or any(levels.is_along(x) for x in self.tangents):
            return
        sent, self.sent = self.sent, None
        if sent is None or sent.data_ptr() != _core.innermost(gradient).data_ptr():
            raise RuntimeError(
                "a hook was registered on a tensor that had been used before, under forward mode (jvp, "
                "jacfwd, hessian)\nRegister it where the tensor is made: only later uses reach it there."
            )


def _subsets(items):
    return (frozenset(c) for n in range(len(items) + 1) for c in combinations(items, n))


class HookedParts(Function):
    """The identity of a tensor's parts; on the way back, hooks on the whole."""

    @staticmethod
    def forward(ctx, joint, *parts):
        ctx.joint = joint
        ctx.set_materialize_grads(False)
        return parts

    @staticmethod
    def backward(ctx, *cotangents):
        if levels.running_scope() == ctx.joint.scope:
            cotangents = ctx.joint.backward(cotangents)
        return (None, *cotangents)


def _joint(tensor, around, scope):
    """The hooks of the node behind a tensor with tangents; it is made with the first one."""
    node = _core.innermost(tensor).grad_fn
    last = node and node._context()
    if isinstance(last, HookedParts._backward_cls):
        return last.joint.hooks
    joint = _Joint(around, scope)
    _core.innermost(tensor)._hook_dict("tensor")[joint] = joint.check_uses
    parts = HookedParts.apply(joint, *joint.all_parts(tensor))
    whole = joint.join(dict(zip(joint.keys, parts)), joint.tangents)
    _core.take_place(tensor, whole)
    return joint.hooks
