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
    """max(0, x).

    Shapes    input (*) -> (*)
    Gradient  g where x > 0, else 0
    Example   >>> F.relu(torch.tensor([-1.0, 0.0, 2.0]))
              tensor([0., 0., 2.])
    """
    return torch.relu_(input) if inplace else torch.relu(input)


def relu_(input):
    """relu in place.

    Shapes    input (*) -> itself
    Gradient  g where x > 0, else 0
    Example   >>> F.relu_(torch.tensor([-1.0, 2.0]))
              tensor([0., 2.])
    """
    return torch.relu_(input)


def relu6(input, inplace=False):
    """min(max(0, x), 6).

    Shapes    input (*) -> (*)
    Gradient  g where 0 < x < 6, else 0
    Example   >>> F.relu6(torch.tensor([-1.0, 2.0, 8.0]))
              tensor([0., 2., 6.])
    """
    return hardtanh(input, 0.0, 6.0, inplace)


def sigmoid(input):
    """1 / (1 + exp(-x)).

    Shapes    input (*) -> (*)
    Gradient  g * out * (1 - out)
    Example   >>> F.sigmoid(torch.tensor([0.0, 2.0]))
              tensor([0.5000, 0.8808])
    """
    return input.sigmoid()


def tanh(input):
    """The hyperbolic tangent.

    Shapes    input (*) -> (*)
    Gradient  g * (1 - out^2)
    Example   >>> F.tanh(torch.tensor([0.0, 2.0]))
              tensor([0.0000, 0.9640])
    """
    return input.tanh()


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """x where positive, negative_slope * x elsewhere.

    Shapes    input (*) -> (*)
    Gradient  g where x > 0, g * negative_slope elsewhere
    Example   >>> F.leaky_relu(torch.tensor([-1.0, 2.0]), 0.1)
              tensor([-0.1000,  2.0000])
    """
    if inplace:
        return torch.leaky_relu_(input, negative_slope)
    return torch.leaky_relu(input, negative_slope)


def leaky_relu_(input, negative_slope=0.01):
    """leaky_relu in place.

    Shapes    input (*) -> itself
    Gradient  as of leaky_relu; the slope must not be negative, as the way back starts from the result
    Example   >>> F.leaky_relu_(torch.tensor([-1.0, 2.0]), 0.1)
              tensor([-0.1000,  2.0000])
    """
    return torch.leaky_relu_(input, negative_slope)


def elu(input, alpha=1.0, inplace=False):
    """x where positive, alpha * (exp(x) - 1) elsewhere.

    Shapes    input (*) -> (*)
    Gradient  g where x > 0, g * alpha * exp(x) elsewhere
    Example   >>> F.elu(torch.tensor([-1.0, 2.0]))
              tensor([-0.6321,  2.0000])
    """
    return torch.elu_(input, alpha) if inplace else torch.elu(input, alpha)


def elu_(input, alpha=1.0):
    """elu in place.

    Shapes    input (*) -> itself
    Gradient  as of elu
    Example   >>> F.elu_(torch.tensor([-1.0, 2.0]))
              tensor([-0.6321,  2.0000])
    """
    return torch.elu_(input, alpha)


def celu(input, alpha=1.0, inplace=False):
    """x where positive, alpha * (exp(x / alpha) - 1) elsewhere.

    Shapes    input (*) -> (*)
    Gradient  g where x > 0, g * exp(x / alpha) elsewhere
    Example   >>> F.celu(torch.tensor([-1.0, 2.0]), alpha=2.0)
              tensor([-0.7869,  2.0000])
    """
    return torch.celu_(input, alpha) if inplace else torch.celu(input, alpha)


def celu_(input, alpha=1.0):
    """celu in place.

    Shapes    input (*) -> itself
    Gradient  as of celu
    Example   >>> F.celu_(torch.tensor([-1.0, 2.0]), alpha=2.0)
              tensor([-0.7869,  2.0000])
    """
    return torch.celu_(input, alpha)


def selu(input, inplace=False):
    """elu with the scale and alpha that keep mean 0 and variance 1.

    Shapes    input (*) -> (*)
    Gradient  g * 1.0507 where x > 0, g * 1.7581 * exp(x) elsewhere
    Source    Klambauer et al., NeurIPS 2017
    Example   >>> F.selu(torch.tensor([-1.0, 2.0]))
              tensor([-1.1113,  2.1014])
    """
    return torch.selu_(input) if inplace else torch.selu(input)


def selu_(input):
    """selu in place.

    Shapes    input (*) -> itself
    Gradient  as of selu
    Example   >>> F.selu_(torch.tensor([-1.0, 2.0]))
              tensor([-1.1113,  2.1014])
    """
    return torch.selu_(input)


