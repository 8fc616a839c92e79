"""Copies into a tensor, choices by a mask, bounds held in tensors, and arithmetic of three operands."""

from __future__ import annotations

import math

from pullback import _core
from pullback.arguments import kind_name, require_tensors
from pullback.composites.arithmetic import _clamp, held
from pullback.composites.broadcasting import pair_shape
from pullback.numeric_limits import check_number
from pullback.primitives.family import composite, fit
from pullback.primitives.registry import ANY, expose, in_place_form, methods, ops, public
from pullback.results import CAST, FOUND, Into, require_castable, with_out
from pullback.trace.tracer import INT, Tracer
from pullback.trace.tracer import functions as f

inf, nan = math.inf, math.nan


# ---- writing over a tensor ----


def _copy(x, src, non_blocking):
    # Never run: it is asked for its shape, and refuses with torch's words what does not broadcast.
    both = f["_where"](f["_cast"](x, _core.bool), x, src)
    src = f["expand"](src, both.shape)
    return src if src.dtype == x.dtype else f["_cast"](src, x.dtype)


def _fill_tensor(x, value):
    if value.ndim:
        raise RuntimeError(
            f"fill_ only supports 0-dimension value tensor but got tensor with {value.ndim} dimensions.\n"
            "Copy a tensor with copy_(), which broadcasts."
        )
    return _copy(x, value, None)


def _filled(x, value):
    return f["_contiguous"](_fill_tensor(x, value))  # elements of its own, which may be changed


composite(
    "copy(Tensor input, Tensor src, any non_blocking=False)",
    _copy,
    node="torch::autograd::CopyBackwards!",
    expose_as="-",
    dtypes=ANY,
)
in_place_form("copy", ops["copy"], function=False)
_fills = [
    composite(
        f"fill(Tensor input, {kind} value)",
        rule,
        name=f"fill_{kind.lower()}{suffix}",
        node=f"FillBackward{n}!",
        uniform=kind == "Scalar",
        expose_as="-",
        dtypes=ANY,
        out=False,
        apart=None,
    )
    for suffix, first in (("", 0), ("_in_place", 2))
    for n, kind, rule in (
        (first + 1, "Tensor", _fill_tensor if suffix else _filled),
        (first, "Scalar", lambda x, value: f["_full_like"](x, value)),
    )
]
expose("fill", *_fills[:2], method=False)
in_place_form("fill", *_fills[2:])
# x[key] = 2: torch makes a tensor of the number first, which the graph shows.
composite(
    "fill(Tensor input, Operand value)",
    lambda x, value: f["_full_like"](x, value),
    name="fill_assigned",
    node="FillBackward3!",
    expose_as="-",
    dtypes=ANY,
    apart=None,
)
in_place_form("_fill_assigned", ops["fill_assigned"])
composite("zero(Tensor input)", lambda x: f["_full_like"](x, 0), uniform=True, expose_as="-", dtypes=ANY)
in_place_form("zero", ops["zero"])

# ---- choices by a mask ----

f["where"] = f["_where"]  # rules choose with it


def where(condition, input=None, other=None):
    """input where condition holds, other elsewhere; with the condition alone, where that holds (as_tuple).

    Shapes    condition (*a), input (*b), other (*c), both may be numbers -> broadcast(a, b, c)
    Dtypes    condition bool; the others are promoted
    Gradient  input: g where the condition holds; other: g elsewhere
    Errors    RuntimeError for a condition that is not bool
    Example   >>> torch.where(torch.tensor([True, False]), torch.tensor([1.0, 2.0]), 0.0)
              tensor([1., 0.])
    """
    if input is None and other is None:
        require_tensors("where", condition=condition)
        return f["nonzero"](condition, as_tuple=True)
    try:
        is_bool = condition.dtype is _core.bool
    except AttributeError:
        found = ", ".join(kind_name(x) for x in (condition, input, other))
        raise TypeError(
            f"where() received an invalid combination of arguments - got ({found}), but expected one of:\n"
            " * (Tensor condition)\n * (Tensor condition, Tensor input, Tensor other, *, Tensor out = None)"
        ) from None
    if not is_bool:
        if condition.dtype is not _core.uint8:
            kind = str(condition.dtype).rpartition(".")[2]
            raise RuntimeError(
                "where expected condition to be a boolean tensor, but got a tensor with dtype "
                f"{scalar_name(condition.dtype)}\nCompare it first (for example x != 0): its type is {kind}."
            )
        condition = condition.bool()
    # A whole number takes the type of integers beside it; a float makes floats of them.
    if type(other) is int and isinstance(input, _core.Tensor):
        check_number(other, input.dtype)
    elif type(input) is int and isinstance(other, _core.Tensor):
        check_number(input, other.dtype)
    return f["_where"](condition, input, other)


