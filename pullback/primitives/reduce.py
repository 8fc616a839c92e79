"""Reductions along axes. `dim` empty means all of them."""

from __future__ import annotations

import math

from pullback import _core
from pullback._return_types import make_return_type
from pullback.primitives.family import composite, kernel, linear
from pullback.primitives.registry import ANY, expose, methods, ops, public
from pullback.results import CAST, EXACT, FREE, Into, castable, floating, truth, with_out
from pullback.trace.tracer import functions as f


def axes_of(dim, ndim):
    """The named axes, counted from 0 and in order."""
    dim = dim if isinstance(dim, (tuple, list)) else (dim,)
    return sorted(d % ndim for d in dim)


def listed(dim):
    """A list of axes from one axis, a list, or None (all of them)."""
    return () if dim is None else tuple(dim) if isinstance(dim, (tuple, list)) else (dim,)


def restore(g, x, dim, keepdim):
    """A reduced value with the reduced axes back, of size 1: it broadcasts with x."""
    if x.ndim and not keepdim and dim is not None and dim != ():
        for axis in axes_of(dim, x.ndim):
            g = f["unsqueeze"](g, axis)
    return g


def spread(g, x, dim, keepdim):
    """A reduced value back over the shape of x: the transpose of summing."""
    return f["expand"](restore(g, x, dim, keepdim), x.shape)


def count(x, dim):
    """How many elements are reduced to one."""
    if not x.ndim or not listed(dim):
        return x.numel()
    n = 1
    for d in axes_of(dim, x.ndim):
        n = x.size(d) * n
    return n


def typed(x, dtype):
    return x if dtype is None or x.dtype == dtype else f["_cast"](x, dtype)


# ---- sums ----

linear(
    "sum(Tensor input, int[] dim, bool keepdim, dtype? dtype)",
    lambda g, x, dim, keepdim, dtype: spread(g, x, dim, keepdim),
    expose_as="_sum",
    dtypes=ANY,
)
linear("sum_to(Tensor input, size[] size)", lambda g, x, size: f["expand"](g, x.shape), expose_as="_sum_to")


def whole_results_refused(*names):
    """Ops whose dtype= may ask for integers, through which no gradient flows: they are not recorded."""
    for name in names:
        ops[name].float_results = True


def _sum(x, dim, keepdim, dtype):
    return typed(f["_sum"](typed(x, dtype), listed(dim), keepdim, None), dtype)


composite(
    "sum(Tensor input, *, dtype? dtype=None)",
    lambda x, dtype: _sum(x, (), False, dtype),
    name="sum_all",
    out=False,
    node="SumBackward0!",
    expose_as="-",
    dtypes=ANY,
    doc="The sum of all elements, or along axes.",
)
composite(
    "sum(Tensor input, int[]? dim, bool keepdim=False, *, dtype? dtype=None)",
    _sum,
    name="sum_dim",
    out=FREE,
    node="SumBackward1!",
    expose_as="-",
    dtypes=ANY,
)
expose("sum", ops["sum_all"], ops["sum_dim"])


def _nansum(x, dim, keepdim, dtype):
    x = typed(x, dtype)
    if x.dtype.is_floating_point:
        x = f["where"](f["isnan"](x), 0.0, x)
    return typed(f["_sum"](x, listed(dim), keepdim, None), dtype)


composite(
    "nansum(Tensor input, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None)",
    _nansum,
    dtypes=ANY,
    doc="The sum, nan counted as 0.",
    out=Into("\"nansum_cpu\" not implemented for '{Out}'", castable, NotImplementedError),
)


def _mean(x, dim, keepdim, dtype):
    x_type = x.dtype if dtype is None else dtype
    if not x_type.is_floating_point:
        which = "Input" if dtype is None else "Optional"
        raise RuntimeError(
            f"mean(): could not infer output dtype. {which} dtype must be either a floating point or complex "
            f"dtype. Got: {x_type._legacy.removesuffix('Tensor')}\n"
            "Convert the tensor first, for example with .float()."
        )
    return f["_sum"](typed(x, dtype), listed(dim), keepdim, None) / count(x, dim)