def gelu(input, *, approximate="none"):
    """x * Phi(x) with Phi the normal distribution function; ``approximate="tanh"`` is the cheaper form.

    Shapes    input (*) -> (*)
    Gradient  g * (Phi(x) + x * phi(x)), phi the density
    Source    Hendrycks & Gimpel, 2016
    Example   >>> F.gelu(torch.tensor([-1.0, 2.0]))
              tensor([-0.1587,  1.9545])
    """
    return torch.gelu(input, approximate=approximate)


def silu(input, inplace=False):
    """x * sigmoid(x).

    Shapes    input (*) -> (*)
    Gradient  g * s * (1 + x * (1 - s)), s = sigmoid(x)
    Example   >>> F.silu(torch.tensor([-1.0, 2.0]))
              tensor([-0.2689,  1.7616])
    """
    return torch.silu_(input) if inplace else torch.silu(input)


def mish(input, inplace=False):
    """x * tanh(softplus(x)).

    Shapes    input (*) -> (*)
    Gradient  g * (t + x * sigmoid(x) * (1 - t^2)), t = tanh(softplus(x))
    Example   >>> F.mish(torch.tensor([-1.0, 2.0]))
              tensor([-0.3034,  1.9440])
    """
    return torch.mish_(input) if inplace else torch.mish(input)


def softplus(input, beta=1.0, threshold=20.0):
    """log(1 + exp(beta * x)) / beta; x itself where beta * x exceeds the threshold.

    Shapes    input (*) -> (*)
    Gradient  g * sigmoid(beta * x), above the threshold g
    Example   >>> F.softplus(torch.tensor([-1.0, 0.0, 30.0]))
              tensor([ 0.3133,  0.6931, 30.0000])
    """
    return torch.softplus(input, beta, threshold)


def softsign(input):
    """x / (1 + abs(x)).

    Shapes    input (*) -> (*)
    Gradient  g / (1 + abs(x))^2
    Example   >>> F.softsign(torch.tensor([-1.0, 3.0]))
              tensor([-0.5000,  0.7500])
    """
    return input / (input.abs() + 1)


def logsigmoid(input):
    """log(sigmoid(x)), without underflow.

    Shapes    input (*) -> (*)
    Gradient  g * sigmoid(-x)
    Example   >>> F.logsigmoid(torch.tensor([-100.0, 0.0]))
              tensor([-100.0000,   -0.6931])
    """
    return torch.log_sigmoid(input)


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """x held between min_val and max_val.

    Shapes    input (*) -> (*)
    Gradient  g between the bounds, 0 at and beyond them
    Errors    ValueError where min_val > max_val
    Example   >>> F.hardtanh(torch.tensor([-2.0, 0.5, 2.0]))
              tensor([-1.0000,  0.5000,  1.0000])
    """
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if inplace:
        return torch.hardtanh_(input, min_val, max_val)
    return torch.hardtanh(input, min_val, max_val)


def hardtanh_(input, min_val=-1.0, max_val=1.0):
    """hardtanh in place.

    Shapes    input (*) -> itself
    Gradient  as of hardtanh
    Example   >>> F.hardtanh_(torch.tensor([-2.0, 0.5, 2.0]))
              tensor([-1.0000,  0.5000,  1.0000])
    """
    return torch.hardtanh_(input, min_val, max_val)


def hardsigmoid(input, inplace=False):
    """min(max(0, x + 3), 6) / 6.

    Shapes    input (*) -> (*)
    Gradient  g / 6 between -3 and 3, else 0
    Example   >>> F.hardsigmoid(torch.tensor([-4.0, 0.0, 1.0]))
              tensor([0.0000, 0.5000, 0.6667])
    """
    return torch.hardsigmoid_(input) if inplace else torch.hardsigmoid(input)


def hardswish(input, inplace=False):
    """x * min(max(0, x + 3), 6) / 6.

    Shapes    input (*) -> (*)
    Gradient  g * (x / 3 + 1 / 2) between -3 and 3, g above, 0 below
    Example   >>> F.hardswish(torch.tensor([0.0, 1.0, 4.0]))
              tensor([0.0000, 0.6667, 4.0000])
    """
    return torch.hardswish_(input) if inplace else torch.hardswish(input)


def hardshrink(input, lambd=0.5):
    """x outside [-lambd, lambd], 0 inside.

    Shapes    input (*) -> (*)
    Gradient  g outside, 0 inside
    Example   >>> F.hardshrink(torch.tensor([-1.0, 0.2, 1.0]))
              tensor([-1.,  0.,  1.])
    """
    return torch.hardshrink(input, lambd)


