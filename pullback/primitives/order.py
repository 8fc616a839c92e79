"""Running results along an axis, and orders: cumulative sums, sorting, the k largest."""

from __future__ import annotations

import functools
import math

from pullback import _core
from pullback._return_types import make_return_type
from pullback.primitives.family import composite, kernel, linear
from pullback.primitives.reduce import chosen, chosen_vjp, moved, shared_by_all, typed, whole_results_refused
from pullback.primitives.registry import ANY, expose, in_place_form, ops
from pullback.results import EXACT, Into
from pullback.trace.tracer import functions as f


def _backwards(function, x, dim):
    """A running result that runs from the end."""
    return f["flip"](f[function](f["flip"](x, (dim,)), dim), (dim,)) if x.ndim else x


def _running(name, x, dim, dtype):
    if dtype == _core.bool:
        raise NotImplementedError(f"\"{name}_out_cpu\" not implemented for 'Bool'\nAsk for integers instead.")
    return typed(f["_" + name](typed(x, dtype), dim), dtype)


def _running_in_place(name, x, dim, dtype):
    f["_" + name](x, dim)  # refuses the axis first
    if dtype not in (None, x.dtype):
        raise RuntimeError(
            f"Bad in-place call: input tensor dtype {x.dtype._c_name} and output tensor dtype "
            f"{dtype._c_name} should match\nThe form without the underscore gives a tensor of another type."
        )
    return _running(name, x, dim, x.dtype)


# ---- running sums and products ----

linear(
    "cumsum(Tensor input, int dim)",
    lambda g, x, dim: _backwards("_cumsum", g, dim),
    name="cumsum_kernel",
    expose_as="_cumsum",
    dtypes=ANY,
)


def _recurrence_vjp(g, values, out):
    """The adjoint runs the other way; its coefficients are one place off."""
    a, _, dim, backwards, shifted = values
    h = f["_recurrence"](a, g, dim, not backwards, not shifted)
    if not a.ndim:
        return f["_full_like"](a, 0), h
    if shifted:
        return moved(h, dim, not backwards, 0.0) * out, h
    return h * moved(out, dim, backwards, 0.0), h


# s[i] = b[i] + a[i] s[i - 1]; shifted: a[i - 1]; backwards: i + 1 instead. Its derivatives are again such.
kernel(
    "recurrence(Tensor decay, Tensor input, int dim, bool backwards, bool shifted)",
    _recurrence_vjp,
    expose_as="_recurrence",
)


def _cumprod_vjp(g, values, out):
    """What precedes an element times what follows it; no division, so that zeros need no care."""
    x, dim = values
    if not x.ndim:
        return g
    return moved(out, dim, False, 1.0) * f["_recurrence"](x, g, dim, True, True)


kernel(
    "cumprod(Tensor input, int dim)", _cumprod_vjp, name="cumprod_kernel", expose_as="_cumprod", dtypes=ANY
)


for _name, _parts in (("cumsum", "sums"), ("cumprod", "products")):
    for _suffix, _rule in (("", _running), ("_in_place", _running_in_place)):
        composite(
            f"{_name}(Tensor input, int dim, *, dtype? dtype=None)",
            functools.partial(_rule, _name),
            name=_name + _suffix,
            node=f"{_name.capitalize()}Backward0!",
            expose_as="-",
            dtypes=ANY,
            doc=f"The {_parts} of the elements up to each.",
        )
    expose(_name, ops[_name])
    in_place_form(_name, ops[f"{_name}_in_place"])
whole_results_refused("cumsum", "cumprod")


def _less(x, y):
    """x - y, and 0 where both are equal, infinities included."""
    return f["where"](x == y, 0.0, x - y)


def _logcumsumexp_vjp(g, values, out):
    """exp(x_i) sum over j >= i of g_j exp(-out_j), as a recurrence from the end; factors are at most 1."""
    x, dim = values
    if not x.ndim:
        return g
    decay = f["exp"](_less(out, moved(out, dim, True, math.inf)))
    return f["_recurrence"](decay, g, dim, True, False) * f["exp"](_less(x, out))


kernel(
    "logcumsumexp(Tensor input, int dim)",
    _logcumsumexp_vjp,
    name="logcumsumexp_kernel",
    expose_as="_logcumsumexp",
)
composite(
    "logcumsumexp(Tensor input, int dim)",
    lambda x, dim: f["_logcumsumexp"](x, dim),
    out=Into("expected scalar_type {Result} but found {Out}"),
)


def _running_vjp(gs, values, outputs):
    x, dim = values
    if not x.ndim:
        return gs[0]
    return f["scatter_add"](f["_zeros_of"](gs[0], x.shape), dim, outputs[1], gs[0])


for _name in ("cummax", "cummin"):
    kernel(
        f"{_name}(Tensor input, int dim)",
        _running_vjp,
        outputs=2,
        dtypes=ANY,
        result=make_return_type(_name, ("values", "indices")),
        out=Into("expected scalar_type {Result} but found {Out}"),
    )

# ---- orders ----


def _permuted_vjp(gs, values, outputs):
    return chosen(gs[0], values[0], values[1], outputs[1], True)


def _top_vjp(gs, values, outputs):
    return chosen(gs[0], values[0], values[2], outputs[1], True)