composite(
    "mean(Tensor input, *, dtype? dtype=None)",
    lambda x, dtype: _mean(x, (), False, dtype),
    name="mean_all",
    node="MeanBackward0!",
    expose_as="-",
    doc="The mean of all elements, or along axes.",
    out=Into("mean.dtype_out(): input types can't be cast to the desired output type {Out}", castable),
)
composite(
    "mean(Tensor input, int[]? dim, bool keepdim=False, *, dtype? dtype=None)",
    _mean,
    name="mean_dim",
    out=FREE,
    node="MeanBackward1!",
    expose_as="-",
)
expose("mean", ops["mean_all"], ops["mean_dim"])

# ---- products ----


def _prod_vjp(g, values, out):
    """g out / x; where a zero takes part, g times the product of all the others, without dividing."""
    x, dim, keepdim = values
    if not x.ndim:
        return f["_clone"](g)
    line = x if dim else f["reshape"](x, (x.numel(),))
    axis = dim[0] % x.ndim if dim else 0
    g, out = restore(g, x, dim, keepdim), restore(out, x, dim, keepdim)
    if not dim:
        g, out = f["reshape"](g, (1,)), f["reshape"](out, (1,))
    zero = line == 0
    some = f["any"](zero, axis, True)
    others = excluded(line, axis) * f["flip"](excluded(f["flip"](line, (axis,)), axis), (axis,))
    part = g * f["where"](some, others, out / f["where"](zero, 1.0, line))
    return part if dim else f["reshape"](part, x.shape)


def excluded(x, axis):
    """The products of the elements before each."""
    return moved(f["_cumprod"](x, axis), axis, False, 1.0)


def moved(x, axis, backwards, fill):
    """Each element one place further along the axis, `fill` where none arrives."""
    n = x.size(axis)
    first = f["_full_like"](f["_slice"](x, axis, 0, 1, 1), fill)
    rest = f["_slice"](x, axis, 1, n, 1) if backwards else f["_slice"](x, axis, 0, -1, 1)
    return f["cat"]([rest, first] if backwards else [first, rest], axis)


kernel("prod(Tensor input, int[] dim, bool keepdim)", _prod_vjp, expose_as="_prod", dtypes=ANY)
composite(
    "prod(Tensor input, *, dtype? dtype=None)",
    lambda x, dtype: typed(f["_prod"](typed(x, dtype), (), False), dtype),
    name="prod_all",
    out=False,
    node="ProdBackward0!",
    expose_as="-",
    dtypes=ANY,
    doc="The product of all elements, or along an axis.",
)
composite(
    "prod(Tensor input, int dim, bool keepdim=False, *, dtype? dtype=None)",
    lambda x, dim, keepdim, dtype: typed(f["_prod"](typed(x, dtype), (dim,), keepdim), dtype),
    name="prod_dim",
    out=FREE,
    node="ProdBackward1!",
    expose_as="-",
    dtypes=ANY,
)
expose("prod", ops["prod_all"], ops["prod_dim"])
whole_results_refused("sum_all", "sum_dim", "nansum", "prod_all", "prod_dim")
ops["nansum"].whole_out = False

# ---- extrema ----


def _shared(g, values, out):
    """Evenly among the elements that equal the extremum."""
    x, dim, keepdim = values
    mask = x == restore(out, x, dim, keepdim)
    n = f["sum"](mask, dim or None, True) if x.ndim else f["sum"](mask)
    return (restore(g, x, dim, keepdim) * mask) / n


def shared_by_all(g, values, out):
    """As above; where the extremum is nan, among the nans."""
    x = values[0]
    mask = x == out
    if x.dtype.is_floating_point:
        mask = mask | (f["isnan"](x) & f["isnan"](out))
    return f["where"](mask, g / f["sum"](mask), 0.0)


def chosen(g, x, dim, index, keepdim):
    """The transpose of choosing one element of each line."""
    if not x.ndim:
        return f["_clone"](g)
    if not keepdim:
        g, index = f["unsqueeze"](g, dim % x.ndim), f["unsqueeze"](index, dim % x.ndim)
    return f["_scatter"](f["_zeros_of"](g, x.shape), dim, index, g)


def chosen_vjp(gs, values, outputs):
    x, dim, keepdim = values
    return chosen(gs[0], x, dim, outputs[1], keepdim)


