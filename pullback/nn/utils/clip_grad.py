"""Keeping gradients within bounds."""

from __future__ import annotations

import math
import types
import warnings

from pullback import _api as torch
from pullback.linalg import vector_norm
from pullback.tensor import Tensor

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]


def _gradients(parameters):
    """The gradients that there are. A generator is looked through once."""
    parameters = [parameters] if isinstance(parameters, Tensor) else parameters
    generated = isinstance(parameters, types.GeneratorType)
    parameters = list(parameters)
    if generated and not parameters:
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.", UserWarning, stacklevel=3
        )
    return [p.grad for p in parameters if p.grad is not None]


@torch.no_grad()
def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """The norm of several tensors as if they were one vector.

    Errors    RuntimeError where it is nan or infinite and error_if_nonfinite is set
    Example   >>> import pullback as torch
              >>> torch.nn.utils.get_total_norm([torch.tensor([3.0]), torch.tensor([4.0])])
              tensor(5.)
    """
    tensors = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    norm_type = float(norm_type)
    if not tensors:
        return torch.tensor(0.0)
    norms = [vector_norm(t, norm_type) for t in tensors]
    total = vector_norm(torch.stack(norms), norm_type)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it "
            "cannot be clipped. To disable this error and scale the gradients by the non-finite norm anyway, "
            "set `error_if_nonfinite=False`"
        )
    return total


def _scale(gradients, max_norm, total_norm):
    factor = torch.clamp(float(max_norm) / (total_norm + 1e-6), max=1.0)
    for g in gradients:
        g.mul_(factor)


@torch.no_grad()
def clip_grads_with_norm_(parameters, max_norm, total_norm, foreach=None):
    """Scales all gradients in place by max_norm / total_norm, where that is less than 1.

    Example   >>> p = torch.zeros(2, requires_grad=True)
              >>> p.grad = torch.tensor([3.0, 4.0])
              >>> nn.utils.clip_grads_with_norm_([p], max_norm=1.0, total_norm=torch.tensor(10.0))
              >>> p.grad
              tensor([0.3000, 0.4000])
    """
    _scale(_gradients(parameters), max_norm, total_norm)


@torch.no_grad()
def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Scales all gradients in place so that their common norm is at most max_norm; gives the norm before.

    Errors    RuntimeError where the norm is nan or infinite and error_if_nonfinite is set
    Example   >>> import pullback as torch
              >>> p = torch.zeros(2, requires_grad=True)
              >>> p.grad = torch.tensor([3.0, 4.0])
              >>> torch.nn.utils.clip_grad_norm_([p], 1.0), p.grad
              (tensor(5.), tensor([0.6000, 0.8000]))
    """
    gradients = _gradients(parameters)
    total = get_total_norm(gradients, norm_type, error_if_nonfinite)
    _scale(gradients, max_norm, total)
    return total


def clip_grad_norm(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """clip_grad_norm_() by its old name.

    Errors    FutureWarning; otherwise as clip_grad_norm_()
    Example   >>> p = torch.zeros(2, requires_grad=True)
              >>> p.grad = torch.tensor([3.0, 4.0])
              >>> nn.utils.clip_grad_norm([p], 1.0)
              tensor(5.)
    """
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite)


@torch.no_grad()
def clip_grad_value_(parameters, clip_value, foreach=None):
    """Puts every element of the gradients between -clip_value and clip_value, in place.

    Example   >>> p = torch.zeros(2, requires_grad=True)
              >>> p.grad = torch.tensor([3.0, -0.5])
              >>> nn.utils.clip_grad_value_([p], 1.0)
              >>> p.grad
              tensor([ 1.0000, -0.5000])
    """
    clip_value = float(clip_value)
    for g in _gradients(parameters):
        g.clamp_(-clip_value, clip_value)
