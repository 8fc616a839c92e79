"""Reading and writing at positions held in tensors: each with its transpose, which is again one of them."""

from __future__ import annotations

from pullback import _core
from pullback.numeric_limits import check_last
from pullback.primitives.family import fit, kernel, linear, multilinear
from pullback.primitives.registry import ANY, ops
from pullback.results import EXACT, Into
from pullback.trace.tracer import functions as f

linear("zeros_of(Tensor like, size[] size)", None, expose_as="_zeros_of", dtypes=ANY, shape_only=True)


def zeros(g, like):
    """Zeros of the shape of `like` in the type of g: needs the sizes of `like`, not its elements."""
    return f["_zeros_of"](g, like.shape)


# ---- gather and scatter ----

linear(
    "gather(Tensor input, int dim, Tensor index, *, bool sparse_grad=False)",
    lambda g, x, dim, index, sparse: f["scatter_add"](zeros(g, x), dim, index, g),
    dtypes=ANY,
    out=EXACT.but(apart="all"),
)


def _taken(g, dim, index, src):
    """The cotangent of a scattered source: what lies outside the index took no part."""
    g = f["gather"](g, dim, index)
    sizes = list(index.shape)
    for axis in range(src.ndim):
        if sizes[axis] != src.size(axis):
            end, sizes[axis] = sizes[axis], src.size(axis)
            g = f["_slice_backward"](g, sizes, axis, 0, end, 1)
    return g


multilinear(
    "scatter(Tensor input, int dim, Tensor index, Tensor src)",
    lambda g, x, dim, index, src: (f["_scatter_value"](g, dim, index, 0), None, _taken(g, dim, index, src)),
    expose_as="_scatter",
    dtypes=ANY,
    apart="all",
    out=EXACT.but(apart="part"),
)
linear(
    "scatter(Tensor input, int dim, Tensor index, Scalar value)",
    lambda g, x, dim, index, value: f["_scatter_value"](g, dim, index, 0),
    name="scatter_value",
    check_call=check_last,
    kernel="scatter_value",
    node="ScatterBackward1!",
    expose_as="_scatter_value",
    dtypes=ANY,
    apart="all",
    out=EXACT.but(apart="part"),
)
multilinear(
    "scatter_add(Tensor input, int dim, Tensor index, Tensor src)",
    lambda g, x, dim, index, src: (g, None, _taken(g, dim, index, src)),
    in_place=True,
    dtypes=ANY,
    apart="all",
    out=EXACT.but(apart="part"),
)


def _scatter_reduce_vjp(g, values, out):
    x, dim, index, src, how, include_self = values
    if how == "sum":
        g_x, g_src = g, f["gather"](g, dim, index)
    elif how == "mean":
        g_x, g_src = _scatter_mean_vjp(g, x, dim, index, src, include_self)
    elif how == "prod":
        g_x, g_src = _scatter_prod_vjp(g, x, dim, index, src, out, include_self)
    else:
        g_x, g_src = _scatter_extremum_vjp(g, x, dim, index, src, out, include_self)
    if not include_self:
        g_x = f["_scatter_value"](g_x, dim, index, 0)
    return g_x, None, _over(g_src, index, src)


def _over(g, index, src):
    sizes = list(index.shape)
    for axis in range(src.ndim):
        if sizes[axis] != src.size(axis):
            end, sizes[axis] = sizes[axis], src.size(axis)
            g = f["_slice_backward"](g, sizes, axis, 0, end, 1)
    return g


def _corner(src, index):
    """The part of the source that the index reaches."""
    for axis in range(src.ndim):
        if src.size(axis) != index.size(axis):
            src = f["_slice"](src, axis, 0, index.size(axis), 1)
    return src


def _scatter_mean_vjp(g, x, dim, index, src, include_self):
    ones = f["_full_like"](index, 1)
    counts = f["scatter_add"](
        f["_cast"](f["_zeros_of"](index, g.shape), g.dtype), dim, index, f["_cast"](ones, g.dtype)
    )
    counts = counts + 1 if include_self else f["maximum"](counts, 1)
    shared = g / counts
    return shared, f["gather"](shared, dim, index)


