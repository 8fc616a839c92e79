"""Differentiation of recorded programs."""

from pullback import _on_demand
from pullback.autograd import anomaly_mode, function, grad_mode, gradcheck, graph, hooks
from pullback.autograd.anomaly_mode import detect_anomaly, set_detect_anomaly
from pullback.autograd.backward import backward, grad
from pullback.autograd.function import Function, NestedIOFunction, once_differentiable
from pullback.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
    set_multithreading_enabled,
)
from pullback.autograd.variable import Variable

__all__ = [
    "Function",
    "NestedIOFunction",
    "Variable",
    "anomaly_mode",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "forward_ad",
    "function",
    "functional",
    "grad",
    "grad_mode",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "hooks",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "once_differentiable",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
]

# `gradcheck` is a package and the function in it, and here it is the function. The package, which is next to
# nothing, is imported above, because its first import puts it in the function's place.
del gradcheck
__getattr__, __dir__ = _on_demand.parts(
    __name__,
    modules=("forward_ad", "functional"),
    names={"gradcheck": ("gradcheck", "gradgradcheck")},
)