def softshrink(input, lambd=0.5):
    """x moved towards 0 by lambd, 0 inside [-lambd, lambd].

    Shapes    input (*) -> (*)
    Gradient  g outside, 0 inside
    Errors    RuntimeError where lambd is negative
    Example   >>> F.softshrink(torch.tensor([-1.0, 0.2, 1.0]))
              tensor([-0.5000,  0.0000,  0.5000])
    """
    return torch.softshrink(input, lambd)


def tanhshrink(input):
    """x - tanh(x).

    Shapes    input (*) -> (*)
    Gradient  g * tanh(x)^2
    Example   >>> F.tanhshrink(torch.tensor([0.0, 1.0]))
              tensor([0.0000, 0.2384])
    """
    return input - input.tanh()


def threshold(input, threshold, value, inplace=False):
    """x where it exceeds the threshold, ``value`` elsewhere.

    Shapes    input (*) -> (*)
    Gradient  g above the threshold, 0 elsewhere
    Example   >>> F.threshold(torch.tensor([-1.0, 0.5, 2.0]), 1.0, 0.0)
              tensor([0., 0., 2.])
    """
    if inplace:
        return torch.threshold_(input, threshold, value)
    return torch.threshold(input, threshold, value)


def threshold_(input, threshold, value):
    """threshold in place.

    Shapes    input (*) -> itself
    Gradient  as of threshold
    Example   >>> F.threshold_(torch.tensor([-1.0, 0.5, 2.0]), 1.0, 0.0)
              tensor([0., 0., 2.])
    """
    return torch.threshold_(input, threshold, value)


def prelu(input, weight):
    """x where positive, weight * x elsewhere; one weight, or one for each channel (axis 1).

    Shapes    input (N, C, *), weight (1) or (C) -> (N, C, *)
    Gradient  input: g where x > 0, g * weight elsewhere; weight: the sum of g * x where x <= 0
    Example   >>> F.prelu(torch.tensor([-1.0, 2.0]), torch.tensor([0.1]))
              tensor([-0.1000,  2.0000])
    """
    return torch.prelu(input, weight)


def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    """leaky_relu with a random slope in [lower, upper] in training, their mean otherwise.

    Shapes    input (*) -> (*)
    Gradient  g where x > 0, g times the slope that was drawn elsewhere
    Example   >>> F.rrelu(torch.tensor([-1.0, 2.0]))
              tensor([-0.2292,  2.0000])
    """
    if inplace:
        return torch.rrelu_(input, lower, upper, training)
    return torch.rrelu(input, lower, upper, training)


def rrelu_(input, lower=1.0 / 8, upper=1.0 / 3, training=False):
    """rrelu in place.

    Shapes    input (*) -> itself
    Gradient  as of rrelu
    Example   >>> F.rrelu_(torch.tensor([-1.0, 2.0]))
              tensor([-0.2292,  2.0000])
    """
    return torch.rrelu_(input, lower, upper, training)


def glu(input, dim=-1):
    """a * sigmoid(b) with a and b the halves of the input along ``dim``.

    Shapes    input (*, 2 n, *) -> (*, n, *)
    Gradient  a: g * sigmoid(b); b: g * a * sigmoid(b) * (1 - sigmoid(b))
    Errors    RuntimeError for an odd size or a tensor without axes
    Example   >>> F.glu(torch.tensor([1.0, 2.0, 0.0, 0.0]))
              tensor([0.5000, 1.0000])
    """
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
    """exp(x) / sum(exp(x)) along ``dim``; ``dtype`` converts the input first.

    Shapes    input (*) -> (*)
    Gradient  out * (g - sum(g * out))
    Example   >>> F.softmax(torch.tensor([1000.0, 1001.0]), dim=0)
              tensor([0.2689, 0.7311])
    """
    if dim is None:
        dim = _implicit_dim("softmax", input.dim(), _stacklevel - 1)
    return input.softmax(dim) if dtype is None else input.softmax(dim, dtype=dtype)


def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """softmax(-x).

    Shapes    input (*) -> (*)
    Gradient  -out * (g - sum(g * out))
    Example   >>> F.softmin(torch.tensor([0.0, 1.0]), dim=0)
              tensor([0.7311, 0.2689])
    """
    if dim is None:
        dim = _implicit_dim("softmin", input.dim(), _stacklevel - 1)
    return (-input).softmax(dim) if dtype is None else (-input).softmax(dim, dtype=dtype)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """log(softmax(x)), without underflow.

    Shapes    input (*) -> (*)
    Gradient  g - softmax(x) * sum(g)
    Example   >>> F.log_softmax(torch.tensor([0.0, 1000.0]), dim=0)
              tensor([-1000.,     0.])
    """
    if dim is None:
        dim = _implicit_dim("log_softmax", input.dim(), _stacklevel - 1)
    return input.log_softmax(dim) if dtype is None else input.log_softmax(dim, dtype=dtype)