def _scatter_extremum_vjp(g, x, dim, index, src, out, include_self):
    """Shared evenly among all that hold the extreme value."""
    src = _corner(src, index)
    best = f["gather"](out, dim, index)
    hit = f["_cast"](src == best, g.dtype)
    own = f["_cast"](x == out, g.dtype)
    if not include_self:
        own = f["_scatter_value"](own, dim, index, 0)
    shared = g / f["maximum"](f["scatter_add"](own, dim, index, hit), 1)
    return shared * own, f["gather"](shared, dim, index) * hit


def _scatter_prod_vjp(g, x, dim, index, src, out, include_self):
    """Each factor's cotangent is the product of the others: by division, around a factor that is 0."""
    src = _corner(src, index)
    own = f["where"](x == 0, 1.0, x)
    g_x = g * f["_scatter_reduce"](own, dim, index, src, "prod", include_self) / own
    src_zero = src == 0
    zeros_at = f["scatter_add"](f["_full_like"](g, 0), dim, index, f["_cast"](src_zero, g.dtype))
    alone = src_zero & (f["gather"](zeros_at, dim, index) == 1)
    rest = f["_scatter_reduce"](x, dim, index, f["where"](alone, 1.0, src), "prod", include_self)
    by_division = f["gather"](g * out, dim, index) / f["where"](src_zero, 1.0, src)
    return g_x, f["where"](alone, f["gather"](g * rest, dim, index), by_division)


kernel(
    "scatter_reduce(Tensor input, int dim, Tensor index, Tensor src, str{sum|prod|mean|amax|amin} reduce, "
    "bool include_self=True)",
    _scatter_reduce_vjp,
    expose_as="_scatter_reduce",
    dtypes=ANY,
)
kernel(
    "scatter_reduce(Tensor input, int dim, Tensor index, Tensor src, str{sum|prod|mean|amax|amin} reduce, *, "
    "bool include_self=True)",
    _scatter_reduce_vjp,
    name="scatter_reduce_named",
    in_place=True,
    node="ScatterReduceBackward0!",
    dtypes=ANY,
    apart="all",
)


# ---- along one axis ----

linear(
    "index_select(Tensor input, int dim, Tensor index)",
    lambda g, x, dim, index: f["index_add"](zeros(g, x), dim, index, g),
    dtypes=ANY,
    out=Into("index_select(): self and result must have the same scalar type", apart="all"),
)


def _index_add_vjp(g, x, dim, index, source, alpha):
    part = f["index_select"](g, dim, index)
    if source.ndim < part.ndim:
        part = f["reshape"](part, source.shape)
    return g, None, part * alpha


multilinear(
    "index_add(Tensor input, int dim, Tensor index, Tensor source, *, Scalar alpha=1)",
    _index_add_vjp,
    in_place=True,
    dtypes=ANY,
    apart="all",
    out=EXACT.but(apart="part"),
)


def _index_copy_vjp(g, x, dim, index, source):
    part = f["index_select"](g, dim, index)
    if source.ndim < part.ndim:
        part = f["reshape"](part, source.shape)
    return f["_index_fill"](g, dim, index, 0), None, part


multilinear(
    "index_copy(Tensor input, int dim, Tensor index, Tensor source)",
    _index_copy_vjp,
    in_place=True,
    dtypes=ANY,
    apart="all",
    out=EXACT.but(apart="part"),
)
linear(
    "index_fill(Tensor input, int dim, Tensor index, Scalar value)",
    lambda g, x, dim, index, value: f["_index_fill"](g, dim, index, 0),
    expose_as="_index_fill",
    dtypes=ANY,
    out=False,
    apart="all",
)

# ---- by several index tensors at once ----


def _index_put_vjp(g, values, out):
    _, indices, source, accumulate = values
    g_x = g if accumulate else f["_index_put"](g, indices, f["_zeros_of"](g, ()), False)
    blanks = [None for i in indices if i is not None]
    return (g_x, *blanks, fit(f["_index"](g, indices), source))


