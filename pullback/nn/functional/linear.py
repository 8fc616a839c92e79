"""Products with a weight matrix."""

from __future__ import annotations

from pullback import _api as torch

__all__ = ["bilinear", "linear"]


def linear(input, weight, bias=None):
    """input @ weight.T + bias.

    Shapes    input (*, i), weight (o, i), bias (o)  ->  (*, o)
    Gradient  input: g @ weight; weight: g.T @ input; bias: the sum of g, all over the axes in front
    Errors    ShapeError where the sizes differ
    Example   >>> F.linear(torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 1.0], [0.0, 3.0]]), torch.ones(2))
              tensor([4., 7.])
    """
    return torch.linear(input, weight, bias)


def bilinear(input1, input2, weight, bias=None):
    """For each output k the product input1 @ weight[k] @ input2, plus bias.

    Shapes    input1 (*, i), input2 (*, j), weight (o, i, j), bias (o)  ->  (*, o)
    Gradient  for all four, each linear in its operand
    Errors    RuntimeError where the sizes differ
    Example   >>> F.bilinear(torch.ones(1, 2), torch.ones(1, 3), torch.ones(1, 2, 3))
              tensor([[6.]])
    """
    return torch.bilinear(input1, input2, weight, bias)
