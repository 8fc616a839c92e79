"""Indexing functions whose arguments need preparing in Python, and those whose shapes depend on elements."""

from __future__ import annotations

from pullback import _core
from pullback.arguments import all_tensors, kind_name, number, require_tensors
from pullback.composites.broadcasting import pair_shape
from pullback.composites.elementwise_more import scalar_name
from pullback.composites.shape import function, wrap
from pullback.creation import arange
from pullback.primitives.family import composite
from pullback.primitives.registry import ANY, expose, in_place_form, methods, ops, public
from pullback.results import EXACT, Into, with_out
from pullback.trace.tracer import Tracer
from pullback.trace.tracer import functions as f

# ---- scatter: a tensor or a number, set or combined ----


def _scatter_combined(x, dim, index, src, reduce):
    if not isinstance(src, Tracer):
        src = f["_cast"](f["_full_like"](index, src), x.dtype)
    if reduce == "add":
        return f["scatter_add"](x, dim, index, src)
    return f["_scatter_reduce"](x, dim, index, src, "prod", True)


for _kind, _value in (("Tensor", "src"), ("Scalar", "value")):
    composite(
        f"scatter(Tensor input, int dim, Tensor index, {_kind} {_value}, *, str{{add|multiply}} reduce)",
        _scatter_combined,
        name=f"scatter_{_value}_combined",
        node="torch::autograd::NotImplemented!",  # torch has no rule for it
        out=EXACT.but(apart="part"),
        expose_as="-",
        dtypes=ANY,
        apart="all",
    )
composite(
    "scatter(Tensor input, int dim, Tensor index, Scalar src)",
    lambda x, dim, index, src: f["_scatter_value"](x, dim, index, src),
    name="scatter_number",
    node="ScatterBackward1!",
    expose_as="-",
    dtypes=ANY,
    apart="all",
    out=EXACT.but(apart="part"),
)
expose(
    "scatter",
    ops["scatter"],
    ops["scatter_value"],
    ops["scatter_number"],
    ops["scatter_src_combined"],
    ops["scatter_value_combined"],
    in_place=True,
)


# ---- filling along one axis ----


def _index_fill_tensor(x, dim, index, value):
    if value.ndim:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    filled = f["_index_fill"](f["_cast"](f["_zeros_of"](x, x.shape), _core.float32), dim, index, 1)
    return f["where"](filled == 1, value if value.dtype == x.dtype else f["_cast"](value, x.dtype), x)


composite(
    "index_fill(Tensor input, int dim, Tensor index, Tensor value)",
    _index_fill_tensor,
    name="index_fill_tensor",
    node="IndexFillBackward1!",
    expose_as="-",
    dtypes=ANY,
    out=False,
    apart=None,
)
expose("index_fill", ops["index_fill_tensor"], ops["index_fill"], in_place=True)


