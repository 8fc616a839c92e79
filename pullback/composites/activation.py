"""Activation functions: one node each, as in torch, with derivatives that are right at the edges.

A form in place goes back from its result where the input can be told from it.
"""

from __future__ import annotations

import math

from pullback import _core
from pullback.composites.elementwise_more import scalar_name
from pullback.composites.shape import function, wrap
from pullback.primitives.family import composite
from pullback.primitives.registry import expose, in_place_form, ops, public
from pullback.results import FOUND, FREE
from pullback.trace.tracer import functions as f


def where(condition, x, y):
    return f["where"](condition, x, y)


def require_float(kernel, x):
    if not x.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"{kernel}\" not implemented for '{scalar_name(x.dtype)}'\n"
            "Convert the tensor first, for example with .float()."
        )


def _floats(kernel, function):
    """The function, refusing integers with torch's words."""

    def checked(x, *parameters):
        require_float(kernel, x)
        return function(x, *parameters)

    return checked


def activation(signature, kernel, forward, vjp, *, in_place=False, **options):
    """forward(x, *parameters) and vjp(g, x, *parameters); in_place also exposes the name_ form."""
    forward = _floats(kernel, forward) if kernel else forward
    return composite(
        signature, forward, lambda g, v, out: vjp(g, *v), method=False, in_place=in_place, **options
    )


# ---- piecewise linear ----


activation(
    "hardtanh(Tensor input, Scalar min_val=-1, Scalar max_val=1)",
    None,
    lambda x, low, high: f["minimum"](f["maximum"](x, low), high),
    lambda g, x, low, high: where((x <= low) | (x >= high), 0.0, g),
    in_place=True,
)


def _leaky(x, slope):
    require_float("leaky_relu_cpu", x)
    return where(x > 0, x, x * slope)


def _leaky_vjp(g, values, out):
    return where(values[0] > 0, g, g * values[1])


def _leaky_vjp_of_result(g, values, out):
    return where(out > 0, g, g * values[1])


composite("leaky_relu(Tensor input, Scalar negative_slope=0.01)", _leaky, _leaky_vjp, method=False)
composite(
    "leaky_relu(Tensor input, Scalar negative_slope=0.01)",
    _leaky,
    _leaky_vjp_of_result,
    name="leaky_relu_in_place",
    node="LeakyReluBackward1!",
    expose_as="-",
)
in_place_form("_leaky_relu", ops["leaky_relu_in_place"], function=False)


def leaky_relu_(input, negative_slope=0.01):
    """leaky_relu in place; the way back needs a slope that is not negative, as it starts from the result.

    Shapes    input (*) -> itself
    Gradient  g where the result is positive, g * negative_slope elsewhere
    Example   >>> torch.leaky_relu_(torch.tensor([-1.0, 2.0]), 0.1)
              tensor([-0.1000,  2.0000])
    """
    if negative_slope < 0 and input.requires_grad and _core.is_grad_enabled():
        raise RuntimeError(
            "In-place leakyReLu backward calculation is triggered with a negative slope which is not "
            "supported. This is caused by calling in-place forward function with a negative slope, please "
            "call out-of-place version instead."
        )
    return f["_leaky_relu_"](input, negative_slope)


def _threshold(x, threshold, value):
    return f["_cast"](where(x <= threshold, value, x), x.dtype)


def _threshold_vjp(g, values, out):
    return where(values[0] <= values[1], 0.0, g)


_THRESHOLD = "threshold(Tensor input, Scalar threshold, Scalar value)"
composite(_THRESHOLD, _threshold, _threshold_vjp, method=False, out=FREE)
composite(
    _THRESHOLD,
    _threshold,
    _threshold_vjp,
    name="threshold_in_place",
    node="ThresholdBackward1!",
    expose_as="-",
)
in_place_form("threshold", ops["threshold_in_place"])

