"""Hooks on tensors and nodes: entries in dicts that the native engine walks, and handles that remove them."""

from __future__ import annotations

import functools
import itertools

from pullback import _core
from pullback.utils.hooks import RemovableHandle


def _add(entries: dict, hook):
    handle = RemovableHandle(entries)
    entries[handle.id] = hook
    return handle


def register_hook(self, hook):
    """Calls hook(grad) each time a gradient of this tensor is computed; a returned tensor replaces it.

    Returns a handle with remove().

    Shapes    the gradient has the tensor's shape, and so has what replaces it
    Errors    RuntimeError for a tensor that needs no gradient, or that jvp or linearize differentiates
    Example   >>> x = torch.ones(2, requires_grad=True)
              >>> handle = x.register_hook(lambda grad: grad * 10)
              >>> x.sum().backward()
              >>> x.grad
              tensor([10., 10.])
    """
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if _core.has_layers() or _core.scopes(self) > 1:  # inside torch.func, or once was
        from pullback.func import hooks

        return _add(*hooks.place(self, hook))
    return _add(self._hook_dict("tensor"), hook)


def register_post_accumulate_grad_hook(self, hook):
    """Calls hook(tensor) after a gradient was added into this leaf's grad.

    Returns a handle with remove().

    Errors    RuntimeError for a tensor that is no leaf
    Example   >>> x = torch.ones(2, requires_grad=True)
              >>> handle = x.register_post_accumulate_grad_hook(lambda t: print(t.grad))
              >>> x.sum().backward()
              tensor([1., 1.])
    """
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if not self.is_leaf:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    return _add(self._hook_dict("accumulate"), hook)


def node_register_hook(self, hook):
    """Calls hook(grad_inputs, grad_outputs) after the node ran."""
    return _add(self._hooks("post"), _in_scope(self, hook))


def node_register_prehook(self, hook):
    """Calls hook(grad_outputs) before the node runs."""
    return _add(self._hooks("pre"), _in_scope(self, hook))


def _in_scope(node, hook):
    if node._scopes <= 1:
        return hook
    from pullback.func import hooks

    return hooks.in_scope_of(node, hook)


def edge_positions(node):
    """For each of a node's next_functions, which of the gradients that it computes goes there; -1 for none.

    The native node has an edge for each tensor; torch's picture also has places for numbers, and leaves out
    operands that steer. Both list the real edges in the same order.
    """
    own, at, out = node._edges, 0, []
    for edge in node.next_functions:
        found = next((k for k in range(at, len(own)) if edge[0] is not None and own[k] == edge), -1)
        at = max(at, found + 1)
        out.append(found)
    return out


_core.set_edge_positions(edge_positions)


class _MultiHandle(RemovableHandle):
    """Removes the hooks on several tensors."""

    def __init__(self, handles):
        self.handles = tuple(handles)

    def remove(self):
        """Remove all of the hooks."""
        for handle in self.handles:
            handle.remove()

    def __getstate__(self):
        return self.handles

    def __setstate__(self, state):
        self.handles = state


_groups = itertools.count()


def register_multi_grad_hook(tensors, fn, *, mode="all"):
    """Calls a function with the gradients of several tensors. Returns a handle with remove().

    mode "all"    fn(gradients) once all those of `tensors` in this backward pass have theirs; None stands
                  for the others
    mode "any"    fn(gradient) with the first one that is computed
    Errors        ValueError for another mode; AssertionError in "all" for a tensor that needs no gradient

    >>> import pullback as torch
    >>> a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    >>> c, d = a * b, a + b
    >>> handle = torch.autograd.graph.register_multi_grad_hook(
    ...     (a, c, d), lambda grads: print([g is not None for g in grads])
    ... )
    >>> c.sum().backward()
    [True, True, False]
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of {('all', 'any')} but got {mode}")
    group = ("multi_grad_hook", next(_groups))
    if mode == "all":
        nodes = [_token_of(t) for t in tensors]
        hooks = [functools.partial(_gather, group, nodes, fn, k) for k in range(len(nodes))]
        return _MultiHandle(t.register_hook(h) for t, h in zip(tensors, hooks, strict=True))

    @functools.wraps(fn)
    def first(gradient):
        notes = _core.run_notes()
        if group not in notes:
            notes[group] = True
            fn(gradient)

    return _MultiHandle(t.register_hook(first) for t in tensors if t.requires_grad)


def _token_of(tensor):
    edge = _core.innermost(tensor)._gradient_edge()
    if edge is None:
        raise AssertionError(
            "Expected gradient function to be set\n"
            "mode='all' waits for the gradient of each tensor: leave out those that need none."
        )
    return edge[0]._token()


def _gather(group, nodes, fn, k, gradient):
    """One gradient has come; the last of those that this backward pass computes calls the function."""
    notes = _core.run_notes()
    if group not in notes:
        notes[group] = ([None] * len(nodes), sum(map(_core.run_reaches, nodes)))
    gradients, missing = notes[group]
    gradients[k] = gradient
    notes[group] = (gradients, missing - 1)
    if missing == 1:
        del notes[group]
        fn(gradients)


_core.Node.register_hook = node_register_hook
_core.Node.register_prehook = node_register_prehook
_core.Tensor._backward_hooks = property(lambda self: self._hook_dict("present"))
