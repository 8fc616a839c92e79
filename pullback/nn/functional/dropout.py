"""Random zeros: dropout of elements and of whole channels."""

from __future__ import annotations

import math
import warnings

from pullback import _api as torch
from pullback.arguments import kind_name, real, require_tensors
from pullback.tensor import Tensor

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]

# The value that selu tends to for large negative inputs, with its sign turned: what alpha dropout drops to.
_SELU_FLOOR = 1.7580993408473766


def _check(p):
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _fits(input, train):
    return isinstance(input, Tensor) and isinstance(train, bool)


def _share(name, input, p, train):
    """p as a number, once torch's native function `name` would take the arguments."""
    require_tensors(name, input=input)
    p = p if isinstance(p, float) else real(name, "p", 2, p)
    if not isinstance(train, bool):
        raise TypeError(f"{name}(): argument 'train' (position 3) must be bool, not {kind_name(train)}")
    if not 0 <= p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p:g}\nIt is a share.")
    return p


def _mask(input, p, channels):
    """1 where an element (or a whole channel) stays, drawn in one pass over the mask."""
    if not channels:
        return torch.empty_like(input).bernoulli_(1 - p)
    if input.dim() < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    shape = [*input.shape[:2], *[1] * (input.dim() - 2)]
    return torch.empty(shape, dtype=input.dtype, device=input.device).bernoulli_(1 - p)


def _times(input, factor, inplace):
    return input.mul_(factor) if inplace else input * factor


def zero_some(input, p, training, inplace, channels=False):
    """Dropout of elements, or of whole channels."""
    if not (type(p) is float and 0.0 <= p <= 1.0 and _fits(input, training)):
        p = _share(("feature_" if channels else "") + "dropout" + "_" * bool(inplace), input, p, training)
    if p == 0 or not training or input.numel() == 0:
        return input
    if p == 1:
        return _times(input, torch.zeros([], dtype=input.dtype), inplace)
    with torch.no_grad():
        noise = _mask(input, p, channels).div_(1 - p)
    return _times(input, noise, inplace)


def _alpha_dropout(input, p, training, inplace, channels=False):
    if not (type(p) is float and 0.0 <= p <= 1.0 and _fits(input, training)):
        name = ("feature_" if channels else "") + "alpha_dropout" + "_" * bool(inplace)
        p = _share(name, input, p, training)
    if p == 0 or not training or input.numel() == 0:
        return input
    if p == 1:
        return _times(input, torch.zeros([], dtype=input.dtype), inplace)
    with torch.no_grad():
        noise = _mask(input, p, channels)
        scale = 1.0 / math.sqrt((_SELU_FLOOR * _SELU_FLOOR * p + 1) * (1 - p))
        shift = noise.add(-1).mul_(_SELU_FLOOR * scale).add_(_SELU_FLOOR * scale * p)
        noise.mul_(scale)
    if inplace:
        return input.mul_(noise).add_(shift)
    return input * noise + shift


def dropout(input, p=0.5, training=True, inplace=False):
    """Zero each element with probability ``p`` and scale the others by 1 / (1 - p).

    Shapes    input (*) -> (*)
    Gradient  g scaled where the element was kept, 0 elsewhere
    Errors    ValueError for p outside [0, 1]
    Example   >>> F.dropout(torch.ones(3), p=0.5, training=False), F.dropout(torch.ones(3), p=1.0)
              (tensor([1., 1., 1.]), tensor([0., 0., 0.]))
    """
    _check(p)
    return zero_some(input, p, training, inplace)