def fill_diagonal_(self, fill_value, wrap=False):
    """Writes a number onto the main diagonal; with wrap it starts anew below the end of a tall matrix.

    Shapes    (n, m), or (n, n, n) and so on -> itself
    Gradient  0 on the diagonal, g elsewhere
    Errors    RuntimeError for fewer than two axes, or more of different sizes
    Example   >>> torch.zeros(2, 3).fill_diagonal_(5)
              tensor([[5., 0., 0.],
                      [0., 5., 0.]])
    """
    fill_value = number("fill_diagonal_", "fill_value", 2, fill_value)
    n = self.dim()
    if n < 2:
        raise RuntimeError("dimensions must larger than 1\nA diagonal needs two axes.")
    if n > 2 and len(set(self.shape)) > 1:
        raise RuntimeError(
            f"all dimensions of input must be of equal length\nThe sizes are {list(self.shape)}."
        )
    height, width = self.shape[:2]
    line = self
    for _ in range(n - 1):
        line = line.diagonal()
    line.fill_(fill_value)
    if wrap and n == 2 and height > width + 1:
        places = arange((width + 1) * width, self.numel(), width + 1)  # counted along the rows
        self[places // width, places % width] = fill_value
    return self


methods["fill_diagonal_"] = fill_diagonal_

# ---- by tensors ----


def index_put(input, indices, values, accumulate=False):
    """A copy of input with values written (or added) at the positions that the index tensors give.

    Shapes    input (*), indices of a common shape (*i), values broadcasts to (*i, the other axes) -> (*)
    Gradient  input: g, 0 where values went (with accumulate: g); values: g taken there
    Errors    IndexError for an index out of range
    Example   >>> torch.index_put(torch.zeros(3), (torch.tensor([2, 0]),), torch.tensor([1.0, 2.0]))
              tensor([2., 0., 1.])
    """
    return f["_index_put"](input, _core.index_list(input, all_tensors(indices)), values, accumulate)


def index_put_(input, indices, values, accumulate=False):
    """index_put in place.

    Shapes    as of index_put -> itself
    Gradient  as of index_put
    Errors    IndexError for an index out of range
    Example   >>> torch.zeros(3).index_put_((torch.tensor([2, 2]),), torch.ones(2), accumulate=True)
              tensor([0., 0., 2.])
    """
    return f["_index_put_"](input, _core.index_list(input, all_tensors(indices)), values, accumulate)


for _g in (index_put, index_put_):
    public[_g.__name__] = methods[_g.__name__] = f[_g.__name__] = _g


def _put_masked(x, mask, value):
    out = f["_where"](mask, value, x)
    return out if out.dtype == x.dtype else f["_cast"](out, x.dtype)


for _kind in ("Tensor", "Operand"):
    composite(
        f"index_put(Tensor input, Tensor mask, {_kind} value)",
        _put_masked,
        name=f"index_put_mask_{_kind.lower()}",
        node="IndexPutBackward0!",
        expose_as="-",
        dtypes=ANY,
        apart=None,
    )
in_place_form("_index_put_mask", ops["index_put_mask_tensor"], ops["index_put_mask_operand"], function=False)


@function(out=EXACT.but(apart="all", name="gather"))
def take_along_dim(input, indices, dim=None):
    """gather() whose index broadcasts with the input; without dim over the flattened input.

    Shapes    input (*a), indices (*b) -> broadcast(a, b), but indices' size along dim
    Gradient  g is added where the elements came from
    Errors    RuntimeError for an index out of range, or other types of index
    Example   >>> torch.take_along_dim(torch.tensor([[3, 1], [2, 4]]), torch.tensor([[0], [1]]), 1)
              tensor([[3],
                      [4]])
    """
    if dim is not None and input.dim() != indices.dim():
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{input.dim()} dimensions for input, and {indices.dim()} dimensions for indices"
        )
    if indices.dtype is not _core.int64:
        raise RuntimeError(
            "torch.take_along_dim(): dtype of indices should be Long but got " + scalar_name(indices.dtype)
        )
    if dim is None:
        return f["gather"](input.reshape(-1), 0, indices.reshape(-1))
    dim = wrap(dim, input.dim())
    sizes = list(pair_shape(_without(input, dim), _without(indices, dim)))
    x_sizes, i_sizes = list(sizes), list(sizes)
    x_sizes[dim], i_sizes[dim] = input.size(dim), indices.size(dim)
    indices = f["remainder"](indices, input.size(dim))  # wraps around, as often as need be
    return f["gather"](input.expand(x_sizes), dim, indices.expand(i_sizes))


def _without(x, dim):
    sizes = list(x.shape)
    sizes[dim] = 1
    return tuple(sizes)


def _broadcast(x, sizes):
    return x if tuple(x.shape) == tuple(sizes) else x.expand(sizes)


@function(out=Into("{name}(): self and result must have the same scalar type", apart="all"))
def masked_select(input, mask):
    """The elements where the mask holds, in order, as one axis.

    Shapes    input (*a), mask (*b) -> (how many)
    Gradient  g where the elements came from
    Errors    RuntimeError for a mask that is not bool
    Example   >>> torch.masked_select(torch.tensor([1.0, 2.0]), torch.tensor([False, True]))
              tensor([2.])
    """
    if mask.dtype is not _core.bool:
        raise RuntimeError("masked_select: expected BoolTensor for mask\nConvert it with .bool().")
    sizes = pair_shape(mask.shape, input.shape)
    positions = _core.nonzero(_broadcast(mask, sizes).reshape(-1))
    return f["_take_selected"](_broadcast(input, sizes), f["select"](positions, 1, 0))


@function(
    out=Into(
        "{name}: Expected out tensor to have scalar type {Result} but got scalar type{Out}",
        apart="all",
        derived=False,
    )
)
def nonzero(input, *, as_tuple=False):
    """The positions of the elements that are not 0: one row each, or a tuple of a tensor for each axis.

    Shapes    input (*) of n axes -> (how many, n), int64; with as_tuple n of (how many)
    Gradient  none: the result is int64
    Example   >>> torch.nonzero(torch.tensor([0.0, 5.0, 7.0]))
              tensor([[1],
                      [2]])
    """
    if not as_tuple:
        return _core.nonzero(input.detach())
    rows = _core.nonzero(input.detach().reshape(1) if input.dim() == 0 else input.detach())
    return tuple(f["select"](rows, 1, k) for k in range(rows.size(1)))


@function
def argwhere(input):
    """The positions of the elements that are not 0, one row each.

    Shapes    input (*) of n axes -> (how many, n), int64
    Gradient  none: the result is int64
    Example   >>> torch.argwhere(torch.tensor([[0.0, 5.0], [7.0, 0.0]]))
              tensor([[0, 1],
                      [1, 0]])
    """
    return _core.nonzero(input.detach())