SIXTH = 0.1666666716337204  # as a float32, which torch takes for float64 too
activation(
    "hardsigmoid(Tensor input)",
    "hardsigmoid_cpu",
    lambda x: f["minimum"](f["maximum"](x + 3, 0), 6) / 6,
    lambda g, x: where((x > -3) & (x < 3), g * SIXTH, 0.0),
    in_place=True,
)
activation(
    "hardswish(Tensor input)",
    "hardswish_cpu",
    lambda x: x * f["minimum"](f["maximum"](x + 3, 0), 6) / 6,
    lambda g, x: where(x <= -3, 0.0, where(x < 3, g * (where(abs(x) < 3, x, 0.0) / 3 + 0.5), g)),
    in_place=True,
)
activation(
    "hardshrink(Tensor input, Scalar lambd=0.5)",
    "hardshrink_cpu",
    lambda x, bound: where((x >= -bound) & (x <= bound), 0.0, x),
    lambda g, x, bound: where((x >= -bound) & (x <= bound), 0.0, g),
    out=FOUND,
)
activation(
    "softshrink(Tensor input, Scalar lambd=0.5)",
    "softshrink_check",
    lambda x, bound: where(x > bound, x - bound, where(x < -bound, x + bound, x * 0)),
    lambda g, x, bound: where((x >= -bound) & (x <= bound), 0.0, g),
    expose_as="_softshrink",
)


@function
def softshrink(input, lambd=0.5):
    """x moved towards 0 by lambd; 0 between -lambd and lambd.

    Shapes    input (*) -> (*)
    Gradient  g outside, 0 inside
    Errors    RuntimeError where lambd is negative
    Example   >>> torch.softshrink(torch.tensor([-1.0, 0.2, 1.0]))
              tensor([-0.5000,  0.0000,  0.5000])
    """
    if lambd < 0:
        kind = scalar_name(input.dtype)
        largest = {"Float": "3.40282e+38", "Double": "1.79769e+308"}.get(kind, "the largest number")
        raise RuntimeError(
            f"lambda must be in range [0, {largest}] for input dtype {kind}, but found {lambd:g}"
        )
    return f["_softshrink"](input, lambd)


def _prelu(x, weight):
    # Only what is chosen is multiplied: an infinity on the other side would come back as 0 * inf.
    return where(x > 0, x, weight * where(x > 0, 0.0, x))


composite(
    "prelu_kernel(Tensor input, Tensor weight)",
    _prelu,
    node="PreluKernelBackward0!",
    expose_as="_prelu_kernel",
)


@function
def prelu(input, weight):
    """x where positive, weight * x elsewhere; one weight, or one for each channel (axis 1).

    Shapes    input (N, C, *), weight (1) or (C) -> (N, C, *)
    Gradient  input: g where x > 0, g * weight elsewhere; weight: the sum of g * x where x <= 0
    Example   >>> torch.prelu(torch.tensor([-1.0, 2.0]), torch.tensor([0.1]))
              tensor([-0.1000,  2.0000])
    """
    if input.dtype is not weight.dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {str(input.dtype).rpartition('.')[2]} and "
            f"{str(weight.dtype).rpartition('.')[2]}"
        )
    count = weight.numel()
    if count != 1:
        if input.dim() == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.size(1) if input.dim() > 1 else 1
        if channels != count:
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {count} "
                f"and channel size = {channels}."
            )
    if weight.dim() > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.dim()}"
        )
    if weight.dim() != input.dim():
        sizes = [1] * input.dim()
        if input.dim() > 1:
            sizes[1] = count
        weight = weight.reshape(sizes)
    return f["_prelu_kernel"](input, weight)


# ---- exponential ----


def _elu(x, alpha, scale, input_scale):
    require_float("elu_cpu", x)
    below = f["expm1"](where(x < 0, x, 0.0) * input_scale) * (alpha * scale)
    return where(x <= 0, below, x * scale)


def _elu_vjp(g, values, out):
    x, alpha, scale, input_scale = values
    slope = f["exp"](where(x < 0, x, 0.0) * input_scale)
    return where(x <= 0, g * input_scale * (alpha * scale) * slope, g * scale)


def _elu_vjp_of_result(g, values, out):
    _, alpha, scale, input_scale = values
    return where(out <= 0, g * input_scale * (where(out < 0, out, 0.0) + alpha * scale), g * scale)


_ELU = "elu(Tensor input, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1)"
composite(_ELU, _elu, _elu_vjp, method=False)
composite(_ELU, _elu, _elu_vjp_of_result, name="elu_in_place", node="EluBackward1!", expose_as="_elu")
in_place_form("elu", ops["elu_in_place"])

# From Klambauer et al., Self-Normalizing Neural Networks: the fixed point of mean 0 and variance 1.
SELU_ALPHA, SELU_SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def selu(input):
    """elu with the scale and alpha that keep mean 0 and variance 1.

    Shapes    input (*) -> (*)
    Gradient  g * 1.0507 where x > 0, g * 1.7581 * exp(x) elsewhere
    Example   >>> torch.selu(torch.tensor([-1.0, 2.0]))
              tensor([-1.1113,  2.1014])
    """
    return f["elu"](input, SELU_ALPHA, SELU_SCALE)