def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Dropout that keeps the mean and variance of selu networks.

    Shapes    input (*) -> (*)
    Gradient  g scaled where the element was kept, 0 elsewhere
    Errors    ValueError for p outside [0, 1]
    Source    Klambauer et al., NeurIPS 2017
    Example   >>> F.alpha_dropout(torch.ones(3))
              tensor([1., 1., 1.])
    """
    _check(p)
    return _alpha_dropout(input, p, training, inplace)


def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """alpha_dropout of whole channels.

    Shapes    input (N, C, *) -> the same
    Gradient  g scaled where the channel was kept, 0 elsewhere
    Errors    ValueError for p outside [0, 1]
    Example   >>> F.feature_alpha_dropout(torch.ones(1, 2, 3)).shape
              torch.Size([1, 2, 3])
    """
    _check(p)
    return _alpha_dropout(input, p, training, inplace, channels=True)


def _warn_dimensions(name, dimensions, plain, spatial):
    warnings.warn(
        f"{name}: Received a {dimensions}-D input to {name}, which is deprecated and will result in an "
        f"error in a future release. To retain the behavior and silence this warning, please use {plain} "
        f"instead. Note that {name} exists to provide channel-wise dropout on inputs with {spatial} "
        f"spatial dimensions, a channel dimension, and an optional batch dimension (i.e. {spatial + 1}D "
        f"or {spatial + 2}D inputs).",
        stacklevel=3,
    )


def dropout1d(input, p=0.5, training=True, inplace=False):
    """Dropout of whole channels of an input (N, C, L) or (C, L).

    Shapes    input (N, C, L) or (C, L) -> the same
    Gradient  g scaled where the channel was kept, 0 elsewhere
    Errors    ValueError for p outside [0, 1]; RuntimeError for another rank
    Example   >>> F.dropout1d(torch.ones(1, 2, 3), training=False).shape
              torch.Size([1, 2, 3])
    """
    _check(p)
    dimensions = input.dim()
    if dimensions not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {dimensions}D input. Note that dropout1d "
            "exists to provide channel-wise dropout on inputs with 1 spatial dimension, a channel "
            "dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    if dimensions == 3:
        return zero_some(input, p, training, inplace, channels=True)
    batch = input.unsqueeze_(0) if inplace else input.unsqueeze(0)
    result = zero_some(batch, p, training, inplace, channels=True)
    return result.squeeze_(0) if inplace else result.squeeze(0)


def dropout2d(input, p=0.5, training=True, inplace=False):
    """Dropout of whole channels of an input (N, C, H, W).

    Shapes    input (N, C, H, W) -> the same
    Gradient  g scaled where the channel was kept, 0 elsewhere
    Errors    ValueError for p outside [0, 1]
    Example   >>> out = F.dropout2d(torch.ones(1, 8, 2, 2))
              >>> (out == out[:, :, :1, :1]).all()
              tensor(True)
    """
    _check(p)
    if input.dim() not in (3, 4):
        _warn_dimensions("dropout2d", input.dim(), "dropout", 2)
    if input.dim() == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel dim. "
            "This behavior will change in a future release to interpret the input as one without a batch "
            "dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise dropout behavior, please "
            "switch to using dropout1d instead.",
            stacklevel=2,
        )
    return zero_some(input, p, training, inplace, channels=True)


def dropout3d(input, p=0.5, training=True, inplace=False):
    """Dropout of whole channels of an input (N, C, D, H, W) or (C, D, H, W).

    Shapes    input (N, C, D, H, W) or (C, D, H, W) -> the same
    Gradient  g scaled where the channel was kept, 0 elsewhere
    Errors    ValueError for p outside [0, 1]
    Example   >>> F.dropout3d(torch.ones(1, 2, 3, 3, 3)).shape
              torch.Size([1, 2, 3, 3, 3])
    """
    _check(p)
    if input.dim() not in (4, 5):
        _warn_dimensions("dropout3d", input.dim(), "dropout", 3)
    if input.dim() == 5:
        return zero_some(input, p, training, inplace, channels=True)
    batch = input.unsqueeze_(0) if inplace else input.unsqueeze(0)
    result = zero_some(batch, p, training, inplace, channels=True)
    return result.squeeze_(0) if inplace else result.squeeze(0)
