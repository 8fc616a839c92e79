"""Elementwise primitives. Each row is the whole truth about one function: kernel, derivative, domain, edges.

`grad` gets the cotangent g, the operands and the output, and returns the operands' cotangents.
"""

from __future__ import annotations

import math

from pullback.primitives.family import composite, elementwise
from pullback.primitives.registry import ANY
from pullback.results import CAST, FOUND
from pullback.trace.tracer import functions as f

inf, nan, pi = math.inf, math.nan, math.pi


class interval:
    """Where test samples are drawn from: open at both ends; `away` keeps a distance from these points."""

    def __init__(self, low, high, away=()):
        self.low, self.high, self.away = low, high, away


def where(condition, x, y):
    return f["where"](condition, x, y)


def flat(*_):
    """The rule of a step function: no cotangent passes, whatever it is (0 times a nan would be one)."""


# ---- arithmetic ----

elementwise(
    "add(Operand input, Operand other)",
    lambda g, x, y, out: (g, g),
    expose_as="-",
    cheap=True,
    dtypes=ANY,
    tex="x + y",
)
elementwise(
    "sub(Operand input, Operand other)",
    lambda g, x, y, out: (g, -g),
    expose_as="_sub",
    cheap=True,
    tex="x - y",
)
composite(
    "rsub(Tensor input, Operand other)",
    lambda x, y: f["_sub"](y, x),
    number_node="RsubBackward1",
    out=False,
    method=False,
)
elementwise(
    "mul(Operand input, Operand other)",
    lambda g, x, y, out: (g * y, g * x),
    cheap=True,
    in_place=True,
    dtypes=ANY,
    tex="x y",
)
elementwise(
    "div(Operand input, Operand other)",
    lambda g, x, y, out: (g / y, -g * ((x / y) / y)),
    typing="float",
    expose_as="-",
    cheap=True,
    made_again=True,  # torch divides again, so that the quotient may be changed
    samples=interval(0.3, 3),
    tex=r"\frac{x}{y}",
)
elementwise("neg(Tensor input)", lambda g, x, out: -g, cheap=True, in_place=True, tex="-x", out=FOUND)
elementwise(
    "fma(Operand input, Operand other, Operand third)",
    lambda g, x, y, z, out: (g * y, g * x, g),
    cheap=True,
    method=False,
    tex="x y + z",
    doc="x * y + z with one rounding.",
)
elementwise(
    "square(Tensor input)",
    lambda g, x, out: g * (2 * f["_first_power"](x)),
    cheap=True,
    expose_as="_square",
    tex="x^2",
)
elementwise(
    "reciprocal(Tensor input)",
    lambda g, x, out: -g * (out * out),
    typing="float",
    in_place=True,
    samples=interval(0.3, 3),
    tex=r"\frac1x",
)
elementwise(
    "abs(Tensor input)",
    lambda g, x, out: g * f["sgn"](x),
    cheap=True,
    in_place=True,
    samples=interval(-3, 3, away=(0,)),
    edges={0: 0, -inf: -1, inf: 1},
    tex="|x|",
    out=FOUND,
)
elementwise(
    "sign(Tensor input)",
    flat,
    cheap=True,
    in_place=True,
    dtypes=ANY,
    samples=interval(-3, 3, away=(0,)),
    out=FOUND,
)
elementwise(
    "sgn(Tensor input)",
    flat,
    cheap=True,
    in_place=True,
    dtypes=ANY,
    samples=interval(-3, 3, away=(0,)),
    out=FOUND,
)

# ---- powers ----
# The exponent is a number or a tensor. Torch computes x**2, x**3, x**0.5, ... by other means: `pow` below
# chooses.

elementwise(
    "pow(Operand input, Operand exponent)",
    lambda g, x, y, out: (
        where(f["eq"](y, 0), 0.0, g * (y * f["_pow"](x, y - 1))),
        g * where((x == 0) & (y >= 0), 0.0, out * f["log"](x)),
    ),
    node="PowBackward1!",
    expose_as="_pow",
    samples=interval(0.2, 2),
    tex="x^y",
)