def selu_(input):
    """selu in place.

    Shapes    input (*) -> itself
    Gradient  as of selu
    Example   >>> torch.selu_(torch.tensor([-1.0, 2.0]))
              tensor([-1.1113,  2.1014])
    """
    return f["elu_"](input, SELU_ALPHA, SELU_SCALE)


def _celu(x, alpha):
    return _elu(x, alpha, 1.0, 1.0 / alpha)


composite(
    "celu(Tensor input, Scalar alpha=1)",
    _celu,
    lambda g, v, out: _elu_vjp(g, (v[0], v[1], 1.0, 1.0 / v[1]), out),
    expose_as="_celu",
)
composite(
    "celu(Tensor input, Scalar alpha=1)",
    _celu,
    lambda g, v, out: _elu_vjp_of_result(g, (v[0], v[1], 1.0, 1.0 / v[1]), out),
    name="celu_in_place",
    node="CeluBackward1!",
    expose_as="-",
)
in_place_form("_celu", ops["celu_in_place"], function=False)


def _check_celu(alpha):
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")


def celu(input, alpha=1.0):
    """x where positive, alpha * (exp(x / alpha) - 1) elsewhere.

    Shapes    input (*) -> (*)
    Gradient  g where x > 0, g * exp(x / alpha) elsewhere
    Example   >>> torch.celu(torch.tensor([-1.0, 2.0]), alpha=2.0)
              tensor([-0.7869,  2.0000])
    """
    _check_celu(alpha)
    return f["_celu"](input, alpha)


def celu_(input, alpha=1.0):
    """celu in place.

    Shapes    input (*) -> itself
    Gradient  as of celu
    Example   >>> torch.celu_(torch.tensor([-1.0, 2.0]), alpha=2.0)
              tensor([-0.7869,  2.0000])
    """
    _check_celu(alpha)
    return f["_celu_"](input, alpha)


activation(
    "silu(Tensor input)",
    "silu_cpu",
    lambda x: x / (1 + f["exp"](-x)),
    lambda g, x: _silu_slope(g, x, f["sigmoid"](x)),
    in_place=True,
)


def _silu_slope(g, x, s):
    return g * s * f["fma"](x, 1 - s, 1)


def _softplus_of(x):
    """log(1 + exp(x)), x itself where it is large: finite everywhere, with finite derivatives."""
    return where(x > 20, x, f["log1p"](f["exp"](where(x > 20, 0.0, x))))


def _mish_vjp(g, x):
    t, s = f["tanh"](_softplus_of(x)), f["sigmoid"](x)
    return g * f["fma"](x * s, 1 - t * t, t)


activation(
    "mish(Tensor input)", "mish_cpu", lambda x: x * f["tanh"](_softplus_of(x)), _mish_vjp, in_place=True
)


def _softplus(x, beta, threshold):
    large = x * beta > threshold
    return where(large, x, f["log1p"](f["exp"](where(large, 0.0, x * beta))) / beta)


def _softplus_vjp(g, x, beta, threshold):
    return where(x * beta > threshold, g, g * f["sigmoid"](x * beta))


activation(
    "softplus(Tensor input, Scalar beta=1, Scalar threshold=20)", "softplus_cpu", _softplus, _softplus_vjp
)

# ---- gelu ----

_KAPPA = 0.044715
_SQRT_2_OVER_PI = math.sqrt(2) * (2 / math.sqrt(math.pi)) * 0.5


def _gelu(x, approximate):
    if approximate == "tanh":
        inner = _SQRT_2_OVER_PI * f["fma"](x * x * x, _KAPPA, x)
        return 0.5 * x * (1 + f["tanh"](inner))
    return x * 0.5 * (1 + f["erf"](x * math.sqrt(0.5)))


def _gelu_vjp(g, x, approximate):
    if approximate == "none":
        cdf = 0.5 * (1 + f["erf"](x * math.sqrt(0.5)))
        pdf = f["exp"](x * x * -0.5) * (1 / math.sqrt(2 * math.pi))
        return g * f["fma"](x, pdf, cdf)
    square = x * x
    t = f["tanh"](_SQRT_2_OVER_PI * f["fma"](square * x, _KAPPA, x))
    inner_slope = _SQRT_2_OVER_PI * f["fma"](square, 3 * _KAPPA, 1)
    return g * f["fma"](0.5 * x * (1 - t * t), inner_slope, 0.5 * (1 + t))


