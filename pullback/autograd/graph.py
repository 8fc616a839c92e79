"""The graph as Python sees it: nodes, their edges, and what they keep."""

from __future__ import annotations

from typing import NamedTuple

from pullback import _core
from pullback.autograd.hooks import register_multi_grad_hook
from pullback.autograd.mutation import allow_mutation_on_saved_tensors, increment_version
from pullback.autograd.saved import (
    disable_saved_tensors_hooks,
    none,
    of_node,
    save_on_cpu,
    saved_tensors_hooks,
)
from pullback.trace import signature as sig
from pullback.trace.tracer import DTYPES

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]

Node = _core.Node

# Tensors that steer an operation but are not differentiated by: torch's nodes have no edge for them.
_STEERING = {"condition", "mask", "index", "indices", "target", "like", "boundaries"}


class GradientEdge(NamedTuple):
    """A place in the graph where a gradient arrives."""

    node: Node
    output_nr: int


def get_gradient_edge(tensor):
    """Where the gradient of a tensor arrives: its node and which of the node's outputs it is."""
    edge = tensor._gradient_edge()
    if edge is None:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require gradients"
        )
    return GradientEdge(*edge)


def _next_functions(self):
    """Where the gradients go: a pair (node, output number) for each differentiable operand."""
    application = self._application()
    signature = getattr(application[0], "signature", None) if application else None
    if signature is None:
        return self._edges
    if signature.name == "copy_slices":  # the base, then what the change itself read besides the view
        base, (change, _) = application[1]
        return (base, *(change.next_functions[1:] if change is not None else ()))
    edges = []
    values = sig.decode(signature, application[1], application[3], DTYPES)
    steering = getattr(application[0], "steering", _STEERING)
    for p, value in zip(signature.parameters, values, strict=True):
        if p.kind not in ("Tensor", "Operand") or p.name in steering or p.optional_items:
            continue
        if signature.name == "rsub" and value == (None, 0):
            continue
        if p.list:
            edges += value
        else:
            edges.append((None, 0) if value is None else value)
    return tuple(edges)


def _place(self, signature, application, name):
    """Which of the values that a node keeps goes by a name: that of its parameter; `result` is the output."""
    for place, (is_output, k) in enumerate(self._saves()):
        if is_output:
            if name == ("result" if k == 0 else f"result{k}"):
                return place
            continue
        operands = [None] * len(application[1])
        for number, position in enumerate(application[4]):
            operands[position] = number
        values = sig.decode(signature, operands, application[3], DTYPES)
        for p, value in zip(signature.parameters, values, strict=True):
            if value == k and p.kind in ("Tensor", "Operand") and name in (p.name, _alias(p.name)):
                return place
    return None


def _saved(self, name, raw=False):
    """A value that the node keeps, or (raw) its SavedTensor; or a parameter that is no tensor."""
    application = self._application()
    signature = getattr(application[0], "signature", None) if application else None
    if signature is None:
        raise AttributeError(name)
    place = _place(self, signature, application, name)
    if place is not None:
        return of_node(self, place) if raw else self._saved_value(place)
    values = sig.decode(signature, application[1], application[3], DTYPES)
    for p, value in zip(signature.parameters, values, strict=True):
        if name in (p.name, _alias(p.name)) and raw == p.takes_tensor:
            return none() if raw else value
    raise AttributeError(name)


def _alias(name):
    return "self" if name == "input" else name


def _attribute(self, name):
    raw = name.startswith("_raw_saved_")
    if (raw and name != "_raw_saved_tensors") or name.startswith("_saved_"):
        try:
            return _saved(self, name.partition("saved_")[2], raw)
        except AttributeError:
            pass
    elif not name.startswith("__"):
        context = self._context()
        if context is not None:
            try:
                return getattr(context, name)
            except AttributeError:
                pass
    raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")


def _set_attribute(self, name, value):
    context = self._context()
    if context is None or name.startswith("__"):
        object.__setattr__(self, name, value)
    else:
        setattr(context, name, value)


Node.__setattr__ = _set_attribute
Node.next_functions = property(_next_functions)
Node.__getattr__ = _attribute
