"""Differentiation of recorded programs."""

from importlib import import_module

from pullback.autograd import anomaly_mode, function, functional, grad_mode, graph, hooks
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
from pullback.autograd.gradcheck import gradcheck, gradgradcheck
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


def __getattr__(name):
    if name == "forward_ad":  # imported when first asked for, with what it stands on
        return import_module("pullback.autograd.forward_ad")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