# ---- exponentials and logarithms ----

elementwise(
    "exp(Tensor input)",
    lambda g, x, out: g * out,
    typing="float",
    in_place=True,
    edges={-inf: 0, 0: 1},
    tex="e^x",
)
elementwise(
    "exp2(Tensor input)", lambda g, x, out: g * out * math.log(2), typing="float", in_place=True, tex="2^x"
)
elementwise(
    "expm1(Tensor input)", lambda g, x, out: g * (out + 1), typing="float", in_place=True, tex="e^x - 1"
)
elementwise(
    "log(Tensor input)",
    lambda g, x, out: g / x,
    typing="float",
    in_place=True,
    samples=interval(0.1, 4),
    edges={inf: 0},
    tex=r"\ln x",
)
elementwise(
    "log2(Tensor input)",
    lambda g, x, out: g / (x * math.log(2)),
    typing="float",
    in_place=True,
    samples=interval(0.1, 4),
    tex=r"\log_2 x",
)
elementwise(
    "log10(Tensor input)",
    lambda g, x, out: g / (x * 2.3025850929940456),
    typing="float",
    in_place=True,
    samples=interval(0.1, 4),
    tex=r"\log_{10} x",
)
elementwise(
    "log1p(Tensor input)",
    lambda g, x, out: g / (x + 1),
    node="Log1PBackward0!",
    typing="float",
    in_place=True,
    samples=interval(-0.9, 4),
    tex=r"\ln(1 + x)",
)
elementwise(
    "sqrt(Tensor input)",
    lambda g, x, out: g / (2 * out),
    typing="float",
    in_place=True,
    samples=interval(0.1, 4),
    edges={0: inf, inf: 0},
    tex=r"\sqrt x",
)
elementwise(
    "rsqrt(Tensor input)",
    lambda g, x, out: -0.5 * g * (out * out * out),
    typing="float",
    in_place=True,
    samples=interval(0.1, 4),
    tex=r"\frac{1}{\sqrt x}",
)

# ---- trigonometric and hyperbolic ----

elementwise(
    "sin(Tensor input)", lambda g, x, out: g * f["cos"](x), typing="float", in_place=True, tex=r"\sin x"
)
elementwise(
    "cos(Tensor input)", lambda g, x, out: g * -f["sin"](x), typing="float", in_place=True, tex=r"\cos x"
)
elementwise(
    "tan(Tensor input)",
    lambda g, x, out: g * (1 + out * out),
    typing="float",
    in_place=True,
    samples=interval(-1.3, 1.3),
    tex=r"\tan x",
)
elementwise(
    "asin(Tensor input)",
    lambda g, x, out: g * f["rsqrt"](1 - x * x),
    typing="float",
    in_place=True,
    samples=interval(-0.9, 0.9),
    tex=r"\arcsin x",
)
elementwise(
    "acos(Tensor input)",
    lambda g, x, out: g * -f["rsqrt"](1 - x * x),
    typing="float",
    in_place=True,
    samples=interval(-0.9, 0.9),
    tex=r"\arccos x",
)
elementwise(
    "atan(Tensor input)", lambda g, x, out: g / (x * x + 1), typing="float", in_place=True, tex=r"\arctan x"
)
elementwise(
    "sinh(Tensor input)", lambda g, x, out: g * f["cosh"](x), typing="float", in_place=True, tex=r"\sinh x"
)
elementwise(
    "cosh(Tensor input)", lambda g, x, out: g * f["sinh"](x), typing="float", in_place=True, tex=r"\cosh x"
)
elementwise(
    "tanh(Tensor input)",
    lambda g, x, out: g * f["fma"](-out, out, 1.0),
    typing="float",
    in_place=True,
    edges={-inf: 0, 0: 1, inf: 0},
    tex=r"\tanh x",
    source="DLMF 4.34",
)


def _inverse_square(x, y):
    """1 / (x^2 + y^2), and 0 where both are 0."""
    square = x * x + y * y
    return f["where"](square == 0, 0.0, f["reciprocal"](f["where"](square == 0, 1.0, square)))


