"""Second names of ops, and small functions that are put together from them."""

from __future__ import annotations

import math

from pullback.arguments import require_tensors
from pullback.composites.elementwise_more import _as_float, _negative
from pullback.composites.shape import function
from pullback.primitives.elementwise import interval
from pullback.primitives.family import composite
from pullback.primitives.registry import ANY, expose_also, public
from pullback.results import Into, castable
from pullback.trace.tracer import functions as f

SECOND_NAMES = {
    "arccos": "acos",
    "arcsin": "asin",
    "arctan": "atan",
    "arctan2": "atan2",
    "arccosh": "acosh",
    "arcsinh": "asinh",
    "arctanh": "atanh",
    "fix": "trunc",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
    "trapz": "trapezoid",
}

_LN2 = math.log(2.0)
_LARGE = 2.0**28  # from here on x*x + 1 is x*x, and twice x*x need not be finite


def _asinh(x):
    x = _as_float(x)
    a = f["abs"](x)
    small = f["minimum"](a, _LARGE)
    near = f["log1p"](small + small * small / (1 + f["sqrt"](small * small + 1)))
    size = f["where"](a > _LARGE, f["log"](a) + _LN2, near)
    return f["where"](x == 0, x, f["where"](x < 0, -size, size))


def _acosh(x):
    x = _as_float(x)
    t = f["minimum"](x, _LARGE) - 1
    near = f["log1p"](t + f["sqrt"](2 * t + t * t))
    return f["where"](x > _LARGE, f["log"](x) + _LN2, near)


def _atanh(x):
    x = _as_float(x)
    a = f["abs"](x)
    size = 0.5 * f["log1p"](2 * a / (1 - a))
    return f["where"](x == 0, x, f["where"](x < 0, -size, size))


composite(
    "asinh(Tensor input)",
    _asinh,
    lambda g, v, out: g / f["sqrt"](v[0] * v[0] + 1),
    in_place=True,
    dtypes=ANY,
    samples=interval(-3, 3),
)
composite(
    "acosh(Tensor input)",
    _acosh,
    lambda g, v, out: g / f["sqrt"](v[0] * v[0] - 1),
    in_place=True,
    dtypes=ANY,
    samples=interval(1.1, 4),
)
composite(
    "atanh(Tensor input)",
    _atanh,
    lambda g, v, out: g / (1 - v[0] * v[0]),
    in_place=True,
    dtypes=ANY,
    samples=interval(-0.9, 0.9),
)
composite(
    "signbit(Tensor input)",
    lambda x: _negative(x) if x.dtype.is_floating_point else f["lt"](x, 0),
    differentiable=False,
    dtypes=ANY,
    out=Into("{name} does not support non-boolean outputs.", apart="part"),
)
composite(
    "isposinf(Tensor input)",
    lambda x: f["eq"](_as_float(x), math.inf),
    differentiable=False,
    dtypes=ANY,
    out=Into("{name} does not support non-boolean outputs.", apart="part"),
)
composite(
    "isneginf(Tensor input)",
    lambda x: f["eq"](_as_float(x), -math.inf),
    differentiable=False,
    dtypes=ANY,
    out=Into("{name} does not support non-boolean outputs.", apart="part"),
)
composite(
    "isreal(Tensor input)",
    lambda x: f["eq"](f["_full_like"](x, 1), 1),
    differentiable=False,
    dtypes=ANY,
    out=False,
)


def _logaddexp2(x, y):
    most, least = f["maximum"](x, y), f["minimum"](x, y)
    same = (x == y) & f["isinf"](x)
    gap = f["where"](same, 0.0, least - most)
    return f["where"](same, x, most + f["log1p"](f["exp2"](gap)) * (1 / _LN2))


composite("logaddexp2(Tensor input, Tensor other)", _logaddexp2)


@function(out=Into("ldexp can't be cast to the desired output type {Out}", castable, apart="part"))
def ldexp(input, other):
    """input * 2**other.

    Shapes    input (*a), other (*b) -> broadcast(a, b)
    Gradient  for both, for negative whole exponents too (PyTorch 2.13 gives 0 there)
    Example   >>> import pullback as torch
              >>> torch.ldexp(torch.tensor([1.0, 3.0]), torch.tensor([3, 1]))
              tensor([8., 6.])
    """
    require_tensors("ldexp", input=input, other=other)
    return f["mul"](input, f["pow"](2.0, other))


@function
def sum_to_size(input, *size):
    """Summed over the axes that broadcasting from `size` would have made.

    Shapes    input (a, n), size (a, 1) -> (a, 1)
    Gradient  g repeated over the axes that were summed
    Errors    RuntimeError where the size does not broadcast to the tensor's shape
    Example   >>> import pullback as torch
              >>> torch.ones(2, 3).sum_to_size(1, 3)
              tensor([[2., 2., 2.]])
    """
    if not size:
        raise TypeError('sum_to_size() missing 1 required positional arguments: "size"')
    size = list(size[0]) if len(size) == 1 and not isinstance(size[0], int) else list(size)
    shape = list(input.shape)
    extra = len(shape) - len(size)
    if extra < 0 or any(s not in (1, n) for s, n in zip(size, shape[extra:], strict=True)):
        raise RuntimeError(f"size {{{size}}} is not expandable to size {{{shape}}}.")
    kept = [extra + k for k, s in enumerate(size) if s == 1 and shape[extra + k] != 1]
    out = f["sum"](input, [*range(extra), *kept], True) if extra or kept else input
    return f["_view"](out, tuple(size)) if extra else out


public.pop("sum_to_size")
for _new, _old in SECOND_NAMES.items():
    expose_also(_new, _old)
