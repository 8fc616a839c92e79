"""Hooks on tensors and nodes: entries in dicts that the native engine walks, and handles that remove them."""

from __future__ import annotations

from pullback import _core
from pullback.utils.hooks import RemovableHandle


def _add(entries: dict, hook):
    handle = RemovableHandle(entries)
    entries[handle.id] = hook
    return handle


def register_hook(self, hook):
    """Calls hook(grad) each time a gradient of this tensor is computed; a returned tensor replaces it."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    return _add(self._hook_dict("tensor"), hook)


def register_post_accumulate_grad_hook(self, hook):
    """Calls hook(tensor) after a gradient was added into this leaf's grad."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if not self.is_leaf:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    return _add(self._hook_dict("accumulate"), hook)


def node_register_hook(self, hook):
    """Calls hook(grad_inputs, grad_outputs) after the node ran."""
    return _add(self._hooks("post"), hook)


def node_register_prehook(self, hook):
    """Calls hook(grad_outputs) before the node runs."""
    return _add(self._hooks("pre"), hook)


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
_core.Node.register_hook = node_register_hook
_core.Node.register_prehook = node_register_prehook
_core.Tensor._backward_hooks = property(lambda self: self._hook_dict("present"))