activation("gelu(Tensor input, *, str{none|tanh} approximate='none')", "GeluKernelImpl", _gelu, _gelu_vjp)

# ---- gated ----


def _halves(x, dim):
    n = x.size(dim) // 2
    return f["_slice"](x, dim, 0, n, 1), f["_slice"](x, dim, n, n + n, 1)


def _glu(x, dim):
    a, b = _halves(x, dim)
    return a * f["sigmoid"](b)


def _glu_vjp(g, values, out):
    x, dim = values
    a, b = _halves(x, dim)
    s = f["sigmoid"](b)
    return f["cat"]([s * g, (1 - s) * s * a * g], dim)


composite("glu(Tensor input, int dim)", _glu, _glu_vjp, expose_as="_glu")


def glu(input, dim=-1):
    """a * sigmoid(b) with a and b the halves of the input along dim.

    Shapes    input (*, 2 n, *) -> (*, n, *)
    Gradient  a: g * sigmoid(b); b: g * a * sigmoid(b) * (1 - sigmoid(b))
    Errors    RuntimeError for an odd size
    Example   >>> torch.glu(torch.tensor([1.0, 2.0, 0.0, 0.0]))
              tensor([0.5000, 1.0000])
    """
    if input.dim() == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    axis = wrap(dim, input.dim())
    if input.size(axis) % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {axis} is size {input.size(axis)}")
    return f["_glu"](input, axis)


# ---- randomised leaky relu ----

for _form, _node in (("", 0), ("_in_place", 1)):
    composite(
        "rrelu_with_noise(Tensor input, Tensor noise)",
        lambda x, noise: x * noise,
        lambda g, v, out: (g * v[1], None),
        name=f"rrelu_noise{_form}",
        node=f"RreluWithNoiseBackward{_node}!",
        expose_as="-",
    )
    composite(
        "rrelu_with_noise(Tensor input, Scalar slope)",
        _leaky,
        _leaky_vjp,
        name=f"rrelu_mean{_form}",
        node=f"RreluWithNoiseBackward{_node}!",
        expose_as="-",
    )
for _name in ("rrelu_noise", "rrelu_mean"):
    expose(f"_{_name}", ops[_name])
    in_place_form(f"_{_name}", ops[f"{_name}_in_place"])


def _drawn_slopes(input, lower, upper, generator):
    """1 where the input is positive, elsewhere a slope drawn for each element in order."""
    from pullback import random

    random._check_allowed()
    rows = input.detach().contiguous()
    places = _core.nonzero((rows <= 0).reshape(-1)).reshape(-1)
    slopes = _core.empty([places.numel()], _core.float64)
    _core.fill_uniform(slopes, generator or _core.default_generator(), float(lower), float(upper))
    noise = f["_full_like"](rows.reshape(-1), 1)
    noise = f["_index_put"](noise, [places], f["_cast"](slopes, noise.dtype), False)
    return noise.reshape(rows.shape)


def _rrelu(input, lower, upper, training, generator, suffix):
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    require_float("rrelu_with_noise_out_cpu" if training else "leaky_relu_cpu", input)
    if not training:
        return f["_rrelu_mean" + suffix](input, (lower + upper) / 2)
    noise = _drawn_slopes(input, lower, upper, generator)
    return f["_rrelu_noise" + suffix](input, noise)


def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, generator=None):
    """leaky_relu with a slope drawn from [lower, upper] in training, with their mean otherwise.

    Shapes    input (*) -> (*)
    Gradient  g where x > 0, g times the slope elsewhere
    Example   >>> torch.rrelu(torch.tensor([-1.0, 2.0]))
              tensor([-0.2292,  2.0000])
    """
    return _rrelu(input, lower, upper, training, generator, "")


def rrelu_(input, lower=1.0 / 8, upper=1.0 / 3, training=False, generator=None):
    """rrelu in place.

    Shapes    input (*) -> itself
    Gradient  as of rrelu
    Example   >>> torch.rrelu_(torch.tensor([-1.0, 2.0]))
              tensor([-0.2292,  2.0000])
    """
    return _rrelu(input, lower, upper, training, generator, "_")


for _g in (leaky_relu_, selu, selu_, celu, celu_, glu, rrelu, rrelu_):
    public[_g.__name__] = f[_g.__name__] = _g