for _name in ("max", "min"):
    kernel(
        f"a{_name}(Tensor input, int[] dim=[], bool keepdim=False)",
        _shared,
        dtypes=ANY,
        out=Into(
            "Expected the dtype for input and out to match, but got {Result} for input's dtype and {Out} for "
            "out's dtype."
        ),
    )
    kernel(
        f"{_name}(Tensor input)",
        shared_by_all,
        name=f"{_name}_all",
        kernel=f"{_name}_all",
        expose_as="-",
        node=f"{_name.capitalize()}Backward1!",
        dtypes=ANY,
        out=Into(
            "Expected canCast( typeMetaToScalarType(self.dtype()), typeMetaToScalarType(out.dtype())) to be "
            "true, but got false.  (Could this error message be improved?  If so, please report an "
            "enhancement request to PyTorch.)",
            castable,
        ),
    )
    kernel(
        f"{_name}(Tensor input, int dim, bool keepdim=False)",
        chosen_vjp,
        name=f"{_name}_dim",
        kernel=f"{_name}_dim",
        expose_as=f"_{_name}_dim",
        node=f"{_name.capitalize()}Backward0!",
        outputs=2,
        dtypes=ANY,
    )
    composite(
        f"{_name}(Tensor input, Tensor other)",
        lambda x, y, n=_name: f[n + "imum"](x, y),
        name=f"{_name}_other",
        node=f"{_name.capitalize()}imumBackward0!",
        expose_as="-",
        dtypes=ANY,
        out=CAST.but(name=f"{_name}imum"),
    )
    expose(
        _name,
        ops[f"{_name}_all"],
        ops[f"{_name}_other"],  # before the axis, which may be a tensor too: an `other` without axes is one
        ops[f"{_name}_dim"],
        result=make_return_type(_name, ("values", "indices")),
    )
    kernel(f"arg{_name}(Tensor input, int? dim=None, bool keepdim=False)", None, dtypes=ANY)


def _aminmax(x, dim, keepdim):
    dims = () if dim is None else (dim,)
    return f["amin"](x, dims, keepdim), f["amax"](x, dims, keepdim)


composite(
    "aminmax(Tensor input, *, int? dim=None, bool keepdim=False)",
    _aminmax,
    outputs=2,
    dtypes=ANY,
    expose_as="_aminmax",
    result=make_return_type("aminmax", ("min", "max")),
)


def aminmax(input, *, dim=None, keepdim=False):
    """The smallest and the largest element, of all or along an axis.

    Shapes    input (*) -> two of (); with dim without that axis (keepdim: of size 1)
    Dtypes    all kept
    Gradient  shared evenly by the elements that are the smallest, or the largest
    Errors    RuntimeError (IndexError with dim) where there are no elements
    Example   >>> torch.aminmax(torch.tensor([3.0, 1.0, 2.0]))
              torch.return_types.aminmax(
              min=tensor(1.),
              max=tensor(3.))
    """
    if input.numel() == 0:
        if dim is None:
            raise RuntimeError(
                "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
            )
        if input.size(dim) == 0:
            raise IndexError(f"aminmax: Expected reduction dim {dim} to have non-zero size.")
    return f["_aminmax"](input, dim=dim, keepdim=keepdim)


methods["aminmax"] = f["aminmax"] = aminmax
public["aminmax"] = with_out(aminmax, EXACT)

# ---- truth ----


def _truth(name, x, dim, keepdim):
    """An empty list of axes reduces none, unlike in sums."""
    if isinstance(dim, (tuple, list)) and not dim:
        return f["_cast"](x != 0, x.dtype if x.dtype == _core.uint8 else _core.bool)
    return f[name](x, listed(dim), keepdim)


for _name in ("all", "any"):
    kernel(f"{_name}(Tensor input, int[] dim, bool keepdim)", None, expose_as=f"_{_name}", dtypes=ANY)
    composite(
        f"{_name}(Tensor input, int[]? dim=None, bool keepdim=False)",
        lambda x, dim, keepdim, n=_name: _truth("_" + n, x, dim, keepdim),
        name=f"{_name}_dim",
        differentiable=False,
        dtypes=ANY,
        out=Into("{name} only supports bool tensor for result, got: {Out}", truth),
    )
kernel("count_nonzero(Tensor input, int[] dim)", None, expose_as="_count_nonzero", dtypes=ANY)
composite(
    "count_nonzero(Tensor input, int[]? dim=None)",
    lambda x, dim: f["_count_nonzero"](x, listed(dim)),
    name="count_nonzero_dim",
    out=False,
    differentiable=False,
    dtypes=ANY,
)