elementwise(
    "atan2(Tensor input, Tensor other)",
    lambda g, x, y, out: (g * y * _inverse_square(x, y), g * -x * _inverse_square(x, y)),
    typing="float",
    in_place=True,
    samples=interval(0.2, 2),
)
elementwise(
    "hypot(Tensor input, Tensor other)",
    lambda g, x, y, out: (g * x / out, g * y / out),
    in_place=True,
    samples=interval(0.2, 2),
)

# ---- saturating functions ----

elementwise(
    "sigmoid(Tensor input)",
    lambda g, x, out: g * (1 - out) * out,
    typing="float",
    in_place=True,
    edges={-inf: 0, 0: 0.25, inf: 0},
    tex=r"\sigma(x)",
)
elementwise(
    "relu(Tensor input)",
    lambda g, x, out: where(out <= 0, 0.0, g),  # passes where it is a nan
    out=False,
    cheap=True,
    in_place=True,
    samples=interval(-3, 3, away=(0,)),
    edges={0: 0, -inf: 0, inf: 1},
    tex=r"\max(x, 0)",
)
elementwise(
    "erf(Tensor input)",
    lambda g, x, out: g * (2 / math.sqrt(pi) * f["exp"](-(x * x))),
    typing="float",
    in_place=True,
    tex=r"\operatorname{erf} x",
)
elementwise(
    "erfc(Tensor input)",
    lambda g, x, out: g * (-2 / math.sqrt(pi) * f["exp"](-(x * x))),
    typing="float",
    in_place=True,
    tex=r"\operatorname{erfc} x",
)
elementwise(
    "erfinv(Tensor input)",
    lambda g, x, out: g * (math.sqrt(pi) / 2 * f["exp"](out * out)),
    typing="float",
    in_place=True,
    samples=interval(-0.9, 0.9),
    tex=r"\operatorname{erf}^{-1} x",
)
elementwise(
    "log_sigmoid(Tensor input)",
    lambda g, x, out: g * f["sigmoid"](-x),
    typing="float",
    method=False,
    node="LogSigmoidBackward0!",
    tex=r"\ln \sigma(x)",
)
elementwise(
    "lgamma(Tensor input)",
    lambda g, x, out: g * f["digamma"](x),
    typing="float",
    in_place=True,
    samples=interval(0.3, 4),
)
elementwise(
    "digamma(Tensor input)",
    lambda g, x, out: g * _trigamma(x),
    typing="float",
    in_place=True,
    samples=interval(0.3, 4),
)


def _trigamma(x):
    """The derivative of digamma: eight steps up, the asymptotic series there; reflected below 1/2."""
    below = x < 0.5
    up = where(below, 1 - x, x)
    total = 0.0
    for _ in range(8):
        total = total + f["reciprocal"](up * up)
        up = up + 1
    r = f["reciprocal"](up)
    s = r * r
    series = 1 / 6 - s * (
        1 / 30 - s * (1 / 42 - s * (1 / 30 - s * (5 / 66 - s * (691 / 2730 - s * (7 / 6)))))
    )
    total = total + r * (1 + 0.5 * r + s * series)
    sine = f["sin"](pi * where(below, x, 0.5))
    return where(below, (pi * pi) / (sine * sine) - total, total)


elementwise(
    "logaddexp(Tensor input, Tensor other)",
    lambda g, x, y, out: (g / (1 + f["exp"](-_gap(x, y))), g / (1 + f["exp"](_gap(x, y)))),
    edges={(-inf, -inf): (0.5, 0.5), (0, inf): (0, 1), (inf, inf): (0.5, 0.5)},
)


def _gap(x, y):
    """x - y, but 0 where both are the same infinity: then the derivative is split evenly."""
    return where(f["isinf"](x) & (x == y), 0.0, x - y)


# ---- choices ----