def scalar_name(dtype):
    """The name of an element type that torch's messages use."""
    return dtype._legacy.removesuffix("Tensor")


def _method_where(self, condition, other=None):
    """The tensor where condition holds, other elsewhere: torch.where() with the condition first.

    Shapes    (*b), condition (*a), other (*c) or a number -> broadcast(a, b, c)
    Gradient  g where the condition holds; other: g elsewhere
    Example   >>> torch.tensor([1.0, 2.0]).where(torch.tensor([True, False]), 0.0)
              tensor([1., 0.])
    """
    return where(condition, self, other)


public["where"] = with_out(where, Into("Expected out type to be {Result} but got {Out}", apart="part"))
methods["where"] = _method_where


def _masked_fill(x, mask, value):
    if mask.dtype is not _core.bool:
        f["_where"](f["_cast"](mask, _core.bool), x, x)  # sizes that do not fit are refused first
    return _masked(x, mask, value)


def _masked_in_place(x, mask, value):
    _require_mask(mask)  # before the sizes, of which torch names x first
    pair_shape(x.shape, mask.shape)
    return _masked(x, mask, value)


def _require_mask(mask):
    if mask.dtype is not _core.bool:
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype._c_name}\n"
            "Convert it with .bool()."
        )


def _masked(x, mask, value):
    _require_mask(mask)
    if isinstance(value, Tracer) and value.ndim:
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s).\n"
            "where() takes values of any shape."
        )
    out = f["_where"](mask, held(value, x), x)
    # Contiguous whatever the operands are, as torch's: a view() may follow.
    return f["_contiguous"](out if out.dtype == x.dtype else f["_cast"](out, x.dtype))


def _masked_fill_vjp(g, values, out):
    x, mask, value = values
    g_x = fit(f["where"](mask, 0.0, g), x)
    return (g_x, None, fit(f["where"](mask, g, 0.0), value)) if isinstance(value, Tracer) else (g_x, None)


for _suffix, _rule in (("", _masked_fill), ("_in_place", _masked_in_place)):
    composite(
        "masked_fill(Tensor input, Tensor mask, Tensor value)",
        _rule,
        _masked_fill_vjp,
        name=f"masked_fill_tensor{_suffix}",
        node="MaskedFillBackward1!",
        expose_as="-",
        dtypes=ANY,
        out=False,
        apart=None,
    )
    composite(
        "masked_fill(Tensor input, Tensor mask, Scalar value)",
        _rule,
        _masked_fill_vjp,
        name=f"masked_fill_number{_suffix}",
        node="MaskedFillBackward0!",
        expose_as="-",
        dtypes=ANY,
        out=False,
    )
expose("masked_fill", ops["masked_fill_tensor"], ops["masked_fill_number"])
in_place_form("masked_fill", ops["masked_fill_tensor_in_place"], ops["masked_fill_number_in_place"])

# ---- bounds ----

# Inside the package numbers are operands too; torch's own take tensors only.
for _name in ("maximum", "minimum"):
    _of_tensors = _core.op_function(
        _name, [(f"{_name}(Tensor input, Tensor other)", ops[_name].handle)], False, None, ops[_name].doc
    )
    _of_tensors.declarations = f[_name].declarations
    public[_name] = methods[_name] = _of_tensors


def _clamp_tensors(x, low, high):
    if low is None and high is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    return _clamp(x, low, high)


