"""Variable: the name under which tensors with gradients went before they were plain tensors."""

from __future__ import annotations

from pullback import _core


class _VariableMeta(type):
    def __instancecheck__(cls, other):
        return isinstance(other, _core.Tensor)


class Variable(metaclass=_VariableMeta):
    """Variable(t, requires_grad=True) is t itself as a leaf of its own; every tensor is an instance."""

    def __new__(cls, data, requires_grad=False):
        t = data.detach()
        return t.requires_grad_() if requires_grad else t


Variable.__module__ = "torch.autograd.variable"
