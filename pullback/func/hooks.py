"""Hooks on tensors and nodes inside transformations.

A hook belongs to the innermost scope of differentiation that the tensor depends on, and runs only where the
gradients of that scope are worked out: the tape is one for all scopes, and an outer one passes the same nodes
again. What a hook sees is a gradient as its program knows it, with the samples and the tangents of the levels
around the scope.
"""

from __future__ import annotations

from pullback import _core
from pullback.func import levels


class _InScope:
    """A hook that is called in the backward passes of one scope, with gradients under `batches`."""

    __slots__ = ("batches", "hook", "scope")

    def __init__(self, hook, scope, batches=()):
        self.hook, self.scope, self.batches = hook, scope, batches

    def __call__(self, *gradients):
        if levels.running_scope() != self.scope:
            return None
        return self.hook(*gradients) if not self.batches else self.with_samples(*gradients)

    def with_samples(self, gradient):
        gradient = levels.seen(gradient, self.batches)
        replaced = _replaced(gradient, self.hook)
        return None if replaced is gradient else levels.taken(replaced, self.batches)

    @property
    def __name__(self):
        return self.hook.__name__


class _OfNode(_InScope):
    """The same for a hook on a node, which gets tuples."""

    __slots__ = ()

    def with_samples(self, *gradients):
        found = self.hook(*(tuple(self.seen(g) for g in given) for given in gradients))
        if not isinstance(found, tuple):
            return found
        return tuple(levels.taken(g, self.batches) if isinstance(g, _core.Tensor) else g for g in found)

    def seen(self, gradient):
        return None if gradient is None else levels.seen(gradient, self.batches)


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


def in_scope_of(node, hook):
    """The hook on a node, for the passes of the scope that the node belongs to."""
    scope = levels.innermost_scope(node._scopes)
    if levels.is_forward(scope) or levels.is_newest(scope):
        raise RuntimeError(
            "hooks on nodes are not called under forward mode (jvp, jacfwd, hessian) or vmap themselves\n"
            "Inside vmap, jvp and linearize, only what a grad or vjp in them differentiates has gradients."
        )
    return _OfNode(hook, scope, levels.batches_around(scope)) if scope else hook


def place(tensor, hook):
    """Where a hook on this tensor goes: (dict, what to put there)."""
    scope = levels.innermost_scope(_core.scopes(tensor))
    around = levels.of((tensor,))
    if levels.is_forward(scope) or any(levels.is_newer(level, scope) for level in around):
        raise RuntimeError(
            "cannot register a hook on a tensor that doesn't require gradient\n"
            "Inside vmap, jvp and linearize, only what a grad or vjp in them differentiates has gradients."
        )
    if scope:
        hook = _InScope(hook, scope, tuple(x for x in around if x.is_batch))
    return _core.innermost(tensor)._hook_dict("tensor"), hook


def runs(hook, scope) -> bool:
    """Whether a hook is called where the gradients of a scope are worked out."""
    return not isinstance(hook, _InScope) or hook.scope == scope


def any_runs(entries) -> bool:
    """Whether any hook of a dict is called where gradients are being worked out."""
    return any(runs(hook, levels.running_scope()) for hook in entries.values())
