"""Arithmetic with options: scaled sums, powers with a known exponent, rounding modes, clamping."""

from __future__ import annotations

from pullback import _core
from pullback.primitives.elementwise import interval, where
from pullback.primitives.family import composite, elementwise, linear
from pullback.primitives.registry import ANY, expose, ops
from pullback.results import CAST, FOUND, require_castable
from pullback.trace.tracer import BOOL, FLOAT, INT, Tracer
from pullback.trace.tracer import functions as f


def _is_float(x):
    return x.dtype.is_floating_point if isinstance(x, Tracer) else x.kind == FLOAT


def _is_bool(x):
    return x.dtype is _core.bool if isinstance(x, Tracer) else x.kind == BOOL


def _check_alpha(x, y, a):
    if _is_float(a) and not _is_float(x) and not _is_float(y):
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    if _is_bool(a) and not (_is_bool(x) and _is_bool(y)):
        raise RuntimeError("Boolean alpha only supported for Boolean results.\nGive a number, such as 1.")


def _scaled_sum(x, y, a):
    f["add"](x, y)  # refuses sizes with torch's words, which name x first
    _check_alpha(x, y, a)
    if _is_bool(x) and _is_bool(y):  # an "or"
        x, y = (f["_cast"](t, _core.int64) if isinstance(t, Tracer) else t for t in (x, y))
        return f["ne"](f["fma"](y, a * a, x), 0)
    return f["fma"](y, a, x)


def _scaled_difference(x, y, a):
    f["_sub"](x, y)  # refuses truth values before all else
    _check_alpha(x, y, a)
    return f["fma"](y, -a, x)


composite(
    "add(Operand input, Operand other, *, Scalar alpha=1)",
    _scaled_sum,
    name="add_scaled",
    node="AddBackward0!",
    expose_as="-",
    dtypes=ANY,
)
composite(
    "sub(Tensor input, Operand other, *, Scalar alpha=1)",
    _scaled_difference,
    name="sub_scaled",
    node="SubBackward0!",
    expose_as="-",
    dtypes=ANY,
)
expose("add", ops["add"], ops["add_scaled"], in_place=True)
expose("sub", ops["sub"], ops["sub_scaled"], in_place=True)


def _rounded_div(x, y, mode):
    if mode == "floor":
        return f["floor_divide"](x, y)
    if _is_float(x) or _is_float(y):
        return f["trunc"](f["_div"](x, y))
    # Integers stay integers: the floor, one more where it is negative and something is left over.
    floor = f["floor_divide"](x, y)
    return floor + ((floor < 0) & f["ne"](x - floor * y, 0))


expose("_div", ops["div"])
composite(
    "div(Tensor input, Operand other, *, str{trunc|floor}? rounding_mode)",
    lambda x, y, mode: f["_div"](x, y) if mode is None else _rounded_div(x, y, mode),
    name="div_rounded",
    node="DivBackward2!",
    divides=True,
    expose_as="-",
    dtypes=ANY,
)
expose("div", ops["div"], ops["div_rounded"], in_place=True)

# Torch computes some powers by other means than pow(); the exponent is then part of the program.
STATIC_EXPONENTS = (0, 1, 2, 3, 0.5, -0.5, -1, -2)


def pow_known(x, e, whole):
    """x to a known exponent. `whole` tells that it was an int, which keeps integer tensors integer."""
    if not x.dtype.is_floating_point and not whole:
        x = f["_cast"](x, _core.get_default_dtype())
    elif x.dtype is _core.bool:
        x = f["_cast"](x, _core.int64)  # torch's powers of truth values to an int
    if e == 0:
        return f["_full_like"](x, 1)
    if e == 1:
        return f["_clone"](x)
    if e == 2:
        return f["_square"](x)
    if e == 3:
        return f["_square"](x) * x
    if e == 0.5:
        return f["sqrt"](x)
    if not x.dtype.is_floating_point:
        return f["_pow"](x, int(e))
    if e == -0.5:
        return f["rsqrt"](x)
    return f["reciprocal"](x) if e == -1 else f["reciprocal"](f["_square"](x))


def _pow_known_vjp(g, values, out):
    x, e, whole = values
    if e == 0:
        return f["_full_like"](x, 0)
    return g * (e * _power(x, e - 1, whole))


