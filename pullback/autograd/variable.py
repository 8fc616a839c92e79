"""Variable: the name under which tensors with gradients went before they were plain tensors."""

from __future__ import annotations

import warnings

from pullback import _core


class _VariableMeta(type):
    def __instancecheck__(cls, other):
        return isinstance(other, _core.Tensor)


class Variable(metaclass=_VariableMeta):
    """Variable(t, requires_grad=True) is t itself as a leaf of its own; every tensor is an instance.

    Example   >>> torch.autograd.Variable(torch.ones(2), requires_grad=True)
              tensor([1., 1.], requires_grad=True)
    """

    def __new__(cls, data, requires_grad=False, volatile=None):
        if volatile is not None:
            text = "volatile was removed and now has no effect. Use `with torch.no_grad():` instead."
            warnings.warn(text, UserWarning, stacklevel=2)
        t = data.detach()
        return t.requires_grad_() if requires_grad else t


Variable.__module__ = "torch.autograd.variable"
