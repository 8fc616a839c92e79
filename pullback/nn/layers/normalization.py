"""Layers that normalize over axes or groups of channels."""

from __future__ import annotations

from pullback import _api as torch
from pullback.nn import functional as F
from pullback.nn import init
from pullback.nn.module import Module
from pullback.nn.parameter import Parameter

__all__ = ["GroupNorm", "LayerNorm", "RMSNorm"]


def _parameter(module, name, shape, wanted, options):
    module.register_parameter(name, Parameter(torch.empty(shape, **options)) if wanted else None)


class LayerNorm(Module):
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axes.

    Shapes    (*, normalized_shape)  ->  the same
    Errors    ShapeError for another shape
    Source    Ba, Kiros & Hinton, 2016
    Example   >>> nn.LayerNorm(2)(torch.tensor([1.0, 3.0])).detach()
              tensor([-1.0000,  1.0000])
    """

    __constants__ = ["normalized_shape", "eps", "elementwise_affine"]

    def __init__(
        self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, device=None, dtype=None
    ):
        super().__init__()
        options = {"device": device, "dtype": dtype}
        self.normalized_shape = _tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        _parameter(self, "weight", self.normalized_shape, elementwise_affine, options)
        _parameter(self, "bias", self.normalized_shape, elementwise_affine and bias, options)
        self.reset_parameters()

    def reset_parameters(self):
        """Weights of one, biases of zero."""
        _reset(self.weight, self.bias)

    def forward(self, input):
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last axes.

    Shapes    (*, normalized_shape)  ->  the same
    Errors    ShapeError for another shape
    Source    Zhang & Sennrich, NeurIPS 2019
    Example   >>> nn.RMSNorm(2)(torch.tensor([3.0, 4.0])).detach()
              tensor([0.8485, 1.1314])
    """

    __constants__ = ["normalized_shape", "eps", "elementwise_affine"]

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True, device=None, dtype=None):
        super().__init__()
        self.normalized_shape = _tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        _parameter(
            self, "weight", self.normalized_shape, elementwise_affine, {"device": device, "dtype": dtype}
        )
        self.reset_parameters()

    def reset_parameters(self):
        """Weights of one."""
        _reset(self.weight, None)

    def forward(self, x):
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self):
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Normalizes each group of channels of each sample.

    Shapes    (N, num_channels, *)  ->  the same
    Errors    ValueError for channels that the groups do not divide
    Source    Wu & He, ECCV 2018
    Example   >>> nn.GroupNorm(2, 4)(torch.tensor([[1.0, 3.0, 10.0, 30.0]])).detach()
              tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """

    __constants__ = ["num_groups", "num_channels", "eps", "affine"]

    def __init__(
        self, num_groups, num_channels, eps=1e-5, affine=True, device=None, dtype=None, *, bias=True
    ):
        super().__init__()
        if num_channels % num_groups != 0:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        options = {"device": device, "dtype": dtype}
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps = eps
        self.affine = affine
        _parameter(self, "weight", num_channels, affine, options)
        _parameter(self, "bias", num_channels, affine and bias, options)
        self.reset_parameters()

    def reset_parameters(self):
        """Weights of one, biases of zero."""
        _reset(self.weight, self.bias)

    def forward(self, input):
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


def _tuple(shape):
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _reset(weight, bias):
    if weight is not None:
        init.ones_(weight)
    if bias is not None:
        init.zeros_(bias)