# x and 1 as powers of x, as the derivatives of higher powers meet them. Programs that derive a polynomial
# until nothing is left rely on what torch says of them: the derivative of x is x**0, which depends on x, and
# the derivative of that is 0.
elementwise(
    "first_power(Tensor input)",
    lambda g, x, out: g * f["_zeroth_power"](x, 1),
    kernel="copy",
    cheap=True,
    expose_as="_first_power",
)
linear(
    "zeroth_power(Tensor input, Scalar one)",
    lambda g, x, one: f["_full_like"](x, 0),
    kernel="full_like_scalar",
    cheap=True,
    expose_as="_zeroth_power",
)


def _power(x, e, whole):
    if e in (0, 1) and x.dtype.is_floating_point:
        return f["_first_power"](x) if e else f["_zeroth_power"](x, 1)
    return pow_known(x, e, whole) if e in STATIC_EXPONENTS else f["_pow_number"](x, float(e))


composite(
    "pow(Tensor input, float exponent, bool whole)",
    pow_known,
    _pow_known_vjp,
    name="pow_known",
    node="PowBackward0!",
    expose_as="_pow_known",
    dtypes=ANY,
)


def _one_less(y):
    """The exponent of the derivative of x**y; 0 where y is 0, for 0 times an infinite 0**-1 would be nan."""
    return y - 1 + 0.0 ** (y * y)


elementwise(
    "pow(Tensor input, Scalar exponent)",
    lambda g, x, y, out: g * (y * f["_pow_number"](x, _one_less(y))),
    name="pow_number",
    kernel="pow",
    node="PowBackward0!",
    samples=interval(0.2, 2),
    expose_as="_pow_number",
)


def _at_zero(base, y):
    """Where 0 is raised to a power that is 0 or more: constant, but for the step at 0."""
    return (f["_full_like"](y, base) == 0) & (y >= 0)


elementwise(
    "pow(Scalar input, Tensor exponent)",
    lambda g, x, y, out: (None, where(_at_zero(x, y), 0.0, g * (out * f["_log_of"](x, y)))),
    name="rpow",
    kernel="pow",
    node="PowBackward2!",
    samples=interval(0.2, 2),
    expose_as="_rpow",
)
composite(
    "log_of(Scalar base, Tensor like)",
    lambda b, like: f["log"](f["_full_like"](like, b)),
    expose_as="_log_of",
)
composite(
    "square(Tensor input)",
    lambda x: f["_square"](f["_cast"](x, _core.int64) if x.dtype is _core.bool else x),
    lambda g, values, out: g * (2 * _power(values[0], 1, True)),
    name="square_op",
    node="PowBackward0!",
    expose_as="square",
    in_place=True,
    out=CAST.but(name="pow"),
)


# ---- clamping: the gradient passes where the value was inside, bounds included ----


def held(value, x, most=FLOAT):
    """A number, up to a kind of them, as an element of x's type: integers refuse what they do not hold."""
    if x.dtype.is_floating_point or x.dtype is _core.bool or isinstance(value, Tracer):
        return value
    if x.graph.number_of(value).kind > most:
        return value
    return f["_full_like"](f["_zeros_of"](x, ()), value)


def _clamp(x, low, high):
    if low is not None:
        x = f["maximum"](x, held(low, x, INT))
    return x if high is None else f["minimum"](x, held(high, x, INT))


def _clamp_in_place(x, low, high):
    out = _clamp(x, low, high)
    require_castable(out.dtype, x.dtype)
    return out


def _clamp_vjp(g, values, out):
    x, low, high = values
    if low is not None:
        g = f["where"](x >= low, g, 0.0)
    return g if high is None else f["where"](x <= high, g, 0.0)


for _name, _rule in (("clamp", _clamp), ("clamp_in_place", _clamp_in_place)):
    composite(
        "clamp(Tensor input, Scalar? min=None, Scalar? max=None)",
        _rule,
        _clamp_vjp,
        name=_name,
        node="ClampBackward1!",
        expose_as="-",
        out=FOUND.but(name="clamp"),
    )

# Where torch's own C++ combines a tensor and a number the number is no operand: other names, one edge.
for _name in ("add", "mul", "div"):
    composite(
        f"{_name}(Tensor input, Scalar other)",
        lambda x, y, _name=_name: f["_div" if _name == "div" else _name](x, y),
        name=f"{_name}_number",
        node=f"{_name.capitalize()}Backward1!",
        expose_as=f"_{_name}_number",
    )