# ---- moments ----


def _spread_of_squares(g, x, dim, correction, keepdim, mean=None):
    """The cotangent of x from that of its variance: 2 / (n - correction) g (x - mean)."""
    n = count(x, dim)
    if mean is not None:
        mean = restore(mean, x, dim, keepdim)
    else:
        mean = f["mean"](x, dim or None, True) if x.ndim else x
    g = restore(g, x, dim, keepdim)
    if correction == math.inf or (math.isfinite(correction) and n <= math.floor(correction)):
        return g * f["where"](x == mean, math.nan, math.inf)
    return ((2.0 / (x.graph.number_of(n) - correction)) * g) * (x - mean)


def _std_vjp(g, values, out):
    x, dim, correction, keepdim = values
    return _spread_of_squares(_of_root(g, out), x, dim, correction, keepdim)


def _of_root(g, std):
    # Where the choice is 0 the divisor is 1: forward mode divides after choosing.
    return f["where"](std == 0, 0.0, g) / f["where"](std == 0, 1.0, std * 2)


def _var_mean_vjp(gs, values, outputs):
    x, dim, correction, keepdim, _ = values
    out = None if gs[0] is None else _spread_of_squares(gs[0], x, dim, correction, keepdim, outputs[1])
    if gs[1] is None:
        return out
    mean = spread(gs[1] / count(x, dim), x, dim, keepdim)
    return mean if out is None else out + mean


kernel(
    "var(Tensor input, int[] dim, float correction, bool keepdim)",
    lambda g, v, out: _spread_of_squares(g, v[0], v[1], v[2], v[3]),
    name="var_kernel",
    expose_as="_var",
)
kernel(
    "std(Tensor input, int[] dim, float correction, bool keepdim)",
    _std_vjp,
    name="std_kernel",
    expose_as="_std",
)
kernel(
    "var_mean(Tensor input, int[] dim, float correction, bool keepdim, bool in_order=True)",
    _var_mean_vjp,
    name="var_mean_kernel",
    outputs=2,
    expose_as="_var_mean",
)

# ---- norms ----


def norm_vjp(g, values, out):
    x, p, dim, keepdim = values
    g, out = restore(g, x, dim, keepdim), restore(out, x, dim, keepdim)
    if p == 0:
        return f["_full_like"](x, 0)
    if p == 1:
        return f["sgn"](x) * g
    if p == 2:
        return g * f["where"](out == 0, 0.0, x / out)
    if math.isinf(p):
        size = f["abs"](x)
        mask = (size == out) | (f["isnan"](size) & f["isnan"](out))
        n = f["sum"](mask, dim or None, True) if x.ndim else f["sum"](mask)
        return f["sgn"](x) * ((g / n) * mask)
    if p < 1:
        part = f["where"](x == 0, 0.0, f["sgn"](x) * f["pow"](f["abs"](x), p - 1))
        return part * (g * f["pow"](out, 1 - p))
    part = f["sgn"](x) * f["pow"](f["abs"](x), p - 1) if p < 2 else x * f["pow"](f["abs"](x), p - 2)
    zero = out == 0
    return part * (f["where"](zero, 0.0, g) / f["where"](zero, 1.0, f["pow"](out, p - 1)))


kernel("vector_norm(Tensor input, float ord, int[] dim, bool keepdim)", norm_vjp, expose_as="_vector_norm")

# ---- logsumexp ----


def _logsumexp_vjp(g, values, out):
    x, dim, keepdim = values
    return restore(g, x, dim, keepdim) * f["exp"](x - restore(out, x, dim, keepdim))


kernel(
    "logsumexp(Tensor input, int[] dim, bool keepdim)",
    _logsumexp_vjp,
    name="logsumexp_kernel",
    expose_as="_logsumexp",
)
composite(
    "logsumexp(Tensor input, int[] dim, bool keepdim=False)",
    lambda x, dim, keepdim: f["_logsumexp"](
        x if x.dtype.is_floating_point else f["_cast"](x, _core.get_default_dtype()), dim, keepdim
    ),
    doc="log(sum(exp(x))) along axes, without overflow.",
    out=Into("logsumexp(): Expected floating point type for result tensor, but got: {Out}", floating),
)