def _clamp_tensors_vjp(g, values, out):
    x, low, high = values
    where = f["where"]
    if high is None:
        return fit(where(x >= low, g, 0.0), x), fit(where(x < low, g, 0.0), low)
    if low is None:
        return fit(where(x <= high, g, 0.0), x), fit(where(x > high, g, 0.0), high)
    return (
        fit(where((x >= low) & (x <= high), g, 0.0), x),
        fit(where((low < high) & (x < low), g, 0.0), low),
        fit(where((x > high) | (high < low), g, 0.0), high),
    )


composite(
    "clamp(Tensor input, Tensor? min=None, Tensor? max=None)",
    _clamp_tensors,
    _clamp_tensors_vjp,
    name="clamp_tensors",
    out=CAST.but(name="clamp"),
    node="ClampBackward0!",
    expose_as="-",
    dtypes=ANY,
)
expose("clamp", ops["clamp_tensors"], ops["clamp"])
expose("clip", ops["clamp_tensors"], ops["clamp"])
for _name in ("clamp", "clip"):
    in_place_form(_name, ops["clamp_tensors"], ops["clamp_in_place"])

for _name, _bound, _inside, _outside in (
    ("clamp_min", "maximum", "ge", "lt"),
    ("clamp_max", "minimum", "le", "gt"),
):

    def _bounded(x, bound, _apply=_bound):
        return f[_apply](x, held(bound, x, INT))

    def _bounded_in_place(x, bound, _bounded=_bounded):
        out = _bounded(x, bound)
        require_castable(out.dtype, x.dtype)
        return out

    def _bounded_vjp(g, values, out, _inside=_inside, _outside=_outside):
        x, bound = values
        g_x = fit(f["where"](f[_inside](x, bound), g, 0.0), x)
        return (
            (g_x, fit(f["where"](f[_outside](x, bound), g, 0.0), bound)) if isinstance(bound, Tracer) else g_x
        )

    _side = _name[-3:]
    _node = f"Clamp{_side.capitalize()}Backward"
    composite(
        f"{_name}(Tensor input, Tensor {_side})",
        _bounded,
        _bounded_vjp,
        name=f"{_name}_tensor",
        node=f"{_node}1!",
        expose_as="-",
        dtypes=ANY,
    )
    for _suffix, _rule in (("", _bounded), ("_in_place", _bounded_in_place)):
        composite(
            f"{_name}(Tensor input, Scalar {_side})",
            _rule,
            _bounded_vjp,
            name=f"{_name}_number{_suffix}",
            node=f"{_node}0!",
            expose_as="-",
            dtypes=ANY,
            out=FOUND,
        )
    expose(_name, ops[f"{_name}_tensor"], ops[f"{_name}_number"])
    in_place_form(_name, ops[f"{_name}_tensor"], ops[f"{_name}_number_in_place"])

# ---- three operands, with torch's roundings ----


def _require_same(name, x, y):
    if x.dtype != y.dtype:
        raise RuntimeError(f"expected dtype {x.dtype._c_name} for `{name}` but got dtype {y.dtype._c_name}")


def _require_float(kernel, x):
    if not x.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"{kernel}\" not implemented for '{scalar_name(x.dtype)}'\n"
            "Convert the tensor first, for example with .float()."
        )


def _lerp_number(x, end, weight):
    _require_same("end", x, end)
    _require_float("lerp_kernel_scalar", x)
    if hasattr(weight, "hint"):  # an update rule's number: its side of 1/2 is part of the program's key
        gap = end - x
        return f["fma"](gap, weight, x) if abs(weight) < 0.5 else f["fma"](gap, weight - 1, end)
    return _lerp(x, end, f["_full_like"](f["_zeros_of"](x, ()), weight))


def _lerp_tensor(x, end, weight):
    _require_same("end", x, end)
    _require_same("weight", x, weight)
    _require_float("lerp_kernel_tensor", x)
    return _lerp(x, end, weight)


def _lerp(x, end, weight):
    """Starts from the nearer end, which keeps both ends exact."""
    near = f["abs"](weight) < 0.5
    return f["fma"](f["where"](near, weight, weight - 1), end - x, f["where"](near, x, end))


