"""How each primitive treats a batch: a rule a family where one will do, and one an op where it will not.

A rule gets (batch, instruction, *values): the declaration's arguments with batched tensors in them. It gives
the op's results with the samples along axis 0. An op without a rule is run sample by sample.
"""

from __future__ import annotations

from pullback import _core
from pullback.primitives.family import Elementwise
from pullback.primitives.registry import ops
from pullback.trace import batching
from pullback.trace.rules import NoBatchRule
from pullback.trace.tracer import DTYPES, Tracer
from pullback.trace.tracer import functions as f

AXES = ("dim", "dims", "dim0", "dim1", "dim2", "dimension")
_rules: dict = {}


def rule(*names):
    def register(function):
        for name in names:
            _rules[name] = function
        return function

    return register


def find(op):
    """The rule of an op: its own, its family's, or the one for ops along axes."""
    if op.name in _rules:
        return _rules[op.name]
    if isinstance(op, Elementwise):
        return elementwise
    if any(p.name in AXES and p.kind == "int" for p in op.signature.parameters):
        return along_axes
    raise NoBatchRule(op.name)


batching.find_rule = find


# ---- element by element ----


def _common_dtype(operands):
    metas = [x.meta if isinstance(x, Tracer) else (x.kind,) for x in operands]
    return DTYPES[_core.infer(ops["add"].handle, metas, [])[0][0]]


def elementwise(b, i, *values):
    """Axes of size 1 bring the samples' axes into line; the type is that of one sample's operands."""
    tensors = [v for v in values if isinstance(v, Tracer)]
    rank = max(b.rank(t) for t in tensors)
    first = 1 if i.op.name == "where" else 0
    if len({t.dtype for t in tensors[first:]}) > 1:
        common = _common_dtype(i.operands[first:])
        values = [
            _typed(b, v, common) if k >= first and isinstance(v, Tracer) else v for k, v in enumerate(values)
        ]
    lined = [b.lines_up(v, rank) if isinstance(v, Tracer) else v for v in values]
    return b.record(i.op, *lined)


def _typed(b, t, dtype):
    if t.dtype == dtype:
        return t
    out = f["_cast"](t, dtype)
    if b.is_many(t):
        b.many.add(out)
    return out


@rule("clone", "full_like_scalar", "first_power", "zeroth_power", "alias")
def same(b, i, x, *values):
    return b.record(i.op, x, *values)


@rule("zeros_of")
def zeros_of(b, i, like, size):
    return b.record(i.op, like, (b.size, *size))


# ---- along axes ----


def _shift(dim, rank):
    return dim % rank + 1


def along_axes(b, i, *values):
    """All tensors batched, axes counted one further, an axis of size 1 in the place of a scalar's missing
    one."""
    rank = max(len(x.meta[1]) for x in i.operands if isinstance(x, Tracer))
    out = []
    for p, v in zip(i.op.signature.parameters, values):
        if isinstance(v, Tracer):
            v = b.in_front(v)
            v = b.one_axis(v) if rank == 0 else v
        elif p.kind == "int" and p.name in AXES:
            v = _shift_all(p, v, max(rank, 1))
        elif p.name in ("size", "input_sizes"):
            raise NoBatchRule(i.op.name)
        out.append(v)
    return b.record(i.op, *out)


def _shift_all(p, v, rank):
    if p.list:
        return tuple(_shift(d, rank) for d in v) or tuple(range(1, rank + 1))
    if v is None:
        raise NoBatchRule(p.name)
    return _shift(v, rank)


