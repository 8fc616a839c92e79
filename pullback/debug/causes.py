"""Why an operation gives a nan or an infinity for the operands at hand, and what to do about it."""

from __future__ import annotations

import numpy as np

from pullback.debug.operands import ARRIVING, TANGENT

_TOO_LARGE = "The result exceeds the largest {}: scale the operands down, or use a larger type."
_INSIDE = (
    "The operation divides by 0, takes the logarithm of 0, or exceeds the largest {} on the way: keep the "
    "operands shown above away from where it is infinite."
)
_NO_ELEMENTS = "{} has no elements: leave such a batch out, or give the result for it yourself."
CHOOSE_FIRST = (
    "Where such elements are chosen away afterwards, choose before the operation too, so that it gets "
    "harmless values: op(torch.where(valid, x, 1.0))."
)
_STEEP = (
    "The derivative is infinite, or too large for the type, at this value: keep the operand away from it "
    "(add a small number, clamp), or use a larger type."
)
_SLOPE = "The slope of {} at {} = {} is infinite: keep the operand away from it (add a small number, clamp)."


def _log_cases(name, zero="0"):
    at = float(zero)
    return (
        (
            lambda x: x == at,
            f"{name}({zero}) is -inf: clamp the operand away from {zero}, or use log1p() or xlogy().",
        ),
        (
            lambda x: x < at,
            f"{name}() needs a number above {zero}: clamp the operand, or find out why it is below.",
        ),
    )


_NO_ROOT = "A negative number has no square root: clamp(min=0) the operand, or find out why it is negative."
_DIVISOR = "add a small number to the divisor, or clamp it away from 0."
_POLE = "{}() is infinite or undefined at 0 and at the negative integers: keep the operand away from them."
_INTERVAL = "{}() is defined between -1 and 1: clamp the operand to that."

# An operation -> (does it hold for the operands?, what it means): the first that holds is said.
_CASES = {
    **{name: _log_cases(name) for name in ("log", "log2", "log10")},
    "log1p": _log_cases("log1p", "-1"),
    "sqrt": ((lambda x: x < 0, _NO_ROOT),),
    "rsqrt": ((lambda x: x == 0, f"1 / sqrt(0) is infinite: {_DIVISOR}"), (lambda x: x < 0, _NO_ROOT)),
    "reciprocal": ((lambda x: x == 0, f"This divides by 0: {_DIVISOR}"),),
    "div": (
        (lambda x, y: (x == 0) & (y == 0), f"0 / 0 is nan: {_DIVISOR}"),
        (lambda x, y: y == 0, f"This divides by 0: {_DIVISOR}"),
        (lambda x, y: abs(y) < 1, f"The divisor is too small: {_DIVISOR}"),
    ),
    **{
        name: ((lambda x, y: y == 0, f"A remainder of division by 0 is nan: {_DIVISOR}"),)
        for name in ("fmod", "remainder")
    },
    "pow": (
        (
            lambda x, y: (x == 0) & (y < 0),
            "0 to a negative power is infinite: add a small number to the base, or clamp it away from 0.",
        ),
        (
            lambda x, y: (x < 0) & (y != np.floor(y)),
            "A negative number to a fractional power is nan: clamp(min=0) the base, or find out why it is "
            "negative.",
        ),
    ),
    "exp": (
        (
            lambda x: x > 0,
            "exp() exceeds the largest number: subtract the maximum first, or use logsumexp(), softmax() or "
            "log_softmax().",
        ),
    ),
    **{name: ((lambda x: abs(x) > 1, _INTERVAL.format(name)),) for name in ("acos", "asin")},
    "acosh": ((lambda x: x < 1, "acosh() is defined from 1 on: clamp(min=1) the operand."),),
    "atanh": (
        (lambda x: abs(x) == 1, "atanh() is infinite at -1 and 1: clamp the operand away from them."),
        (lambda x: abs(x) > 1, _INTERVAL.format("atanh")),
    ),
    "erfinv": (
        (lambda x: abs(x) == 1, "erfinv() is infinite at -1 and 1: clamp the operand away from them."),
        (lambda x: abs(x) > 1, _INTERVAL.format("erfinv")),
    ),
    **{
        name: ((lambda x: (x <= 0) & (x == np.floor(x)), _POLE.format(name)),)
        for name in ("lgamma", "digamma")
    },
    "logit": (
        (lambda x: (x == 0) | (x == 1), "logit() is infinite at 0 and 1: give eps, as in logit(x, 1e-6)."),
        (lambda x: (x < 0) | (x > 1), "logit() is defined between 0 and 1: give eps, or clamp the operand."),
    ),
    "xlogy": ((lambda x, y: y <= 0, "This takes the logarithm of `other`: clamp it away from 0."),),
    "add": ((lambda x, y: np.isinf(x) & np.isinf(y), "inf - inf is nan: find where the infinities arise."),),
    "sub": ((lambda x, y: np.isinf(x) & np.isinf(y), "inf - inf is nan: find where the infinities arise."),),
    "mul": ((lambda x, y: np.isinf(x) | np.isinf(y), "0 * inf is nan: find where the infinity arises."),),
}
# What grows past the largest number without dividing or taking a logarithm.
_GROWING = {*_CASES, "exp2", "expm1", "sinh", "cosh", "square", "sum", "cumsum", "prod", "cumprod"}
_GROWING |= {"mm", "bmm", "matmul", "linear", "addmm", "dot", "mv", "mean", "ldexp", "addcmul"}