composite(
    "lerp(Tensor input, Tensor end, Scalar weight)",
    _lerp_number,
    lambda g, v, out: (fit(g * (1 - v[2]), v[0]), fit(g * v[2], v[1])),
    name="lerp_number",
    node="LerpBackward0!",
    expose_as="-",
)
composite(
    "lerp(Tensor input, Tensor end, Tensor weight)",
    _lerp_tensor,
    lambda g, v, out: (fit(g * (1 - v[2]), v[0]), fit(g * v[2], v[1]), fit(g * (v[1] - v[0]), v[2])),
    name="lerp_tensor",
    node="LerpBackward1!",
    expose_as="-",
    out=FOUND,
)
expose("lerp", ops["lerp_tensor"], ops["lerp_number"], in_place=True)


def _addcdiv(x, a, b, value):
    if not a.dtype.is_floating_point and not b.dtype.is_floating_point:
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will "
            "perform a true division of tensor1 and tensor2.\n"
            "Convert them to floats first."
        )
    return (a * value) / b + x


composite(
    "addcmul(Tensor input, Tensor tensor1, Tensor tensor2, *, Scalar value=1)",
    lambda x, a, b, value: f["fma"](a * value, b, x),
    lambda g, v, out: (fit(g, v[0]), fit(g * (v[2] * v[3]), v[1]), fit(g * (v[1] * v[3]), v[2])),
    in_place=True,
    dtypes=ANY,
)
composite(
    "addcdiv(Tensor input, Tensor tensor1, Tensor tensor2, *, Scalar value=1)",
    _addcdiv,
    lambda g, v, out: (
        fit(g, v[0]),
        fit(g * (v[3] / v[2]), v[1]),
        fit(-g * ((v[1] * v[3]) / (v[2] * v[2])), v[2]),
    ),
    in_place=True,
)

# ---- functions of one or two variables that are put together ----


def _as_float(x):
    return x if x.dtype.is_floating_point else f["_cast"](x, _core.get_default_dtype())


composite(
    "deg2rad(Tensor input)",
    lambda x: _as_float(x) * (math.pi / 180),
    lambda g, v, out: g * (math.pi / 180),
    node="Deg2RadBackward0!",
    in_place=True,
)
composite(
    "rad2deg(Tensor input)",
    lambda x: _as_float(x) * (180 / math.pi),
    lambda g, v, out: g * (180 / math.pi),
    node="Rad2DegBackward0!",
    in_place=True,
)


def _sinc(x):
    at = _as_float(x) * math.pi
    return f["where"](at == 0, 1.0, f["sin"](at) / at)


def _sinc_vjp(g, values, out):
    x = values[0]
    at = x * math.pi
    safe = f["where"](at == 0, 1.0, at)
    # At 0 the quotient's series, which is 0 there: derivatives of this one are right too.
    series = x * (-(math.pi**2) / 3 + f["square"](x) * (math.pi**4 / 30))
    quotient = (f["cos"](safe) * safe - f["sin"](safe)) / (safe * f["where"](at == 0, 1.0, x))
    return g * f["where"](at == 0, series, quotient)


composite("sinc(Tensor input)", _sinc, _sinc_vjp, in_place=True)


def _logit(x, eps):
    x = _as_float(x)
    if eps is not None:
        x = f["where"](x < eps, eps, f["where"](x > 1 - eps, 1 - eps, x))
    return f["log"](x / (1 - x))


def _logit_vjp(g, values, out):
    x, eps = values
    if eps is None:
        return f["where"]((x < 0) | (x > 1), nan, g / (x * (1 - x)))
    held = (x < eps) | (x > 1 - eps)
    return f["where"](held, 0.0, g) / f["where"](held, 1.0, x * (1 - x))


composite("logit(Tensor input, Scalar? eps=None)", _logit, _logit_vjp, in_place=True)


def _xlogy(x, y):
    if isinstance(y, Tracer):
        log = f["log"](y)
    else:
        log = f["log"](f["_full_like"](f["_zeros_of"](_as_float(x), ()), y))
        y = f["_full_like"](f["_zeros_of"](_as_float(x), ()), y)
    zero = (x == 0) if isinstance(x, Tracer) else (f["_full_like"](y, x) == 0)
    return f["where"](f["isnan"](y), nan, f["where"](zero, 0.0, log * x))


