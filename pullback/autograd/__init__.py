"""Differentiation of recorded programs."""

from pullback.autograd import graph, hooks
from pullback.autograd.backward import backward, grad
from pullback.autograd.modes import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from pullback.tensor import Tensor as Variable

__all__ = [
    "Variable", "backward", "enable_grad", "grad", "graph", "hooks", "inference_mode", "is_grad_enabled", "no_grad",
    "set_grad_enabled",
]  # fmt: skip
