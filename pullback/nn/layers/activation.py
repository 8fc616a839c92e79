"""Activation functions as modules."""

from __future__ import annotations

import warnings

from pullback import _api as torch
from pullback.nn import functional as F
from pullback.nn.module import Module
from pullback.nn.naming import SharedInit
from pullback.nn.parameter import Parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


class _Inplace(SharedInit, Module):
    """An activation whose only option is to overwrite its input."""

    __constants__ = ["inplace"]

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace

    def _with_inplace(self, text):
        return text + ", inplace=True" if self.inplace else text

    def extra_repr(self):
        return "inplace=True" if self.inplace else ""


class ReLU(_Inplace):
    """max(0, x).

    Shapes    (*) -> (*)
    Example   >>> nn.ReLU()(torch.tensor([-1.0, 2.0]))
              tensor([0., 2.])
    """

    def forward(self, input):
        return F.relu(input, self.inplace)


class SELU(_Inplace):
    """Self-normalizing elu.

    Shapes    (*) -> (*)
    Example   >>> nn.SELU()(torch.tensor([-1.0, 2.0]))
              tensor([-1.1113,  2.1014])
    """

    def forward(self, input):
        return F.selu(input, self.inplace)


class SiLU(_Inplace):
    """x * sigmoid(x).

    Shapes    (*) -> (*)
    Example   >>> nn.SiLU()(torch.tensor([-1.0, 2.0]))
              tensor([-0.2689,  1.7616])
    """

    def forward(self, input):
        return F.silu(input, self.inplace)


class Mish(_Inplace):
    """x * tanh(softplus(x)).

    Shapes    (*) -> (*)
    Example   >>> nn.Mish()(torch.tensor([-1.0, 2.0]))
              tensor([-0.3034,  1.9440])
    """

    def forward(self, input):
        return F.mish(input, self.inplace)


class Hardsigmoid(_Inplace):
    """min(max(0, x + 3), 6) / 6.

    Shapes    (*) -> (*)
    Example   >>> nn.Hardsigmoid()(torch.tensor([-4.0, 0.0, 1.0]))
              tensor([0.0000, 0.5000, 0.6667])
    """

    def forward(self, input):
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self):
        return ""


class Hardswish(_Inplace):
    """x * min(max(0, x + 3), 6) / 6.

    Shapes    (*) -> (*)
    Example   >>> nn.Hardswish()(torch.tensor([0.0, 1.0, 4.0]))
              tensor([0.0000, 0.6667, 4.0000])
    """

    def forward(self, input):
        return F.hardswish(input, self.inplace)

    def extra_repr(self):
        return ""