def one_hot(input, num_classes=-1):
    """A new last axis with 1 at the class and 0 elsewhere.

    Shapes    input (*) of int64 -> (*, num_classes); num_classes is the largest index + 1 unless given
    Gradient  none: the result is int64
    Errors    RuntimeError for a negative or too large index
    Example   >>> torch.nn.functional.one_hot(torch.tensor([0, 2]))
              tensor([[1, 0, 0],
                      [0, 0, 1]])
    """
    if input.dtype is not _core.int64:
        raise RuntimeError(
            "one_hot is only applicable to index tensor of type LongTensor.\nConvert it with .long()."
        )
    if num_classes == -1:
        if not input.numel():
            raise RuntimeError("Can not infer total number of classes from empty tensor.\nGive num_classes.")
        num_classes = max(int(f["max"](input).item()), 0) + 1  # only negative ones: the core says so
    return f["_one_hot"](input, num_classes)


public["one_hot"] = f["one_hot"] = one_hot


def repeat_interleave(input, repeats=None, dim=None, *, output_size=None):
    """Each element (or slice along dim) several times in a row; with the repeats alone, the positions.

    Shapes    input (n, *), repeats () or (n) -> (the sum of the repeats, *), for dim=0; flattened without dim
    Gradient  summed over the repeats
    Errors    RuntimeError for negative repeats, or another number of them
    Example   >>> torch.repeat_interleave(torch.tensor([1, 2]), torch.tensor([2, 1]))
              tensor([1, 1, 2])
    """
    if repeats is None:
        return _positions(input, output_size)
    if dim is None:
        input, dim = input.reshape(-1), 0
    dim = wrap(dim, input.dim())
    if input.dim() == 0:
        input = input.reshape(1)
    if not isinstance(repeats, _core.Tensor):
        if repeats < 0:
            raise RuntimeError("Repeats must be non-negative")
        sizes = list(input.shape)
        copies = f["expand"](f["unsqueeze"](input, dim + 1), (*sizes[: dim + 1], repeats, *sizes[dim + 1 :]))
        sizes[dim] *= repeats
        return f["_view"](f["_contiguous"](copies), sizes)
    if repeats.dim() > 1:
        raise RuntimeError("Repeats must be 0-dim or 1-dim tensor")
    if repeats.numel() == 1:
        repeats = repeats.reshape(1).expand(input.size(dim))
    elif repeats.numel() != input.size(dim):
        raise RuntimeError(
            "repeats must have the same size as input along dim, but got repeats.size(0) = "
            f"{repeats.numel()} and input.size({dim}) = {input.size(dim)}"
        )
    return f["index_select"](input, dim, _positions(repeats, output_size))


def _positions(repeats, output_size):
    """0 repeats[0] times, 1 repeats[1] times, ...: how many ends have been passed at each place."""
    if repeats.dim() != 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    if repeats.dtype not in (_core.int64, _core.int32):
        raise RuntimeError("repeats has to be Long or Int tensor")
    counts = repeats.detach().tolist()
    if any(c < 0 for c in counts):
        raise RuntimeError("repeats can not be negative")
    total = sum(counts)
    if output_size is not None and output_size != total:
        raise RuntimeError("allocated size does not match required size")
    if not total:
        return f["_zeros_of"](repeats, (0,))
    ends = f["cumsum"](repeats.detach().long(), 0)
    places = _core.arange_int(_core.int64, 0, total, 1)
    return _core.searchsorted(ends, places, True, None, _core.int64).to(repeats.dtype)


public["repeat_interleave"] = methods["repeat_interleave"] = f["repeat_interleave"] = repeat_interleave

# ---- counting and finding ----


@function
def bincount(input, weights=None, minlength=0):
    """How often each of 0, 1, 2, ... occurs, or the sums of the weights of its occurrences.

    Shapes    input (n), weights (n) -> (largest + 1), at least (minlength)
    Dtypes    input whole numbers -> int64, or with weights a float type
    Gradient  none
    Errors    RuntimeError for negative numbers or more than one axis
    Example   >>> torch.bincount(torch.tensor([0, 2, 2]))
              tensor([1, 0, 2])
    """
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if input.dim() != 1:
        if input.dim() == 0 or input.numel():
            raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if input.dtype.is_floating_point:
        raise NotImplementedError(f"\"bincount_cpu\" not implemented for '{scalar_name(input.dtype)}'")
    if weights is not None:
        if tuple(weights.shape) != tuple(input.shape):
            raise RuntimeError("weights should be 1-d and have the same length as input")
        weights = weights.detach()
        if weights.dtype is not _core.float32:
            weights = weights.double()
    return _core.bincount(input.long(), weights, minlength)


