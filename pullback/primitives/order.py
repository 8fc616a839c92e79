"""Running results along an axis, and orders: cumulative sums, sorting, the k largest."""

from __future__ import annotations

from pullback import _core
from pullback._return_types import make_return_type
from pullback.primitives.family import composite, kernel, linear
from pullback.primitives.reduce import chosen, chosen_vjp, moved, shared_by_all, typed
from pullback.primitives.registry import ANY, expose, ops
from pullback.trace.tracer import functions as f


def _backwards(function, x, dim):
    """A running result that runs from the end."""
    return f["flip"](f[function](f["flip"](x, (dim,)), dim), (dim,)) if x.ndim else x


# ---- running sums and products ----

linear("cumsum(Tensor input, int dim)", lambda g, x, dim: _backwards("_cumsum", g, dim), name="cumsum_kernel",
       expose_as="_cumsum", dtypes=ANY)  # fmt: skip
composite("cumsum(Tensor input, int dim, *, dtype? dtype=None)", lambda x, dim, dtype: f["_cumsum"](typed(x, dtype), dim),
          in_place=True, dtypes=ANY, doc="The sums of the elements up to each.")  # fmt: skip


def _recurrence_vjp(g, values, out):
    """The adjoint runs the other way; its coefficients are one place off."""
    a, b, dim, backwards, shifted = values
    h = f["_recurrence"](a, g, dim, not backwards, not shifted)
    if not a.ndim:
        return f["_full_like"](a, 0), h
    if shifted:
        return moved(h, dim, not backwards, 0.0) * out, h
    return h * moved(out, dim, backwards, 0.0), h


# s[i] = b[i] + a[i] s[i - 1]; shifted: a[i - 1]; backwards: i + 1 instead. Its derivatives are again such.
kernel("recurrence(Tensor decay, Tensor input, int dim, bool backwards, bool shifted)", _recurrence_vjp,
       expose_as="_recurrence")  # fmt: skip


def _cumprod_vjp(g, values, out):
    """What precedes an element times what follows it; no division, so that zeros need no care."""
    x, dim = values
    if not x.ndim:
        return g
    return moved(out, dim, False, 1.0) * f["_recurrence"](x, g, dim, True, True)


kernel("cumprod(Tensor input, int dim)", _cumprod_vjp, name="cumprod_kernel", expose_as="_cumprod", dtypes=ANY)
composite("cumprod(Tensor input, int dim, *, dtype? dtype=None)",
          lambda x, dim, dtype: f["_cumprod"](typed(x, dtype), dim), in_place=True, dtypes=ANY,
          doc="The products of the elements up to each.")  # fmt: skip


def _logcumsumexp_vjp(g, values, out):
    """exp(x_i) sum over j >= i of g_j exp(-out_j), in logarithms: the parts with g above and below 0 by themselves."""
    x, dim = values
    if not x.ndim:
        return g
    lowest = -3.4028234663852886e38 if x.dtype.itemsize == 4 else -1.7976931348623157e308
    size = f["log"](f["abs"](g))
    above, below = f["where"](g > 0, size, lowest), f["where"](g < 0, size, lowest)
    part = lambda h: f["exp"](_backwards("_logcumsumexp", h - out, dim) + x)  # noqa: E731
    return part(above) - part(below)


kernel("logcumsumexp(Tensor input, int dim)", _logcumsumexp_vjp, name="logcumsumexp_kernel",
       expose_as="_logcumsumexp")  # fmt: skip
composite("logcumsumexp(Tensor input, int dim)", lambda x, dim: f["_logcumsumexp"](x, dim))


def _running_vjp(gs, values, outputs):
    x, dim = values
    if not x.ndim:
        return gs[0]
    return f["scatter_add"](f["_zeros_of"](gs[0], x.shape), dim, outputs[1], gs[0])


for _name in ("cummax", "cummin"):
    kernel(f"{_name}(Tensor input, int dim)", _running_vjp, outputs=2, dtypes=ANY,
           result=make_return_type(_name, ("values", "indices")))  # fmt: skip

# ---- orders ----


def _permuted_vjp(gs, values, outputs):
    return chosen(gs[0], values[0], values[1], outputs[1], True)


def _top_vjp(gs, values, outputs):
    return chosen(gs[0], values[0], values[2], outputs[1], True)


kernel("sort(Tensor input, int dim=-1, bool descending=False)", _permuted_vjp, name="sort_any", outputs=2,
       node="SortBackward0!", expose_as="_sort", dtypes=ANY)  # fmt: skip
composite("sort(Tensor input, *, any stable, int dim=-1, bool descending=False)",
          lambda x, stable, dim, descending: f["_sort"](x, dim, descending), name="sort_stable", outputs=2,
          node="SortBackward1!", expose_as="-", dtypes=ANY)  # fmt: skip
expose("sort", ops["sort_any"], ops["sort_stable"], result=make_return_type("sort", ("values", "indices")))
composite("argsort(Tensor input, int dim=-1, bool descending=False, any stable=False)",
          lambda x, dim, descending, stable: f["_sort"](x, dim, descending)[1], differentiable=False,
          dtypes=ANY)  # fmt: skip
