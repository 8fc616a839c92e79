"""Activation functions under the names of torch.nn.functional."""

from __future__ import annotations

import warnings

from pullback import _api as torch

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "gelu",
    "glu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
]


def relu(input, inplace=False):
    """max(0, x)."""
    return torch.relu_(input) if inplace else torch.relu(input)


def relu_(input):
    """relu in place."""
    return torch.relu_(input)


def relu6(input, inplace=False):
    """min(max(0, x), 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


def sigmoid(input):
    """1 / (1 + exp(-x))."""
    return input.sigmoid()


def tanh(input):
    """The hyperbolic tangent."""
    return input.tanh()


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """x where positive, negative_slope * x elsewhere."""
    if inplace:
        return torch.leaky_relu_(input, negative_slope)
    return torch.leaky_relu(input, negative_slope)


def leaky_relu_(input, negative_slope=0.01):
    """leaky_relu in place."""
    return torch.leaky_relu_(input, negative_slope)


def elu(input, alpha=1.0, inplace=False):
    """x where positive, alpha * (exp(x) - 1) elsewhere."""
    return torch.elu_(input, alpha) if inplace else torch.elu(input, alpha)


def elu_(input, alpha=1.0):
    """elu in place."""
    return torch.elu_(input, alpha)


def celu(input, alpha=1.0, inplace=False):
    """x where positive, alpha * (exp(x / alpha) - 1) elsewhere."""
    return torch.celu_(input, alpha) if inplace else torch.celu(input, alpha)


def celu_(input, alpha=1.0):
    """celu in place."""
    return torch.celu_(input, alpha)


def selu(input, inplace=False):
    """elu with the scale and alpha that keep mean 0 and variance 1 (Klambauer et al., NeurIPS 2017)."""
    return torch.selu_(input) if inplace else torch.selu(input)


def selu_(input):
    """selu in place."""
    return torch.selu_(input)


def gelu(input, approximate="none"):
    """x * Phi(x) with Phi the normal distribution function; ``approximate="tanh"`` is the cheaper form."""
    return torch.gelu(input, approximate=approximate)


def silu(input, inplace=False):
    """x * sigmoid(x)."""
    return torch.silu_(input) if inplace else torch.silu(input)


def mish(input, inplace=False):
    """x * tanh(softplus(x))."""
    return torch.mish_(input) if inplace else torch.mish(input)


def softplus(input, beta=1.0, threshold=20.0):
    """log(1 + exp(beta * x)) / beta; x itself where beta * x exceeds the threshold."""
    return torch.softplus(input, beta, threshold)


def softsign(input):
    """x / (1 + abs(x))."""
    return input / (input.abs() + 1)


def logsigmoid(input):
    """log(sigmoid(x)), without underflow."""
    return torch.log_sigmoid(input)


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """x held between min_val and max_val."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if inplace:
        return torch.hardtanh_(input, min_val, max_val)
    return torch.hardtanh(input, min_val, max_val)


def hardtanh_(input, min_val=-1.0, max_val=1.0):
    """hardtanh in place."""
    return torch.hardtanh_(input, min_val, max_val)


def hardsigmoid(input, inplace=False):
    """min(max(0, x + 3), 6) / 6."""
    return torch.hardsigmoid_(input) if inplace else torch.hardsigmoid(input)


def hardswish(input, inplace=False):
    """x * min(max(0, x + 3), 6) / 6."""
    return torch.hardswish_(input) if inplace else torch.hardswish(input)


def hardshrink(input, lambd=0.5):
    """x outside [-lambd, lambd], 0 inside."""
    return torch.hardshrink(input, lambd)


def softshrink(input, lambd=0.5):
    """x moved towards 0 by lambd, 0 inside [-lambd, lambd]."""
    return torch.softshrink(input, lambd)


def tanhshrink(input):
    """x - tanh(x)."""
    return input - input.tanh()


def threshold(input, threshold, value, inplace=False):
    """x where it exceeds the threshold, ``value`` elsewhere."""
    if inplace:
        return torch.threshold_(input, threshold, value)
    return torch.threshold(input, threshold, value)


def threshold_(input, threshold, value):
    """threshold in place."""
    return torch.threshold_(input, threshold, value)


def prelu(input, weight):
    """x where positive, weight * x elsewhere; one weight, or one for each channel (axis 1)."""
    return torch.prelu(input, weight)


def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    """leaky_relu with a random slope in [lower, upper] in training, their mean otherwise."""
    if inplace:
        return torch.rrelu_(input, lower, upper, training)
    return torch.rrelu(input, lower, upper, training)


def rrelu_(input, lower=1.0 / 8, upper=1.0 / 3, training=False):
    """rrelu in place."""
    return torch.rrelu_(input, lower, upper, training)


def glu(input, dim=-1):
    """a * sigmoid(b) with a and b the halves of the input along ``dim``."""
    if input.dim() == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    return torch.glu(input, dim)


def _implicit_dim(name, dimensions, stacklevel):
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X "
        "as an argument.",
        stacklevel=stacklevel + 1,
    )
    return 0 if dimensions in (0, 1, 3) else 1


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    """exp(x) / sum(exp(x)) along ``dim``; ``dtype`` converts the input first."""
    if dim is None:
        dim = _implicit_dim("softmax", input.dim(), _stacklevel - 1)
    return input.softmax(dim) if dtype is None else input.softmax(dim, dtype=dtype)


def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """softmax(-x)."""
    if dim is None:
        dim = _implicit_dim("softmin", input.dim(), _stacklevel - 1)
    return (-input).softmax(dim) if dtype is None else (-input).softmax(dim, dtype=dtype)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """log(softmax(x)), without underflow."""
    if dim is None:
        dim = _implicit_dim("log_softmax", input.dim(), _stacklevel - 1)
    return input.log_softmax(dim) if dtype is None else input.log_softmax(dim, dtype=dtype)