class Sigmoid(Module):
    """1 / (1 + exp(-x)).

    Shapes    (*) -> (*)
    Example   >>> nn.Sigmoid()(torch.tensor([0.0, 2.0]))
              tensor([0.5000, 0.8808])
    """

    def forward(self, input):
        return torch.sigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent.

    Shapes    (*) -> (*)
    Example   >>> nn.Tanh()(torch.tensor([0.0, 2.0]))
              tensor([0.0000, 0.9640])
    """

    def forward(self, input):
        return torch.tanh(input)


class LogSigmoid(Module):
    """log(sigmoid(x)).

    Shapes    (*) -> (*)
    Example   >>> nn.LogSigmoid()(torch.tensor([-100.0, 0.0]))
              tensor([-100.0000,   -0.6931])
    """

    def forward(self, input):
        return F.logsigmoid(input)


class Softsign(Module):
    """x / (1 + abs(x)).

    Shapes    (*) -> (*)
    Example   >>> nn.Softsign()(torch.tensor([-1.0, 3.0]))
              tensor([-0.5000,  0.7500])
    """

    def forward(self, input):
        return F.softsign(input)


class Tanhshrink(Module):
    """x - tanh(x).

    Shapes    (*) -> (*)
    Example   >>> nn.Tanhshrink()(torch.tensor([0.0, 1.0]))
              tensor([0.0000, 0.2384])
    """

    def forward(self, input):
        return F.tanhshrink(input)


class LeakyReLU(_Inplace):
    """x where positive, negative_slope * x elsewhere.

    Shapes    (*) -> (*)
    Example   >>> nn.LeakyReLU(0.1)(torch.tensor([-1.0, 2.0]))
              tensor([-0.1000,  2.0000])
    """

    __constants__ = ["inplace", "negative_slope"]

    def __init__(self, negative_slope=0.01, inplace=False):
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input):
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self):
        return self._with_inplace(f"negative_slope={self.negative_slope}")


class ELU(_Inplace):
    """x where positive, alpha * (exp(x) - 1) elsewhere.

    Shapes    (*) -> (*)
    Example   >>> nn.ELU()(torch.tensor([-1.0, 2.0]))
              tensor([-0.6321,  2.0000])
    """

    __constants__ = ["alpha", "inplace"]

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input):
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self):
        return self._with_inplace(f"alpha={self.alpha}")


class CELU(_Inplace):
    """x where positive, alpha * (exp(x / alpha) - 1) elsewhere.

    Shapes    (*) -> (*)
    Example   >>> nn.CELU(alpha=2.0)(torch.tensor([-1.0, 2.0]))
              tensor([-0.7869,  2.0000])
    """

    __constants__ = ["alpha", "inplace"]

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__(inplace)
        self.alpha = alpha

    def forward(self, input):
        return F.celu(input, self.alpha, self.inplace)

    def extra_repr(self):
        return self._with_inplace(f"alpha={self.alpha}")


class GELU(Module):
    """x * Phi(x); ``approximate="tanh"`` is the cheaper form.

    Shapes    (*) -> (*)
    Example   >>> nn.GELU()(torch.tensor([-1.0, 2.0]))
              tensor([-0.1587,  1.9545])
    """

    __constants__ = ["approximate"]

    def __init__(self, approximate="none"):
        super().__init__()
        self.approximate = approximate

    def forward(self, input):
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self):
        return f"approximate={self.approximate!r}"


class Softplus(Module):
    """log(1 + exp(beta * x)) / beta.

    Shapes    (*) -> (*)
    Example   >>> nn.Softplus()(torch.tensor([-1.0, 0.0, 30.0]))
              tensor([ 0.3133,  0.6931, 30.0000])
    """

    __constants__ = ["beta", "threshold"]

    def __init__(self, beta=1.0, threshold=20.0):
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input):
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self):
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardtanh(_Inplace):
    """x held between min_val and max_val.

    Shapes    (*) -> (*)
    Example   >>> nn.Hardtanh()(torch.tensor([-2.0, 0.5, 2.0]))
              tensor([-1.0000,  0.5000,  1.0000])
    """

    __constants__ = ["min_val", "max_val", "inplace"]

    def __init__(self, min_val=-1.0, max_val=1.0, inplace=False, min_value=None, max_value=None):
        super().__init__(inplace)
        if min_value is not None:
            warnings.warn(
                "keyword argument `min_value` is deprecated and renamed to `min_val`",
                FutureWarning,
                stacklevel=2,
            )
            min_val = min_value
        if max_value is not None:
            warnings.warn(
                "keyword argument `max_value` is deprecated and renamed to `max_val`",
                FutureWarning,
                stacklevel=2,
            )
            max_val = max_value
        if max_val <= min_val:
            raise AssertionError(f"max_val ({max_val}) must be greater than min_val ({min_val})")
        self.min_val = min_val
        self.max_val = max_val

    def forward(self, input):
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self):
        return self._with_inplace(f"min_val={self.min_val}, max_val={self.max_val}")


class ReLU6(Hardtanh):
    """min(max(0, x), 6).

    Shapes    (*) -> (*)
    Example   >>> nn.ReLU6()(torch.tensor([-1.0, 2.0, 8.0]))
              tensor([0., 2., 6.])
    """

    def __init__(self, inplace=False):
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self):
        return "inplace=True" if self.inplace else ""


class _Shrink(SharedInit, Module):
    __constants__ = ["lambd"]

    def __init__(self, lambd=0.5):
        super().__init__()
        self.lambd = lambd

    def extra_repr(self):
        return str(self.lambd)


class Hardshrink(_Shrink):
    """x outside [-lambd, lambd], 0 inside.

    Shapes    (*) -> (*)
    Example   >>> nn.Hardshrink()(torch.tensor([-1.0, 0.2, 1.0]))
              tensor([-1.,  0.,  1.])
    """

    def forward(self, input):
        return F.hardshrink(input, self.lambd)


class Softshrink(_Shrink):
    """x moved towards 0 by lambd, 0 inside [-lambd, lambd].

    Shapes    (*) -> (*)
    Example   >>> nn.Softshrink()(torch.tensor([-1.0, 0.2, 1.0]))
              tensor([-0.5000,  0.0000,  0.5000])
    """

    def forward(self, input):
        return F.softshrink(input, self.lambd)


class Threshold(_Inplace):
    """x where it exceeds the threshold, ``value`` elsewhere.

    Shapes    (*) -> (*)
    Example   >>> nn.Threshold(1.0, 0.0)(torch.tensor([-1.0, 0.5, 2.0]))
              tensor([0., 0., 2.])
    """

    __constants__ = ["threshold", "value", "inplace"]

    def __init__(self, threshold, value, inplace=False):
        super().__init__(inplace)
        self.threshold = threshold
        self.value = value

    def forward(self, input):
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self):
        return self._with_inplace(f"threshold={self.threshold}, value={self.value}")


class PReLU(Module):
    """x where positive, weight * x elsewhere, with a weight that is trained.

    Shapes    (N, num_parameters, *) -> the same; any shape with one parameter
    Example   >>> nn.PReLU()(torch.tensor([-1.0, 2.0]))
              tensor([-0.2500,  2.0000], grad_fn=<PreluKernelBackward0>)
    """

    __constants__ = ["num_parameters"]

    def __init__(self, num_parameters=1, init=0.25, device=None, dtype=None):
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(torch.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self):
        """Set the weight to its starting value."""
        with torch.no_grad():
            self.weight.fill_(self.init)

    def forward(self, input):
        return F.prelu(input, self.weight)

    def extra_repr(self):
        return f"num_parameters={self.num_parameters}"


class RReLU(_Inplace):
    """LeakyReLU with a random slope while training.

    Shapes    (*) -> (*)
    Example   >>> nn.RReLU().eval()(torch.tensor([-1.0, 2.0]))
              tensor([-0.2292,  2.0000])
    """

    __constants__ = ["lower", "upper", "inplace"]

    def __init__(self, lower=1.0 / 8, upper=1.0 / 3, inplace=False):
        super().__init__(inplace)
        self.lower = lower
        self.upper = upper

    def forward(self, input):
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self):
        return self._with_inplace(f"lower={self.lower}, upper={self.upper}")


class _Along(SharedInit, Module):
    """A function along one axis."""

    __constants__ = ["dim"]

    def __init__(self, dim=None):
        super().__init__()
        self.dim = dim

    def __setstate__(self, state):
        super().__setstate__(state)
        self.__dict__.setdefault("dim", None)

    def extra_repr(self):
        return f"dim={self.dim}"


class Softmax(_Along):
    """exp(x) / sum(exp(x)) along dim.

    Shapes    (*) -> (*)
    Example   >>> nn.Softmax(dim=0)(torch.tensor([1000.0, 1001.0]))
              tensor([0.2689, 0.7311])
    """

    def forward(self, input):
        return F.softmax(input, self.dim, _stacklevel=5)


class Softmin(_Along):
    """softmax(-x) along dim.

    Shapes    (*) -> (*)
    Example   >>> nn.Softmin(dim=0)(torch.tensor([0.0, 1.0]))
              tensor([0.7311, 0.2689])
    """

    def forward(self, input):
        return F.softmin(input, self.dim, _stacklevel=5)


class LogSoftmax(_Along):
    """log(softmax(x)) along dim.

    Shapes    (*) -> (*)
    Example   >>> nn.LogSoftmax(dim=0)(torch.tensor([0.0, 1000.0]))
              tensor([-1000.,     0.])
    """

    def forward(self, input):
        return F.log_softmax(input, self.dim, _stacklevel=5)


class GLU(_Along):
    """a * sigmoid(b) with a and b the halves of the input along dim.

    Shapes    (*, 2 n, *) -> (*, n, *)
    Example   >>> nn.GLU()(torch.tensor([1.0, 2.0, 0.0, 0.0]))
              tensor([0.5000, 1.0000])
    """

    def __init__(self, dim=-1):
        super().__init__(dim)

    def forward(self, input):
        return F.glu(input, self.dim)


class Softmax2d(Module):
    """softmax over the channels of (N, C, H, W) or (C, H, W).

    Shapes    (N, C, H, W) or (C, H, W) -> the same
    Errors    ValueError for another rank
    Example   >>> nn.Softmax2d()(torch.zeros(2, 1, 1)).flatten()
              tensor([0.5000, 0.5000])
    """

    def forward(self, input):
        if input.dim() not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead")
        return F.softmax(input, -3, _stacklevel=5)