def _search(sorted_sequence, values, out_int32, right, side, sorter):
    if side is not None and side not in ("left", "right"):
        raise RuntimeError(f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left while "
            "right was True"
        )
    number = not isinstance(values, _core.Tensor)
    if number:
        values = f["_cast"](
            f["_full_like"](f["_zeros_of"](sorted_sequence, ()), values), sorted_sequence.dtype
        )
    if sorted_sequence.dim() != 1:
        if sorted_sequence.dim() == 0:
            raise RuntimeError(
                "torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1"
            )
        if values.dim() != sorted_sequence.dim() or tuple(values.shape[:-1]) != tuple(
            sorted_sequence.shape[:-1]
        ):
            raise RuntimeError(
                "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions "
                "of boundaries tensor and input value tensor must match, but we got boundaries tensor "
                f"{list(sorted_sequence.shape)} and input value tensor {list(values.shape)}"
            )
    common = _core.promote_types(values.dtype, sorted_sequence.dtype)
    values, sorted_sequence = (
        t if t.dtype is common else f["_cast"](t.detach(), common) for t in (values, sorted_sequence)
    )
    kind = _core.int32 if out_int32 else _core.int64
    return _core.searchsorted(
        sorted_sequence.detach(), values.detach(), bool(right or side == "right"), sorter, kind
    )


def _places_into(*args, out_int32=False, **named):
    return Into(
        "torch.searchsorted(): output tensor's dtype is wrong, it can only be Int(int32) or Long(int64) "
        "depending on whether out_int32 flag is True, but we got output tensor's dtype {Out} and out_int32 "
        f"flag is {bool(out_int32)}"
    )


@function(out=_places_into)
def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None):
    """Where each value would have to be put in so that the last axis stays sorted.

    Shapes    sorted_sequence (n) or (*, n), input (*, m) -> the shape of input, int64
    Gradient  none: the result is int64
    Errors    RuntimeError where the axes in front differ
    Example   >>> torch.searchsorted(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 9.0]))
              tensor([1, 3])
    """
    return _search(sorted_sequence, input, out_int32, right, side, sorter)


def bucketize(input, boundaries, *, out_int32=False, right=False):
    """Which of the intervals between the boundaries each value lies in.

    Shapes    input (*), boundaries (n) -> (*), int64
    Gradient  none: the result is int64
    Errors    RuntimeError for boundaries with more than one axis
    Example   >>> torch.bucketize(torch.tensor([0.5, 1.0, 9.0]), torch.tensor([1.0, 2.0]))
              tensor([0, 0, 2])
    """
    if boundaries.dim() != 1:
        raise RuntimeError(
            f"bucketize(): boundaries tensor must be 1 dimension, but got dim({boundaries.dim()})"
        )
    return _search(boundaries, input, out_int32, right, None, None)


f["bucketize"] = bucketize
public["bucketize"] = with_out(bucketize, _places_into)


def _several(values, inverse, counts, return_inverse, return_counts):
    out = [values]
    if return_inverse:
        out.append(inverse)
    if return_counts:
        out.append(counts)
    return out[0] if len(out) == 1 else tuple(out)


def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The different elements (or slices along dim), where each element went, and how often each occurs.

    Shapes    input (*) -> (how many) (inverse: (*); counts: (how many)); with dim slices along it
    Gradient  none
    Example   >>> torch.unique(torch.tensor([3, 1, 3]), return_counts=True)
              (tensor([1, 3]), tensor([1, 2]))
    """
    name = "_unique2" if dim is None else "unique_dim"
    require_tensors(name, input=input)
    flags = {"sorted": sorted, "return_inverse": return_inverse, "return_counts": return_counts}
    for argument, value in flags.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name}(): argument '{argument}' must be bool, not {kind_name(value)}")
    found = _core.unique(input.detach(), -1 if dim is None else wrap(dim, input.dim()), False)
    return _several(*_shaped(input, found, dim), return_inverse, return_counts)


def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """Runs of equal neighbours as one element each.

    Shapes    input (*) -> (how many) (inverse: (*); counts: (how many)); with dim slices along it
    Gradient  none
    Example   >>> torch.unique_consecutive(torch.tensor([1, 1, 2, 1]))
              tensor([1, 2, 1])
    """
    require_tensors("unique_consecutive", input=input)
    found = _core.unique(input.detach(), -1 if dim is None else wrap(dim, input.dim()), True)
    return _several(*_shaped(input, found, dim), return_inverse, return_counts)


def _shaped(input, found, dim):
    values, inverse, counts = found
    if dim is not None:
        return f["index_select"](input.detach(), wrap(dim, input.dim()), values), inverse, counts
    return values, inverse.reshape(input.shape), counts


for _g in (unique, unique_consecutive):
    public[_g.__name__] = methods[_g.__name__] = f[_g.__name__] = _g
