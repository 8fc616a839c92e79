"""Views of a tensor's elements, and putting tensors together: all linear, each with its transpose."""

from __future__ import annotations

import sys

from pullback.primitives.family import kernel, linear, sum_to, view
from pullback.primitives.registry import ANY
from pullback.results import JOINED
from pullback.trace.tracer import functions as f

view("alias(Tensor input)", lambda g, x: g, expose_as="_alias", dtypes=ANY)
view("expand(Tensor input, size[]... size, bool implicit=False)", lambda g, x, size, implicit: sum_to(g, x))
view("view(Tensor input, size[]... size)", lambda g, x, size: f["reshape"](g, x.shape), expose_as="_view")
view(
    "reshape(Tensor input, size[]... shape)",
    lambda g, x, shape: f["reshape"](g, x.shape),
    node="ViewBackward0!",
)
view("permute(Tensor input, int[]... dims)", lambda g, x, dims: f["permute"](g, _inverse(dims)))
view("transpose(Tensor input, int dim0, int dim1)", lambda g, x, a, b: f["transpose"](g, a, b))
view(
    "squeeze(Tensor input, int[] dim)",
    lambda g, x, dim: f["reshape"](g, x.shape),
    expose_as="_squeeze",
    node="SqueezeBackward1!",
)
for _name, _number in (("all", 0), ("several", 2)):
    view(
        "squeeze(Tensor input, int[] dim)",
        lambda g, x, dim: f["reshape"](g, x.shape),
        name=f"squeeze_{_name}",
        expose_as=f"_squeeze_{_name}",
        node=f"SqueezeBackward{_number}!",
    )
view(
    "unsqueeze(Tensor input, int dim)",
    lambda g, x, dim: f["_squeeze"](g, (dim if dim >= 0 else dim + x.ndim + 1,)),
    in_place=False,
)
view(
    "select(Tensor input, int dim, size index)",
    lambda g, x, dim, index: f["_select_backward"](g, x.shape, dim, index),
)
view(
    "slice(Tensor input, int dim, size start, size end, size step)",
    lambda g, x, dim, start, end, step: f["_slice_backward"](g, x.shape, dim, start, end, step),
    expose_as="_slice",
)
view(
    "diagonal(Tensor input, size offset=0, int dim1=0, int dim2=1)",
    lambda g, x, offset, dim1, dim2: f["_diagonal_backward"](g, x.shape, offset, dim1, dim2),
)
view(
    "unfold(Tensor input, int dimension, size size, size step)",
    lambda g, x, dim, size, step: f["_unfold_backward"](g, x.shape, dim, size, step),
)
view(
    "as_strided_of_base(Tensor input, size[] size, size[] stride, size offset, size[] base_stride=[])",
    lambda g, x, size, stride, offset, base: _from_memory(g, x, base, size, stride, offset),
    node="AsStridedBackward0!",
    expose_as="_as_strided_of_base",
)


def _inverse(dims):
    n = len(dims)
    dims = [d % n for d in dims]
    return tuple(dims.index(i) for i in range(n))


def _strides(x):
    """The layout of a base tensor, contiguous as the gradient that flows to it."""
    out, step = [], 1
    for s in reversed(x.shape):
        out.append(step)
        step = s * step
    return tuple(reversed(out))


def _from_memory(g, x, base, size, stride, offset):
    """The gradient of each place in memory, shared by the elements of x that lie there."""
    if not base:
        return f["_as_strided_backward"](g, x.shape, _strides(x), size, stride, offset)
    out = f["_as_strided_backward"](g, x.shape, base, size, stride, offset)
    if not _may_overlap(x.shape, base):
        return out
    return out / f["_as_strided_backward"](f["_full_like"](out, 1), x.shape, base, x.shape, base, 0)


def _may_overlap(sizes, strides):
    """Whether elements may lie at one place, as torch judges: a step no longer than what is below it."""
    axes = [(step, n) for n, step in zip(sizes, strides, strict=True) if n != 1]
    if any(n == 0 for _, n in axes):
        return False
    reach = 0
    for step, n in sorted(axes, key=lambda axis: axis[0]):
        if step <= reach:
            return True
        reach = (n - 1) * step + reach
    return False


# ---- the transposes of views that leave elements out ----

