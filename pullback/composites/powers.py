"""Powers under their public name, other spellings of arithmetic, and rounding to decimals."""

from __future__ import annotations

import math
import sys

from pullback import _core
from pullback.arguments import require_tensors
from pullback.composites.arithmetic import STATIC_EXPONENTS, _scaled_difference
from pullback.composites.elementwise_more import scalar_name
from pullback.composites.shape import function
from pullback.primitives.elementwise import flat
from pullback.primitives.family import composite
from pullback.primitives.registry import ANY, expose, expose_also, methods, ops, public
from pullback.results import CAST, FOUND, Into, with_out
from pullback.trace.tracer import Tracer
from pullback.trace.tracer import functions as f

NUMBERS = (bool, int, float)

for _name, _op in (("_pow", "pow"), ("_pow_known", "pow_known"), ("_pow_number", "pow_number")):
    _overloads = [(ops[_op].signature.text, ops[_op].handle)]
    f[_name + "_"] = _core.op_function(_name + "_", _overloads, True, None, "")


def _is_tensor(x):
    return isinstance(x, (_core.Tensor, Tracer))


def _raise(x, exponent, suffix):
    """x to a power by the op that torch would take; with suffix "_" in place."""
    if _is_tensor(exponent):
        return f["_pow" + suffix](x, exponent)
    if isinstance(exponent, NUMBERS):
        if isinstance(exponent, bool) and x.dtype == _core.bool:
            return f["bitwise_or" + suffix](x, not exponent)
        if isinstance(exponent, int) and exponent < 0 and not x.dtype.is_floating_point:
            raise RuntimeError(
                "Integers to negative integer powers are not allowed.\nConvert the tensor with .float()."
            )
        if exponent in STATIC_EXPONENTS:
            return f["_pow_known" + suffix](x, float(exponent), isinstance(exponent, int))
    return f["_pow_number" + suffix](x, exponent)


@function(out=CAST)
def pow(input, exponent):
    """input to the power of exponent, element by element; one of them may be a number.

    Shapes    input (*a), exponent (*b), one of them may be a number -> broadcast(a, b)
    Dtypes    integers stay integers where both are; a float among them makes floats
    Gradient  input: g * exponent * input**(exponent - 1); exponent: g * out * log(input), 0 where input is 0
    Errors    RuntimeError for integers to a negative whole power
    Example   >>> torch.pow(torch.tensor([1.0, 2.0, 3.0]), 2)
              tensor([1., 4., 9.])
    """
    return _raise(input, exponent, "") if _is_tensor(input) else f["_rpow"](input, exponent)


def pow_(self, exponent):
    """In-place form of pow().

    Shapes    (*a), exponent (*b), which broadcasts to it -> itself
    Gradient  as of pow
    Example   >>> torch.tensor([2.0, 3.0]).pow_(2)
              tensor([4., 9.])
    """
    return _raise(self, exponent, "_")


methods["pow_"] = f["pow_"] = pow_

# ---- other spellings ----


@function
def positive(input):
    """The tensor itself.

    Shapes    input (*) -> (*)
    Dtypes    bool raises
    Gradient  g
    Example   >>> torch.positive(torch.tensor([-1.0, 2.0]))
              tensor([-1.,  2.])
    """
    require_tensors("positive", input=input)
    if input.dtype is _core.bool:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


for _other, _name in (("divide", "div"), ("multiply", "mul"), ("subtract", "sub")):
    expose_also(_other, _name)
for _other, _name in (("negative", "neg"), ("absolute", "abs")):
    expose_also(_other, _name)


def true_divide(input, other):
    """input / other.

    Shapes    input (*a), other (*b) or a number -> broadcast(a, b)
    Dtypes    integers become the default float type
    Gradient  input: g / other; other: -g * out / other
    Example   >>> torch.true_divide(torch.tensor([1, 2]), 4)
              tensor([0.2500, 0.5000])
    """
    return f["div"](input, other)


def true_divide_(self, other):
    """In-place form of true_divide().

    Shapes    (*a), other (*b), which broadcasts to it -> itself
    Gradient  as of true_divide
    Example   >>> torch.tensor([2.0, 3.0]).true_divide_(2)
              tensor([1.0000, 1.5000])
    """
    return f["div_"](self, other)


methods["true_divide"] = f["true_divide"] = true_divide
public["true_divide"] = with_out(true_divide, CAST.but(name="div"))
methods["true_divide_"] = true_divide_


def __rdiv__(self, other):
    """other / self."""
    return f["reciprocal"](self) * other


methods["__rdiv__"] = __rdiv__

composite(
    "rsub(Tensor input, Operand other, *, Scalar alpha=1)",
    lambda x, y, a: _scaled_difference(y, x, a),
    name="rsub_scaled",
    out=False,
    node="RsubBackward0!",
    number_node="RsubBackward1",
    expose_as="-",
    dtypes=ANY,
)
expose("rsub", ops["rsub"], ops["rsub_scaled"], method=False)


def _round_to(x, decimals):
    if not x.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"round_{'cpu' if decimals else 'vml_cpu'}\" not implemented for '{scalar_name(x.dtype)}'\n"
            "Whole numbers have no decimals."
        )
    if decimals == 0:
        return f["_round"](x)
    scale = 10.0 ** abs(decimals) if abs(decimals) <= sys.float_info.max_10_exp else math.inf
    return f["_round"](x * scale) / scale if decimals > 0 else f["_round"](x / scale) * scale


expose("_round", ops["round"])
composite(
    "round(Tensor input, *, int decimals)",
    _round_to,
    flat,
    name="round_to",
    node="RoundBackward1!",
    expose_as="-",
    dtypes=ANY,
    out=FOUND,
)
expose("round", ops["round"], ops["round_to"], in_place=True)


@function(
    out=Into(
        "the output given to float_power has dtype {Out} but the operation's result requires dtype {Result}",
        name="pow",
    )
)
def float_power(input, exponent):
    """pow() in float64.

    Shapes    input (*a), exponent (*b), one of them may be a number -> broadcast(a, b)
    Dtypes    all -> float64
    Gradient  as of pow
    Example   >>> torch.float_power(torch.tensor([1, 2, 3]), 2)
              tensor([1., 4., 9.], dtype=torch.float64)
    """
    double = _core.float64
    base = input.to(double) if isinstance(input, _core.Tensor) else float(input)
    power = exponent.to(double) if isinstance(exponent, _core.Tensor) else float(exponent)
    return f["pow"](base, power)