@rule("argmax", "argmin")
def arg_extremum(b, i, x, dim, keepdim):
    if dim is not None or b.rank(x) == 0:
        return along_axes(b, i, x, dim or 0, keepdim)
    out = b.record(i.op, f["reshape"](x, (b.size, x.numel() // b.size)), 1, False)
    return f["reshape"](out[0], (b.size,) + (1,) * b.rank(x)) if keepdim else out


@rule("max_all", "min_all")
def extremum_of_all(b, i, x):
    by_axis = ops["amax" if i.op.name == "max_all" else "amin"]
    return b.record(by_axis, f["reshape"](x, (b.size, x.numel() // b.size)), (1,), False)


@rule("flip", "roll")
def moves(b, i, x, *values):
    *shifts, dims = values
    rank = b.rank(x)
    if rank == 0:
        return x
    if i.op.name == "roll" and not dims:
        flat = f["reshape"](x, (b.size, x.numel() // b.size))
        return f["reshape"](b.record(i.op, flat, *shifts, (1,))[0], x.shape)
    return b.record(i.op, x, *shifts, tuple(_shift(d, rank) for d in dims))


@rule("tril", "triu")
def triangle(b, i, x, diagonal):
    return b.record(i.op, x, diagonal)


# ---- views and their transposes ----


@rule("sum_to")
def sum_to(b, i, x, size):
    lead = b.rank(x) - len(size)
    return f["reshape"](f["_sum_to"](x, (b.size,) + (1,) * lead + tuple(size)), (b.size, *size))


@rule("expand")
def expand(b, i, x, size, implicit):
    return b.record(i.op, b.lines_up(x, len(size)), (b.size, *size), implicit)


@rule("view", "reshape", "reshape_alias")
def reshape(b, i, x, size):
    return f["reshape"](x, (b.size, *size))


@rule("permute")
def permute(b, i, x, dims):
    rank = b.rank(x)
    return b.record(i.op, x, (0, *(_shift(d, rank) for d in dims)))


@rule("transpose", "transpose_in_place")
def transpose(b, i, x, dim0, dim1):
    rank = b.rank(x)
    return x if rank == 0 else b.record(i.op, x, _shift(dim0, rank), _shift(dim1, rank))


@rule(
    "squeeze", "squeeze_in_place", *(f"squeeze_{k}{p}" for k in ("all", "several") for p in ("", "_in_place"))
)
def squeeze(b, i, x, dims):
    rank = b.rank(x)
    return x if rank == 0 else b.record(ops["squeeze"], x, tuple(_shift(d, rank) for d in dims))


@rule("unsqueeze", "unsqueeze_in_place")
def unsqueeze(b, i, x, dim):
    return b.record(i.op, x, _shift(dim, b.rank(x) + 1))


@rule("select", "slice", "unfold")
def along_one(b, i, x, dim, *values):
    return b.record(i.op, b.one_axis(x), _shift(dim, max(b.rank(x), 1)), *values)


@rule("diagonal")
def diagonal(b, i, x, offset, dim1, dim2):
    rank = b.rank(x)
    return b.record(i.op, x, offset, _shift(dim1, rank), _shift(dim2, rank))


@rule("select_backward", "slice_backward", "unfold_backward")
def along_one_backward(b, i, g, sizes, dim, *values):
    return b.record(i.op, g, (b.size, *sizes), _shift(dim, len(sizes)), *values)


@rule("diagonal_backward")
def diagonal_backward(b, i, g, sizes, offset, dim1, dim2):
    rank = len(sizes)
    return b.record(i.op, g, (b.size, *sizes), offset, _shift(dim1, rank), _shift(dim2, rank))


@rule("repeat")
def repeat(b, i, x, repeats):
    return b.record(i.op, b.lines_up(x, len(repeats)), (1, *repeats))


@rule("cat")
def cat(b, i, tensors, dim):
    rank = max(b.rank(t) for t in tensors)
    if rank > 1 and any(b.rank(t) == 1 for t in tensors):
        raise NoBatchRule("cat of torch's legacy empty tensors")
    return b.record(i.op, [b.in_front(t) for t in tensors], _shift(dim, rank))


def _apart(sizes, strides, window, offset):
    """How far apart samples lie that keep clear of each other, with a window that may begin before them."""
    apart = 1 + (abs(offset) if isinstance(offset, int) else offset.maximum(-offset))
    for s, step in (*zip(sizes, strides), *window):
        apart = s * step + apart
    return apart


@rule("as_strided_backward")
def as_strided_backward(b, i, g, base_sizes, base_strides, size, stride, offset):
    apart = _apart(base_sizes, base_strides, zip(size, stride), offset)
    base = (b.size, *base_sizes), (apart, *base_strides)
    return b.record(i.op, b.in_front(g), *base, (b.size, *size), (apart, *stride), offset)


@rule("as_strided_take")
def as_strided_take(b, i, x, base_strides, size, stride, offset):
    x = b.in_front(x)
    base_sizes = [x.size(k) for k in range(1, x.ndim)]
    apart = _apart(base_sizes, base_strides, zip(size, stride), offset)
    return b.record(i.op, x, (apart, *base_strides), (b.size, *size), (apart, *stride), offset)


@rule("zero_slices")
def zero_slices(b, i, g, base_strides, size, stride, offset):
    """Which elements of the base the region has, and zeros in their place."""
    sizes = [g.size(k) for k in range(1, g.ndim)]
    ones = f["_full_like"](f["_zeros_of"](g, tuple(size)), 1)
    region = f["_as_strided_backward"](ones, tuple(sizes), base_strides, size, stride, offset)
    return f["where"](region != 0, 0.0, g)


# ---- products ----


def _rows(b, x):
    """(samples, n, k) as (samples * n, k)."""
    return f["reshape"](x, (b.size * x.size(1), x.size(2)))


@rule("mm")
def mm(b, i, x, y):
    if b.is_many(x) and not b.is_many(y):
        return f["reshape"](f["mm"](_rows(b, x), y), (b.size, x.size(1), y.size(1)))
    return f["bmm"](b.in_front(x), b.in_front(y))


@rule("bmm")
def bmm(b, i, x, y):
    x, y = b.in_front(x), b.in_front(y)
    flat = [f["reshape"](t, (b.size * t.size(1), t.size(2), t.size(3))) for t in (x, y)]
    return f["reshape"](f["bmm"](*flat), (b.size, x.size(1), x.size(2), y.size(3)))


@rule("mv")
def mv(b, i, x, v):
    if not b.is_many(x):  # (n, k) with (samples, k)
        return f["mm"](v, f["transpose"](x, 0, 1))
    if not b.is_many(v):
        return f["reshape"](f["mv"](_rows(b, x), v), (b.size, x.size(1)))
    return f["_squeeze"](f["bmm"](x, f["unsqueeze"](v, 2)), (2,))


@rule("dot")
def dot(b, i, x, y):
    if b.is_many(x) and b.is_many(y):
        both = f["bmm"](f["unsqueeze"](x, 1), f["unsqueeze"](y, 2))
        return f["reshape"](both, (b.size,))
    return f["mv"](x, y) if b.is_many(x) else f["mv"](y, x)


@rule("addmm_bias", "addmm_layer")
def addmm(b, i, bias, x, y):
    """One product for all samples where they share the right factor and the bias is a row."""
    if b.is_many(x) and not b.is_many(y) and not b.is_many(bias) and bias.ndim == 1:
        return f["reshape"](b.record(i.op, bias, _rows(b, x), y)[0], (b.size, x.size(1), y.size(1)))
    product = mm(b, i, x, y)
    b.many.add(product)
    return f["add"](b.lines_up(bias, 2), product)


# ---- positions held in tensors ----


@rule("gather", "scatter", "scatter_value", "scatter_add", "scatter_reduce", "scatter_reduce_named")
def gather(b, i, x, dim, index, *values):
    rank = max(b.rank(x), 1)
    values = [b.one_axis(v) if isinstance(v, Tracer) else v for v in values]
    return b.record(i.op, b.one_axis(x), _shift(dim, rank), b.one_axis(index), *values)


def _spread_index(b, index, like, axis):
    """An index a sample, along one axis of (samples, ...), over all the other axes."""
    index = b.one_axis(index)
    shape = [index.size(1) if k == axis else 1 for k in range(1, like.ndim)]
    sizes = [index.size(1) if k == axis else like.size(k) for k in range(1, like.ndim)]
    return f["expand"](f["reshape"](index, (b.size, *shape)), (b.size, *sizes))


@rule("index_select", "index_fill", "index_add", "index_copy")
def index_select(b, i, x, dim, index, *values):
    """A shared index is the same op one axis further; an index a sample is a gather or a scatter."""
    x = b.one_axis(x)
    axis = _shift(dim, x.ndim - 1)
    values = [b.one_axis(v) if isinstance(v, Tracer) else v for v in values]
    if not b.is_many(index):
        return b.record(i.op, x, axis, index, *values)
    index = _spread_index(b, index, x, axis)
    name = i.op.name
    if name == "index_select":
        return f["gather"](x, axis, index)
    if name == "index_fill":
        return f["_scatter_value"](x, axis, index, values[0])
    if name == "index_copy":
        return f["_scatter"](x, axis, index, values[0])
    return f["scatter_add"](x, axis, index, values[0] * values[1])


def _sample_numbers(b, like):
    """0, 1, ... a sample, as an index of the shape (samples, 1, ..., 1) of `like`."""
    ones = f["_full_like"](f["_zeros_of"](like, (b.size,)), 1)
    return f["reshape"](f["cumsum"](ones, 0) - 1, (b.size,) + (1,) * (like.ndim - 1))


@rule("index")
def index(b, i, x, indices):
    """With the samples' numbers as a first index, all index axes come to the front; they move back after."""
    given = [t for t in indices if t is not None]
    if any(t.dtype in (_core.bool, _core.uint8) for t in given):
        raise NoBatchRule("a mask a sample: results of different sizes")
    rank = max(b.rank(t) for t in given)
    places = [k for k, t in enumerate(indices) if t is not None]
    together = places == list(range(places[0], places[-1] + 1))
    lined = [None if t is None else b.lines_up(b.in_front(t), rank) for t in indices]
    numbers = _sample_numbers(b, next(t for t in lined if t is not None))
    out = b.record(i.op, b.in_front(x), [numbers, *lined])[0]
    before = places[0] if together else 0
    if not before:
        return out
    order = [0, *range(1 + rank, 1 + rank + before), *range(1, 1 + rank), *range(1 + rank + before, out.ndim)]
    return f["permute"](out, tuple(order))


@rule("index_put")
def index_put(b, i, x, indices, values, accumulate):
    given = [t for t in indices if t is not None]
    if indices[0] is None or any(t.dtype in (_core.bool, _core.uint8) for t in given):
        raise NoBatchRule("index_put at positions behind a slice, or at a mask")
    rank = max(b.rank(t) for t in given)
    lined = [None if t is None else b.lines_up(b.in_front(t), rank) for t in indices]
    numbers = _sample_numbers(b, lined[0])
    x = b.in_front(x)
    inner = rank + x.ndim - 1 - len(given)
    return b.record(i.op, x, [numbers, *lined], b.lines_up(b.in_front(values), inner), accumulate)


@rule("take")
def take(b, i, x, index):
    x, index = b.in_front(x), b.in_front(index)
    count = x.numel() // b.size
    flat = f["reshape"](x, (b.size, count))
    index = f["where"](index < 0, index + count, index)
    found = f["gather"](flat, 1, f["reshape"](index, (b.size, index.numel() // b.size)))
    return f["reshape"](found, index.shape)


@rule("one_hot")
def one_hot(b, i, x, classes):
    return b.record(i.op, x, classes)


# ---- the negative log likelihood, a sum over rows that are weighted and may be left out ----


def _picked(b, x, target, weight, ignore_index):
    """The axis of the classes; the positions that are asked for along it, and their weights."""
    axis = 1 if b.rank(x) == 1 else 2
    x, target = b.in_front(x), f["unsqueeze"](b.in_front(target), axis)
    kept = f["ne"](target, ignore_index)
    target = f["where"](kept, target, 0)
    w = f["_cast"](kept, x.dtype)
    if weight is not None:
        shape = [x.size(k) if k in (0, axis) else 1 for k in range(x.ndim)]
        weight = f["expand"](f["reshape"](b.in_front(weight), shape), x.shape)
        w = w * f["gather"](weight, axis, target)
    return axis, x, target, w


def _per_sample(t):
    return f["sum"](t, tuple(range(1, t.ndim)))


@rule("nll_loss_forward")
def nll_loss(b, i, x, target, weight, reduction, ignore_index):
    axis, x, target, w = _picked(b, x, target, weight, ignore_index)
    losses, total = -(w * f["gather"](x, axis, target)), _per_sample(w)
    if reduction == 0:
        return f["_squeeze"](losses, (axis,)), f["_full_like"](total, 0)
    loss = _per_sample(losses)
    return loss / total if reduction == 1 else loss, total


@rule("nll_loss_backward")
def nll_loss_backward(b, i, g, x, target, weight, total, reduction, ignore_index):
    axis, x, target, w = _picked(b, x, target, weight, ignore_index)
    g = b.in_front(g)
    if reduction == 0:
        g = f["unsqueeze"](g, axis)
    else:
        g = g / b.in_front(total) if reduction == 1 else g
        g = f["reshape"](g, (b.size,) + (1,) * (x.ndim - 1))
    return f["scatter_add"](f["_full_like"](x, 0), axis, target, f["expand"](-(w * g), target.shape))


# ---- the same per sample as for all, with positions moved on from sample to sample ----


def _shifted(b, index, step):
    """Positions in (samples * step) from positions in `step`: negative ones count from a sample's end."""
    index = b.in_front(index)
    index = f["where"](index < 0, index + step, index)
    return index + _sample_numbers(b, index) * step


@rule("put")
def put(b, i, x, index, source, accumulate):
    x = b.in_front(x)
    index = _shifted(b, index, x.numel() // b.size)
    return b.record(i.op, x, index, b.in_front(source), accumulate)


@rule("embedding")
def embedding(b, i, weight, indices, *options):
    if not b.is_many(weight):
        return b.record(i.op, weight, indices, *options)
    rows = f["reshape"](weight, (b.size * weight.size(1), weight.size(2)))
    return b.record(ops["index"], rows, [_shifted(b, indices, weight.size(1))])


@rule("embedding_backward")
def embedding_backward(b, i, g, indices, rows, padding, by_frequency):
    """A table a sample, filled row by row: what a padding row gets is thrown away."""
    g, indices = b.in_front(g), b.in_front(indices)
    width = g.size(g.ndim - 1)
    if padding >= 0:
        g = f["where"](f["unsqueeze"](indices == padding, indices.ndim), 0.0, g)
    flat = f["reshape"](_shifted(b, indices, rows), (indices.numel(),))
    g = f["reshape"](g, (indices.numel(), width))
    if by_frequency:
        counts = f["_zeros_of"](g, (b.size * rows,))
        counts = f["index_add"](counts, 0, flat, f["_full_like"](f["select"](g, 1, 0), 1))
        g = g / f["unsqueeze"](f["index_select"](counts, 0, flat), 1)
    filled = f["index_add"](f["_zeros_of"](g, (b.size * rows, width)), 0, flat, g)
    return f["reshape"](filled, (b.size, rows, width))
