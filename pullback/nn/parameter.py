"""Parameters and buffers: tensors that a module registers when they are assigned to it."""

from __future__ import annotations

from collections import OrderedDict

from pullback import _api as torch
from pullback import _core
from pullback.tensor import Tensor

__all__ = ["Parameter", "Buffer"]


class _Marked(type(Tensor)):
    """``isinstance(t, Parameter)`` also holds for a tensor of another class that carries the mark."""

    _mark = "_is_param"

    def __instancecheck__(cls, instance):
        if type(instance) is cls or super().__instancecheck__(instance):
            return True
        # Only the class itself answers for marked tensors; a subclass means its own instances.
        return (
            "_mark_owner" in cls.__dict__
            and isinstance(instance, Tensor)
            and getattr(instance, cls._mark, False)
        )


class _BufferMeta(_Marked):
    _mark = "_is_buffer"


def _rebuild_parameter(data, requires_grad, hooks, state=None):
    parameter = Parameter(data, requires_grad)
    if state:
        parameter.__dict__.update(state)
    return parameter


class Parameter(Tensor, metaclass=_Marked):
    """A tensor that is trained: ``requires_grad`` is True from the start and modules list it.

    Arithmetic on parameters gives plain tensors.

    Example   >>> layer = nn.Module()
              >>> layer.weight = nn.Parameter(torch.ones(2))
              >>> list(layer.parameters())
              [Parameter containing:
              tensor([1., 1.], requires_grad=True)]
    """

    _mark_owner = True
    __torch_function__ = torch._disabled_torch_function_impl

    def __new__(cls, data=None, requires_grad=True):
        if data is None:
            data = torch.empty(0)
        if type(data) is Tensor or type(data) is Parameter:
            # detach() under _make_subclass: the parameter is a leaf that shares the data's memory.
            return Tensor._make_subclass(cls, data, requires_grad)
        # A user's tensor class keeps its own type; it only gets the mark.
        detached = data.detach().requires_grad_(requires_grad)
        if type(detached) is not type(data):
            raise RuntimeError(
                f"Creating a Parameter from an instance of type {type(data).__name__} requires that "
                "detach() returns an instance of the same type, but return type "
                f"{type(detached).__name__} was found instead. To use the type as a Parameter, please "
                "correct the detach() semantics defined by its __torch_dispatch__() implementation."
            )
        detached._is_param = True
        return detached

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        result = type(self)(self.data.clone(memory_format=torch.preserve_format), self.requires_grad)
        memo[id(self)] = result
        return result

    def __reduce_ex__(self, protocol):
        state = dict(self.__dict__) if getattr(self, "__dict__", None) else None
        return _rebuild_parameter, (self.data, self.requires_grad, OrderedDict(), state)


_core.set_parameter_class(Parameter)  # operations take it for a plain tensor


class Buffer(Tensor, metaclass=_BufferMeta):
    """A tensor that a module registers as a buffer when it is assigned; ``persistent`` puts it in
    state_dict.

    Example   >>> layer = nn.Module()
              >>> layer.mean = nn.Buffer(torch.zeros(2))
              >>> layer.state_dict()
              OrderedDict([('mean', tensor([0., 0.]))])
    """

    _mark_owner = True
    __torch_function__ = torch._disabled_torch_function_impl

    def __new__(cls, data=None, *, persistent=True):
        if data is None:
            data = torch.empty(0)
        # A new object, so that marking it leaves the caller's tensor unmarked; it stays on the data's graph.
        result = data.detach().requires_grad_(data.requires_grad)
        result.persistent = persistent
        result._is_buffer = True
        return result