linear(
    "index(Tensor input, Tensor?[] indices)",
    lambda g, x, indices: f["_index_put"](zeros(g, x), indices, g, True),
    expose_as="_index",
    dtypes=ANY,
)
kernel(
    "index_put(Tensor input, Tensor?[] indices, Tensor values, bool accumulate=False)",
    _index_put_vjp,
    expose_as="_index_put",
    dtypes=ANY,
    apart="all",
)
_index_put_in_place = _core.op_function(
    "index_put_", [(ops["index_put"].signature.text, ops["index_put"].handle)], True, None, ""
)
f["_index_put_"] = _index_put_in_place

# ---- by positions in the flattened tensor ----

linear(
    "take(Tensor input, Tensor index)",
    lambda g, x, index: f["put"](zeros(g, x), index, g, True),
    dtypes=ANY,
    out=Into(
        "take(): self and out expected to have the same dtype, but got self.dtype = {Result} "
        "and out.dtype = {Out}",
        apart="all",
    ),
)
linear(
    "masked_select(Tensor input, Tensor index)",
    lambda g, x, index: f["put"](zeros(g, x), index, g, False),
    name="masked_select_at",
    kernel="take",
    expose_as="_take_selected",
    dtypes=ANY,
)


def _put_vjp(g, x, index, source, accumulate):
    g_x = g if accumulate else f["put"](g, index, zeros(g, source), False)
    return g_x, None, f["reshape"](f["take"](g, index), source.shape)


multilinear(
    "put(Tensor input, Tensor index, Tensor source, bool accumulate=False)",
    _put_vjp,
    in_place=True,
    function=True,
    dtypes=ANY,
    out=False,
    apart="all",
)


def _masked_scatter_vjp(g, x, mask, source):
    """The n-th element that the mask takes came from the source's n-th one."""
    mask = f["expand"](mask, g.shape)
    flat = f["reshape"](mask, (g.numel(),))
    place = f["maximum"](f["cumsum"](f["_cast"](flat, _core.int64), 0) - 1, 0)
    taken = f["reshape"](f["where"](mask, g, 0.0), (g.numel(),))
    part = f["_index_put"](f["_zeros_of"](g, (source.numel(),)), [f["where"](flat, place, 0)], taken, True)
    return fit(f["where"](mask, 0.0, g), x), None, f["reshape"](part, source.shape)


multilinear(
    "masked_scatter(Tensor input, Tensor mask, Tensor source)",
    _masked_scatter_vjp,
    in_place=True,
    function=True,
    dtypes=ANY,
    out=False,
    apart=None,
)

# ---- look-ups ----


def _frequencies(index, num_weights, like):
    ones = f["_cast"](f["_full_like"](index, 1), like.dtype)
    counts = f["_index_put"](f["_zeros_of"](like, (num_weights,)), [index], ones, True)
    return f["_index"](counts, [index])


def _embedding_backward_transpose(g, grad, index, num_weights, padding_idx, by_frequency):
    out = f["embedding"](g, index, padding_idx)
    if padding_idx >= 0:
        out = f["where"](f["unsqueeze"](index == padding_idx, index.ndim), 0.0, out)
    if by_frequency:
        out = out / f["unsqueeze"](_frequencies(index, num_weights, g), index.ndim)
    return out


linear(
    "embedding(Tensor weight, Tensor indices, int padding_idx=-1, bool scale_grad_by_freq=False, "
    "bool sparse=False)",
    lambda g, w, index, padding_idx, by_frequency, sparse: f["_embedding_backward"](
        g, index, w.size(0), padding_idx, by_frequency
    ),
    method=False,
    out=False,
    dtypes=ANY,
)
linear(
    "embedding_backward(Tensor grad, Tensor indices, size num_weights, int padding_idx, bool "
    "scale_grad_by_freq)",
    _embedding_backward_transpose,
    expose_as="_embedding_backward",
)
linear("one_hot(Tensor input, size num_classes)", None, expose_as="_one_hot")
