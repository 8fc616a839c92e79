"""Products with a weight matrix."""

from __future__ import annotations

from pullback import _api as torch

__all__ = ["bilinear", "linear"]


def linear(input, weight, bias=None):
    """input @ weight.T + bias.

    Shapes    input (*, i), weight (o, i), bias (o)  ->  (*, o)
    """
    return torch.linear(input, weight, bias)


def bilinear(input1, input2, weight, bias=None):
    """For each output k the product input1 @ weight[k] @ input2, plus bias.

    Shapes    input1 (*, i), input2 (*, j), weight (o, i, j), bias (o)  ->  (*, o)
    """
    return torch.bilinear(input1, input2, weight, bias)