kernel(
    "sort(Tensor input, int dim=-1, bool descending=False)",
    _permuted_vjp,
    name="sort_any",
    outputs=2,
    node="SortBackward0!",
    expose_as="_sort",
    dtypes=ANY,
    out=EXACT,
)
composite(
    "sort(Tensor input, *, any stable, int dim=-1, bool descending=False)",
    lambda x, stable, dim, descending: f["_sort"](x, dim, descending),
    name="sort_stable",
    outputs=2,
    node="SortBackward1!",
    expose_as="-",
    dtypes=ANY,
    out=EXACT,
)
expose("sort", ops["sort_any"], ops["sort_stable"], result=make_return_type("sort", ("values", "indices")))
composite(
    "argsort(Tensor input, int dim=-1, bool descending=False, any stable=False)",
    lambda x, dim, descending, stable: f["_sort"](x, dim, descending)[1],
    out=False,
    differentiable=False,
    dtypes=ANY,
)
composite(
    "msort(Tensor input)",
    lambda x: f["_sort"](x, 0, False)[0],
    node="SortBackward0!",
    dtypes=ANY,
    out=EXACT.but(name="sort"),
)
kernel(
    "topk(Tensor input, size k, int dim=-1, bool largest=True, bool sorted=True)",
    _top_vjp,
    outputs=2,
    dtypes=ANY,
    result=make_return_type("topk", ("values", "indices")),
)


def _kth_vjp(gs, values, outputs):
    x, _, dim, keepdim = values
    return chosen(gs[0], x, dim, outputs[1], keepdim)


kernel(
    "kthvalue(Tensor input, size k, int dim=-1, bool keepdim=False)",
    _kth_vjp,
    outputs=2,
    dtypes=ANY,
    result=make_return_type("kthvalue", ("values", "indices")),
    out=(
        Into("output values must be of same type as input"),
        Into("output indices must be of scalar type Long"),
    ),
)


# ---- the middle, and the most frequent ----


def _middle_vjp(gs, values, outputs):
    x, dim, keepdim, _ = values
    return chosen(gs[0], x, dim, outputs[1], keepdim)


kernel(
    "median(Tensor input, int dim, bool keepdim, bool ignore_nan)",
    _middle_vjp,
    name="median_kernel",
    outputs=2,
    expose_as="_median",
    dtypes=ANY,
)


def _median_of_all(x, ignore_nan):
    """Of the elements in a row; an empty tensor is made a row of one nan by the public function."""
    return f["_median"](f["reshape"](x, (x.numel(),)) if x.ndim else x, 0, False, ignore_nan)[0]


_CHECKED = " (while checking arguments for median)"
MEDIAN_INTO = (
    Into(
        "Expected tensor for 'values' to have the same type as tensor for argument #2 'self'; but type "
        "{out_tensor} does not equal {result_tensor}" + _CHECKED
    ),
    Into(
        "Expected tensor for argument #1 'indices' to have scalar type Long; but got {out_tensor} instead"
        + _CHECKED,
        early=True,
    ),
)


def _declare_median(name, ignore_nan):
    composite(
        f"{name}(Tensor input)",
        lambda x: _median_of_all(x, ignore_nan),
        shared_by_all,
        name=name + "_all",
        node=name.capitalize() + "Backward0!",
        expose_as="-",
        dtypes=ANY,
    )
    composite(
        f"{name}(Tensor input, int dim, bool keepdim=False)",
        lambda x, dim, keepdim: f["_median"](x, dim, keepdim, ignore_nan),
        name=name + "_dim",
        node=name.capitalize() + "Backward1!",
        outputs=2,
        expose_as="-",
        dtypes=ANY,
        out=MEDIAN_INTO,
    )
    expose(name, ops[name + "_all"], ops[name + "_dim"], result=make_return_type(name, ("values", "indices")))


_declare_median("median", False)
_declare_median("nanmedian", True)


def _most_frequent(x, dim, keepdim):
    """The smallest of the most frequent values, at its last place: the end of the longest sorted run."""
    if x.ndim and x.size(dim) == 0:
        raise IndexError(
            f"mode(): Expected reduction dim {dim % x.ndim} to have non-zero size.\nAn empty axis has no "
            "such element."
        )
    values, order = f["_sort"](x, dim, False)
    if not x.ndim:
        return values, f["_full_like"](order, 0)
    place = f["_cumsum"](f["_full_like"](order, 1), dim)
    start, _ = f["cummax"](f["where"](_starts(values, dim), place, 0), dim)
    last = f["argmax"](place - start, dim, True)
    values, at = f["gather"](values, dim, last), f["gather"](order, dim, last)
    return (values, at) if keepdim else (f["_squeeze"](values, (dim,)), f["_squeeze"](at, (dim,)))


def _starts(values, dim):
    """Where a run of equal elements begins."""
    first = f["_full_like"](f["_slice"](values, dim, 0, 1, 1) == 0, 1)
    rest = f["_slice"](values, dim, 1, values.size(dim), 1) != f["_slice"](values, dim, 0, -1, 1)
    return f["cat"]([first, rest], dim)


composite(
    "mode(Tensor input, int dim=-1, bool keepdim=False)",
    _most_frequent,
    chosen_vjp,
    outputs=2,
    dtypes=ANY,
    result=make_return_type("mode", ("values", "indices")),
    out=(
        Into("expected scalar type '{Result}' but got '{Out}' for values output"),
        Into("expected scalar type '{Result}' but got '{Out}' for indices output"),
    ),
)