def _xlogy_vjp(g, values, out):
    x, y = values
    result = []
    if isinstance(x, Tracer):
        other = y if isinstance(y, Tracer) else f["_full_like"](x, y)
        masked = (x == 0) & (other <= 0)
        # The logarithm is masked too: forward mode multiplies by it after the choice.
        result.append(fit(f["where"](masked, 0.0, _xlogy(g, f["where"](masked, 1.0, other))), x))
    if isinstance(y, Tracer):
        result.append(fit(g * x / y, y))
    return tuple(result)


composite(
    "xlogy(Tensor input, Tensor other)",
    _xlogy,
    _xlogy_vjp,
    name="xlogy_tensors",
    node="XlogyBackward0!",
    expose_as="-",
)
composite(
    "xlogy(Scalar input, Tensor other)",
    _xlogy,
    _xlogy_vjp,
    name="xlogy_of_number",
    node="XlogyBackward1!",
    expose_as="-",
)
composite(
    "xlogy(Tensor input, Scalar other)",
    _xlogy,
    _xlogy_vjp,
    name="xlogy_by_number",
    node="XlogyBackward2!",
    expose_as="-",
)
expose("xlogy", ops["xlogy_tensors"], ops["xlogy_by_number"], ops["xlogy_of_number"], in_place=True)

_LARGEST = {
    "float32": 3.4028234663852886e38,
    "float64": 1.7976931348623157e308,
    "float16": 65504.0,
    "bfloat16": 3.3895313892515355e38,
}


def _nan_to_num(x, at_nan, at_inf, at_minus_inf):
    if not x.dtype.is_floating_point:
        return f["_clone"](x)
    largest = _LARGEST[str(x.dtype).rpartition(".")[2]]
    where = f["where"]
    x = where(f["isnan"](x), 0.0 if at_nan is None else at_nan, x)
    x = where(x == inf, largest if at_inf is None else at_inf, x)
    return where(x == -inf, -largest if at_minus_inf is None else at_minus_inf, x)


composite(
    "nan_to_num(Tensor input, Scalar? nan=None, Scalar? posinf=None, Scalar? neginf=None)",
    _nan_to_num,
    lambda g, v, out: f["where"](f["isfinite"](v[0]), g, 0.0),
    in_place=True,
    dtypes=ANY,
    out=Into("nan_to_num: dtype of out: {Out} should be same as input: {Result}", apart="part"),
)


def _negative(y):
    """Whether the sign bit is set, of zeros too."""
    return (y < 0) | (f["reciprocal"](y) == -inf)


def _copysign(x, y):
    if isinstance(y, Tracer) and y.dtype != x.dtype:
        x = f["where"]((x != x) & (x == x), y, x)  # nowhere: the type that both have in common
    size = f["abs"](_as_float(x))
    if not isinstance(y, Tracer):
        y = f["_full_like"](f["_zeros_of"](size, ()), y)
    return f["where"](_negative(y) if y.dtype.is_floating_point else y < 0, -size, size)


def _copysign_vjp(g, values, out):
    x, y = values
    g_x = fit(f["where"](x == 0, 0.0, g * (out / f["where"](x == 0, 1.0, x))), x)
    return (g_x, fit(f["_zeros_of"](g, y.shape), y)) if isinstance(y, Tracer) else g_x


composite(
    "copysign(Tensor input, Tensor other)",
    _copysign,
    _copysign_vjp,
    name="copysign_tensor",
    node="CopysignBackward0!",
    expose_as="-",
)
composite(
    "copysign(Tensor input, Scalar other)",
    _copysign,
    _copysign_vjp,
    name="copysign_number",
    node="CopysignBackward1!",
    expose_as="-",
)
expose("copysign", ops["copysign_tensor"], ops["copysign_number"], in_place=True)


def _heaviside(x, values):
    if x.dtype != values.dtype:
        raise RuntimeError(
            "heaviside is not yet implemented for tensors with different dtypes.\nConvert one of them."
        )
    return f["where"](x == 0, values, f["_cast"](x > 0, x.dtype))


composite(  # torch has no rule for it and refuses
    "heaviside(Tensor input, Tensor values)",
    _heaviside,
    node="torch::autograd::NotImplemented!",
    in_place=True,
    dtypes=ANY,
    out=Into(
        "heaviside is not yet implemented for tensors with different dtypes.",
        apart="part",
        name="aten::heaviside",
    ),
)