linear(
    "select_backward(Tensor grad, size[] input_sizes, int dim, size index)",
    lambda g, x, sizes, dim, index: f["select"](g, dim, index),
    expose_as="_select_backward",
)
linear(
    "slice_backward(Tensor grad, size[] input_sizes, int dim, size start, size end, size step)",
    lambda g, x, sizes, dim, start, end, step: f["_slice"](g, dim, start, end, step),
    expose_as="_slice_backward",
)
linear(
    "diagonal_backward(Tensor grad, size[] input_sizes, size offset, int dim1, int dim2)",
    lambda g, x, sizes, offset, dim1, dim2: f["diagonal"](g, offset, dim1, dim2),
    expose_as="_diagonal_backward",
)
linear(
    "unfold_backward(Tensor grad, size[] input_sizes, int dim, size size, size step)",
    lambda g, x, sizes, dim, size, step: f["unfold"](g, dim, size, step),
    expose_as="_unfold_backward",
)
linear(
    "as_strided_backward(Tensor grad, size[] base_sizes, size[] base_strides, size[] size, size[] stride, "
    "size offset)",
    # The same with the places of both exchanged: what lies at one place is added up on either side.
    lambda g, x, bs, bst, size, stride, offset: f["_as_strided_backward"](g, size, stride, bs, bst, -offset),
    expose_as="_as_strided_backward",
)
linear(
    "as_strided_take(Tensor input, size[] base_strides, size[] size, size[] stride, size offset)",
    lambda g, x, bst, size, stride, offset: f["_as_strided_backward"](g, x.shape, bst, size, stride, offset),
    expose_as="_as_strided_take",
)

# An in-place change of a view, seen from its base: the base with a region replaced.
kernel(
    "copy_slices(Tensor base, Tensor value, size[] size, size[] stride, size offset, size[] base_stride=[])",
    lambda g, v, out: (
        f["_zero_slices"](g, v[5] or _strides(v[0]), v[2], v[3], v[4]),
        f["_as_strided_take"](g, v[5] or _strides(v[0]), v[2], v[3], v[4]),
    ),
    node="torch::autograd::CopySlices!",
    expose_as="_copy_slices",
)
linear(
    "zero_slices(Tensor grad, size[] base_strides, size[] size, size[] stride, size offset)",
    lambda g, x, bst, size, stride, offset: f["_zero_slices"](g, bst, size, stride, offset),
    expose_as="_zero_slices",
)

# ---- copies and assemblies ----

linear("flip(Tensor input, int[]... dims)", lambda g, x, dims: f["flip"](g, dims), dtypes=ANY, out=False)
linear(
    "roll(Tensor input, size[] shifts, int[] dims=[])",
    lambda g, x, shifts, dims: f["_roll"](g, tuple(-s for s in shifts), dims),
    expose_as="_roll",
)
linear("tril(Tensor input, size diagonal=0)", lambda g, x, diagonal: f["tril"](g, diagonal), in_place=True)
linear("triu(Tensor input, size diagonal=0)", lambda g, x, diagonal: f["triu"](g, diagonal), in_place=True)
linear("repeat(Tensor input, size[]... repeats)", lambda g, x, repeats: _fold_repeats(g, x, repeats))


def _fold_repeats(g, x, repeats):
    """Sums the copies: (r0 n0, r1 n1) as (r0, n0, r1, n1), reduced over the r's that are not 1."""
    lead = len(repeats) - x.ndim
    split, copies = [], []
    for r, n in zip(repeats, (1,) * lead + x.shape):
        if not (isinstance(r, int) and r == 1):
            copies.append(len(split))
            split.append(r)
        split.append(n)
    if copies:
        g = f["sum"](f["reshape"](g, split), tuple(copies))
    return f["reshape"](g, x.shape)


def _split_cat(g, values, out):
    tensors, dim = values
    dim = dim % out.ndim if out.ndim else dim
    # Cut off one after another: offsets as sums over all before would make each trace quadratic.
    parts, rest = [], g
    for t in tensors:
        if t.ndim != out.ndim:  # torch's legacy: an empty tensor of one axis takes no part
            parts.append(f["_full_like"](t, 0))
            continue
        part = f["_slice"](rest, dim, 0, t.size(dim), 1)
        rest = f["_slice"](rest, dim, t.size(dim), sys.maxsize, 1)
        parts.append(part if part.dtype == t.dtype else f["_cast"](part, t.dtype))
    return parts


kernel("cat(Tensor[] tensors, int dim=0)", _split_cat, expose_as="cat", method=False, dtypes=ANY, out=JOINED)
linear("full_like_scalar(Tensor like, Scalar value)", lambda g, x, value: None, expose_as="_full_like",
       shape_only=True)  # fmt: skip
