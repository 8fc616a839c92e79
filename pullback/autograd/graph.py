"""The graph as Python sees it: nodes, their edges, and what they keep."""

from __future__ import annotations

from typing import NamedTuple

from pullback import _core
from pullback.autograd.hooks import register_multi_grad_hook
from pullback.autograd.mutation import allow_mutation_on_saved_tensors, increment_version
from pullback.autograd.saved import disable_saved_tensors_hooks, save_on_cpu, saved_tensors_hooks
from pullback.trace import signature as sig
from pullback.trace.tracer import DTYPES
from pullback.types import device

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
_STEERING = {"condition", "mask", "index", "indices", "target", "like", "boundaries", "noise"}


class GradientEdge(NamedTuple):
    """A place in the graph where a gradient arrives.

    Example   >>> x = torch.ones(2, requires_grad=True)
              >>> edge = torch.autograd.graph.get_gradient_edge(x)
              >>> type(edge.node).__name__, edge.output_nr
              ('AccumulateGrad', 0)
    """

    node: Node
    output_nr: int
    ownership_token: Node | None = None  # torch's: here the node itself keeps its graph


def get_gradient_edge(tensor):
    """Where the gradient of a tensor arrives: its node and which of the node's outputs it is.

    Errors    RuntimeError for a tensor that needs no gradient
    Example   >>> x = torch.ones(2, requires_grad=True)
              >>> y = x * 2
              >>> edge = torch.autograd.graph.get_gradient_edge(y)
              >>> torch.autograd.grad(y.sum(), [edge])
              (tensor([1., 1.]),)
    """
    edge = tensor._gradient_edge()
    if edge is None and tensor.requires_grad:
        raise AssertionError(
            "Expected gradient function to be set\n"
            "This view was made where nothing is recorded: it requires a gradient because its base does."
        )
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
        if value == (None, 0) and p.kind == "Operand" and application[0].number_node_name:
            continue  # torch's node of another name has no edge for a number
        if p.list:
            edges += value
        else:
            edges.append((None, 0) if value is None else value)
    return tuple(edges)


def _attribute(self, name):
    raw = name.startswith("_raw_saved_")
    if (raw and name != "_raw_saved_tensors") or name.startswith("_saved_"):
        from pullback.autograd import saved_names  # a table that only this and dir() read

        try:
            return saved_names.value(self, name.partition("saved_")[2], raw)
        except AttributeError:
            pass
    elif not name.startswith("__"):
        context = self._context()
        if context is not None:
            if name == "saved_tensors":
                return context.saved_at(self)
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


def _directory(self):
    from pullback.autograd import saved_names

    return [*object.__dir__(self), *(f"_saved_{name}" for name in saved_names.names(self))]


class _InputMetadata:
    """What a gradient that arrives at a node must be like."""

    is_nested_tensor = is_cpp_nested_tensor = False

    def __init__(self, shape, dtype):
        self.shape, self.dtype, self.device = list(shape), dtype, device("cpu")


_InputMetadata.__module__ = "torch._C._autograd"


def _input_metadata(self):
    """An _InputMetadata for each output; without sizes for those of a user's Function without a gradient."""
    found, context = [], self._context()
    for k in range(self._outputs if context is None else len(context._outputs)):
        try:
            found.append(_InputMetadata(*self._place(k)))
        except (IndexError, RuntimeError):
            found.append(_InputMetadata((), _core.float32))
    return tuple(found)


def _register_hook_dict(self, tensor):
    """Where tensors have their hooks called: here each has its hooks at its place from the first on."""
    if not isinstance(tensor, _core.Tensor):
        raise TypeError("_register_hook_dict expected a variable\nIt takes the tensor that has the hooks.")


Node._input_metadata = property(_input_metadata)
Node._register_hook_dict = _register_hook_dict
Node.next_functions = property(_next_functions)
Node.__getattr__ = _attribute
Node.__dir__ = _directory
