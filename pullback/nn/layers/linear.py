"""Layers with a weight matrix, and the layer that does nothing."""

from __future__ import annotations

import math

from pullback import _api as torch
from pullback.nn import functional as F
from pullback.nn import init
from pullback.nn.module import Module
from pullback.nn.parameter import Parameter

__all__ = ["Bilinear", "Identity", "Linear"]


class Identity(Module):
    """Gives its input back; takes any arguments, so that it can stand in for any layer.

    Shapes    (*) -> (*)
    Example   >>> nn.Identity(54, unused=True)(torch.ones(2))
              tensor([1., 1.])
    """

    def __init__(self, *args, **kwargs):
        super().__init__()

    def forward(self, input):
        return input


class Linear(Module):
    """x @ weight.T + bias.

    Shapes    (*, in_features)  ->  (*, out_features)
    Weights   uniform in +-1/sqrt(in_features), the draws of torch for the same seed
    Errors    ShapeError where the last axis has another size
    Example   >>> layer = nn.Linear(3, 2)
              >>> layer(torch.ones(4, 3)).shape
              torch.Size([4, 2])
              >>> [(name, p.shape) for name, p in layer.named_parameters()]
              [('weight', torch.Size([2, 3])), ('bias', torch.Size([2]))]
    """

    __constants__ = ["in_features", "out_features"]

    def __init__(self, in_features, out_features, bias=True, device=None, dtype=None):
        super().__init__()
        options = {"device": device, "dtype": dtype}
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(torch.empty((out_features, in_features), **options))
        if bias:
            self.bias = Parameter(torch.empty(out_features, **options))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw the weights anew."""
        # With a = sqrt(5) this is uniform in +-1/sqrt(in_features), computed as torch does.
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = init._calculate_fan_in_and_fan_out(self.weight)[0]
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input):
        own = self._parameters
        # The dictionary directly, four times cheaper than two attribute look-ups that fail first. A subclass
        # or a parametrization may put something else under these names; it takes the attributes.
        if type(self) is Linear and "weight" in own and "bias" in own:
            return torch.linear(input, own["weight"], own["bias"])
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self):
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


class Bilinear(Module):
    """x1 @ weight[k] @ x2 + bias[k] for each output k.

    Shapes    (*, in1_features), (*, in2_features)  ->  (*, out_features)
    Errors    ValueError where in1_features is not positive
    Example   >>> nn.Bilinear(2, 3, 4)(torch.ones(5, 2), torch.ones(5, 3)).shape
              torch.Size([5, 4])
    """

    __constants__ = ["in1_features", "in2_features", "out_features"]

    def __init__(self, in1_features, in2_features, out_features, bias=True, device=None, dtype=None):
        super().__init__()
        options = {"device": device, "dtype": dtype}
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = Parameter(torch.empty((out_features, in1_features, in2_features), **options))
        if bias:
            self.bias = Parameter(torch.empty(out_features, **options))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw the weights anew."""
        if self.in1_features <= 0:
            raise ValueError(f"in1_features must be > 0, but got (in1_features={self.in1_features})")
        bound = 1 / math.sqrt(self.weight.size(1))
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1, input2):
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self):
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