elementwise(
    "where(Tensor condition, Operand input, Operand other)",
    lambda g, c, x, y, out: (None, where(c, g, 0.0), where(c, 0.0, g)),
    typing="where",
    cheap=True,
    expose_as="_where",
)


def _larger(g, x, y, out):
    """All to the larger, half to each where they are equal, and (as in torch) all to both where one is a
    nan."""
    share = where(x == y, g / 2, g)
    return (where(x < y, 0.0, share), where(y < x, 0.0, share))


def _smaller(g, x, y, out):
    share = where(x == y, g / 2, g)
    return (where(x > y, 0.0, share), where(y > x, 0.0, share))


elementwise("maximum(Operand input, Operand other)", _larger, cheap=True)
elementwise("minimum(Operand input, Operand other)", _smaller, cheap=True)
elementwise(
    "fmax(Tensor input, Tensor other)",
    lambda g, x, y, out: (where((x >= y) | f["isnan"](y), g, 0.0), where((x >= y) | f["isnan"](y), 0.0, g)),
    cheap=True,
)
elementwise(
    "fmin(Tensor input, Tensor other)",
    lambda g, x, y, out: (where((x <= y) | f["isnan"](y), g, 0.0), where((x <= y) | f["isnan"](y), 0.0, g)),
    cheap=True,
)

# ---- rounding and remainders: flat almost everywhere ----

for _name in ("floor", "ceil", "round", "trunc"):
    elementwise(f"{_name}(Tensor input)", flat, cheap=True, in_place=True, out=FOUND)
elementwise("frac(Tensor input)", lambda g, x, out: g, cheap=True, in_place=True, out=FOUND)
elementwise(
    "remainder(Operand input, Operand other)",
    lambda g, x, y, out: (g, -g * f["floor_divide"](x, y)),
    node="RemainderBackward1!",
    number_node="RemainderBackward0",
    divides=True,
    in_place=True,
    samples=interval(0.3, 3),
)
elementwise(
    "fmod(Tensor input, Operand other)",
    lambda g, x, y, out: (g, -g * f["trunc"](x / y)),
    node="FmodBackward1!",
    number_node="FmodBackward0",
    divides=True,
    in_place=True,
    samples=interval(0.3, 3),
)
elementwise(  # torch has no rule for it and refuses; a step function's derivative is 0
    "floor_divide(Operand input, Operand other)",
    lambda g, x, y, out: (None, None),
    node="torch::autograd::NotImplemented!",
    number_node="torch::autograd::NotImplemented",
    divides=True,
    in_place=True,
    samples=interval(0.3, 3),
    dtypes=ANY,
    out=CAST.but(name="aten::floor_divide"),
)

# ---- no derivative ----

for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    elementwise(
        f"{_name}(Tensor input, Operand other)",
        None,
        typing="compare",
        cheap=True,
        dtypes=ANY,
    )
elementwise("logical_not(Tensor input)", None, typing="logical", cheap=True, dtypes=ANY)
for _name in ("isnan", "isinf", "isfinite"):
    elementwise(f"{_name}(Tensor input)", None, typing="logical", cheap=True, dtypes=ANY, out=False)
for _name in ("logical_and", "logical_or", "logical_xor"):
    elementwise(f"{_name}(Tensor input, Tensor other)", None, typing="logical", cheap=True, dtypes=ANY)
elementwise("bitwise_not(Tensor input)", None, cheap=True, in_place=True, dtypes=ANY, out=FOUND)
for _name in ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift"):
    elementwise(
        f"{_name}(Operand input, Operand other)",
        None,
        cheap=True,
        in_place=True,
        dtypes=ANY,
    )

# ---- moving between types, and copies ----

elementwise(
    "cast(Tensor input, dtype dtype)",
    lambda g, x, out: f["_cast"](g, x.dtype),
    kernel="copy",
    typing="cast",
    node="ToCopyBackward0!",
    cheap=True,
    expose_as="_cast",
    dtypes=ANY,
)
elementwise(
    "clone(Tensor input)", lambda g, x, out: g, kernel="copy", cheap=True, dtypes=ANY, expose_as="_clone"
)