composite("msort(Tensor input)", lambda x: f["_sort"](x, 0, False)[0], node="SortBackward0!", dtypes=ANY)
kernel("topk(Tensor input, size k, int dim=-1, bool largest=True, bool sorted=True)", _top_vjp, outputs=2, dtypes=ANY,
       result=make_return_type("topk", ("values", "indices")))  # fmt: skip


def _kth_vjp(gs, values, outputs):
    x, k, dim, keepdim = values
    return chosen(gs[0], x, dim, outputs[1], keepdim)


kernel("kthvalue(Tensor input, size k, int dim=-1, bool keepdim=False)", _kth_vjp, outputs=2, dtypes=ANY,
       result=make_return_type("kthvalue", ("values", "indices")))  # fmt: skip


# ---- the middle, and the most frequent ----


def _check_line(name, x, dim):
    if x.ndim and x.size(dim) == 0:
        raise IndexError(
            f"{name}(): Expected reduction dim {dim % x.ndim} to have non-zero size.\nAn empty axis has no such element."
        )


def _middle(x, dim, keepdim):
    """The lower of the two middle elements; nan if there is one."""
    _check_line("median", x, dim)
    n = x.size(dim) if x.ndim else 1
    values, at = f["kthvalue"](x, (n + 1) // 2, dim, keepdim)
    if x.dtype.is_floating_point and x.ndim:
        nans = f["isnan"](x)
        at = f["where"](f["any"](nans, dim, keepdim), f["argmax"](f["_cast"](nans, _core.uint8), dim, keepdim), at)
    return at


def _middle_without_nan(x, dim, keepdim):
    _check_line("nanmedian", x, dim)
    if not x.dtype.is_floating_point or not x.ndim:
        return _middle(x, dim, keepdim)
    _, order = f["_sort"](x, dim, False)
    n = f["sum"](f["logical_not"](f["isnan"](x)), dim, True)
    at = f["gather"](order, dim, f["floor_divide"](f["maximum"](n, 1) - 1, 2))
    return at if keepdim else f["_squeeze"](at, (dim,))


def _most_frequent(x, dim, keepdim):
    """The smallest of the most frequent values, at its last place."""
    _check_line("mode", x, dim)
    values, order = f["_sort"](x, dim, False)
    if not x.ndim:
        return f["_full_like"](order, 0)
    place = f["_cumsum"](f["_full_like"](order, 1), dim)
    new = _starts(values, dim)
    start, _ = f["cummax"](f["where"](new, place, 0), dim)
    last = f["argmax"](place - start, dim, True)
    at = f["gather"](order, dim, last)
    return at if keepdim else f["_squeeze"](at, (dim,))


def _starts(values, dim):
    """Where a run of equal elements begins."""
    first = f["_full_like"](f["_slice"](values, dim, 0, 1, 1) == 0, 1)
    rest = f["_slice"](values, dim, 1, values.size(dim), 1) != f["_slice"](values, dim, 0, -1, 1)
    return f["cat"]([first, rest], dim)


def _pick(rule):
    """An element of each line with its index, by a rule for the index."""

    def picked(x, dim, keepdim):
        at = rule(x, dim, keepdim)
        if not x.ndim:
            return f["_clone"](x), f["_full_like"](at, 0)
        wide = at if keepdim else f["unsqueeze"](at, dim % x.ndim)
        values = f["gather"](x, dim, wide)
        return (values if keepdim else f["_squeeze"](values, (dim,))), at

    return picked


for _name, _rule, _node in (("median", _middle, "MedianBackward1!"), ("nanmedian", _middle_without_nan, "NanmedianBackward1!"),
                            ("mode", _most_frequent, "ModeBackward0!")):  # fmt: skip
    composite(f"{_name}(Tensor input, int dim{'=-1' if _name == 'mode' else ''}, bool keepdim=False)", _pick(_rule),
              chosen_vjp, name=f"{_name}_dim", node=_node, outputs=2, expose_as="-", dtypes=ANY)  # fmt: skip


def _whole(rule):
    def picked(x):
        line = f["reshape"](x, (x.numel(),))
        if x.numel() == 0:
            return f["_cast"](f["_prod"](line, (), False), x.dtype) * float("nan")
        return f["gather"](line, 0, f["unsqueeze"](rule(line, 0, False), 0)).reshape(())

    return picked


for _name, _rule in (("median", _middle), ("nanmedian", _middle_without_nan)):
    composite(f"{_name}(Tensor input)", _whole(_rule), shared_by_all, name=f"{_name}_all", node=f"{_name.capitalize()}Backward0!",
              expose_as="-", dtypes=ANY)  # fmt: skip
    expose(_name, ops[f"{_name}_all"], ops[f"{_name}_dim"], result=make_return_type(_name, ("values", "indices")))
expose("mode", ops["mode_dim"], result=make_return_type("mode", ("values", "indices")))