# An operation -> (operand, does it hold for it and the exponent?): where its derivative is infinite.
_SLOPES = {
    **dict.fromkeys(("sqrt", "rsqrt", "log", "log2", "log10", "reciprocal"), ("input", lambda x, e: x == 0)),
    "div": ("other", lambda x, e: x == 0),
    "pow": ("input", lambda x, e: (x == 0) & (e < 1)),
    "log1p": ("input", lambda x, e: x == -1),
    "acosh": ("input", lambda x, e: x == 1),
    **dict.fromkeys(("acos", "asin", "atanh"), ("input", lambda x, e: abs(x) == 1)),
}


def _holds(case, operands):
    try:
        with np.errstate(all="ignore"):
            return bool(np.any(case(*operands)))
    except (
        TypeError,
        ValueError,
    ):  # another number of operands, or shapes that do not meet element by element
        return False


def of_result(operation, values, result, index, single):
    """Lines about an element of a result: the cause as far as the operands tell it."""
    operands = [v for v in values if not v.name.startswith(TANGENT)]
    empty = [v.name for v in operands if v.elements.size == 0]
    if empty:
        return [_NO_ELEMENTS.format(f"`{empty[0]}`")]
    met = [v.met(index, result.shape, single) for v in operands]
    choose = [CHOOSE_FIRST] if single else []
    for case, text in _CASES.get(operation, ()):
        if _holds(case, met):
            return [text, *choose]
    if not np.isinf(result[index]):
        return choose
    large = any(v.is_floating and np.abs(v.elements).max() > 1e9 for v in operands)
    return [(_TOO_LARGE if large or operation in _GROWING else _INSIDE).format(result.dtype)]


def of_slope(operation, values, shape, index, single):
    """Lines about an infinite element of a gradient or a tangent."""
    at = {v.name: v.met(index, shape, single) for v in values}
    name, case = _SLOPES.get(operation, (None, None))
    if name == "input" and name not in at and operation == "sqrt":
        at[name] = at.get("result")  # 0 where the operand is
    x = at.get(name)
    if single and x is not None and _holds(case, (x, at.get("exponent", 0))):
        return [_SLOPE.format(operation, name, x)]
    return [_STEEP]


def zero_times_infinity(
    operation, arriving, because=", because what follows does not depend on this element"
):
    """Lines about a nan that came of a gradient or tangent of 0."""
    return (
        f"This is zero times infinity: the {arriving} that arrives is 0{because}, but the derivative of "
        f"{operation} is infinite there."
    )


def choose_twice(operation):
    """Lines about choosing before an operation as well as after it."""
    return [
        "Choose before the operation as well as after it:",
        "    safe = torch.where(selected, x, 1.0)  # a value at which the derivative is finite",
        f"    y = torch.where(selected, {operation}(safe), other)",
    ]


def of_tangent(operation, values, shape, index, single, is_nan):
    """Lines about an element of a tangent, or of a gradient that is worked out for many samples."""
    moving = [v for v in values if v.name == ARRIVING or v.name.startswith(TANGENT)]
    if single and is_nan and moving and not any(np.any(v.met(index, shape, single)) for v in moving):
        kind = "gradient" if moving[0].name == ARRIVING else "tangent"
        return [zero_times_infinity(operation, kind, ""), *choose_twice(operation)]
    return of_slope(operation, values, shape, index, single)
