"""Cutting up and putting together: ops of several outputs or inputs, and the functions that prepare them."""

from __future__ import annotations

import functools

from pullback import _core
from pullback.arguments import all_tensors, checked, is_int64, kind_name, tensor_list
from pullback.primitives.family import composite
from pullback.primitives.registry import ANY, expose, methods, public
from pullback.results import JOINED, answer, with_out
from pullback.trace.sizes import Symbolic
from pullback.trace.tracer import functions as f


def pieces(x, sizes, dim):
    """The slices of these sizes along an axis."""
    out, start = [], 0
    for s in sizes:
        end = start + s
        out.append(f["_slice"](x, dim, start, end, 1))
        start = end
    return out


composite(
    "split(Tensor input, size[] sizes, int dim)",
    pieces,
    name="split_even",
    node="SplitBackward0!",
    expose_as="_split_even",
    dtypes=ANY,
)
composite(
    "split_with_sizes(Tensor input, size[] split_sizes, int dim)",
    pieces,
    name="split_sizes",
    node="SplitWithSizesBackward0!",
    expose_as="_split_sizes",
    dtypes=ANY,
)
composite(
    "unbind(Tensor input, int n, int dim)",
    lambda x, n, dim: [f["select"](x, dim, k) for k in range(n)],
    expose_as="_unbind",
    dtypes=ANY,
)


def _stack(tensors, dim):
    n = tensors[0].ndim + 1
    dim = dim % n
    return f["cat"]([f["unsqueeze"](t, dim) for t in tensors], dim)


composite("stack(Tensor[] tensors, int dim)", _stack, expose_as="_stack", dtypes=ANY)
composite(
    "t(Tensor input)",
    lambda x: f["transpose"](x, 0, 1) if x.ndim == 2 else f["_alias"](x),
    name="t2",
    node="TBackward0!",
    expose_as="_t2",
    dtypes=ANY,
)
composite(
    "contiguous(Tensor input)",
    lambda x: f["repeat"](x, (1,) * x.ndim),
    node="CloneBackward0!",
    expose_as="_contiguous",
    dtypes=ANY,
)
composite(
    "unsafe_view(Tensor input, size[] size)",
    lambda x, size: f["reshape"](x, size),
    node="UnsafeViewBackward0!",
    expose_as="_unsafe_view",
    dtypes=ANY,
)


composite(
    "roll(Tensor input, size[] shifts)",
    lambda x, shifts: f["reshape"](f["_roll"](f["reshape"](x, (x.numel(),)), shifts, (0,)), x.shape),
    name="roll_flat",
    expose_as="_roll_flat",
    dtypes=ANY,
)


def function(g=None, *, out=None):
    """A public function and method that prepares the arguments of ops; `out`: what it demands of a tensor
    that takes its result (pullback/results.py), where it may be given one."""
    if g is None:
        return functools.partial(function, out=out)
    methods[g.__name__] = f[g.__name__] = g
    public[g.__name__] = g if out is None else with_out(g, out)
    return g


def wrap(dim, ndim):
    """A non-negative axis, or torch's IndexError."""
    n = ndim or 1
    if not -n <= dim < n:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})\n"
            f"The tensor has {ndim} dimensions; count them from 0, or from -1 backwards."
        )
    return dim % n


@function
def split(tensor, split_size_or_sections, dim=0):
    """Cuts a tensor into pieces of a size (the last may be shorter), or of the given sizes.

    Shapes    tensor (n, *), size k -> (k, *), (k, *), ..., (the rest, *), for dim=0: views
    Gradient  g of each piece in its place
    Errors    RuntimeError for a negative size, or sizes that do not sum to the axis
    Example   >>> torch.split(torch.arange(5), 2)
              (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    asked = split_size_or_sections
    if not hasattr(tensor, "dim"):
        return tensor.split(asked, dim)  # what has pieces of its own may cut itself up
    if isinstance(asked, _core.Tensor) and asked.numel() == 1:
        asked = int(asked)
    several = isinstance(asked, (list, tuple))
    if not several and not isinstance(asked, (int, Symbolic)):
        checked("split_with_sizes", tensor, asked, dim)
    if not all(map(is_int64, (dim, *asked) if several else (dim, asked))):
        checked("split_with_sizes" if several else "_VF.split", tensor, asked, dim)
    if tensor.dim() == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if several:
        return _of_sizes(tensor, tuple(asked), dim)
    dim = wrap(dim, tensor.dim())
    return as_tuple(f["_split_even"](tensor, even_sizes(tensor.size(dim), asked), dim))


def _split(self, split_size, dim=0):
    """Cuts the tensor into pieces of a size (the last may be shorter), or of the given sizes.

    Shapes    (n, *), size k -> (k, *), (k, *), ..., (the rest, *), for dim=0: views
    Gradient  g of each piece in its place
    Errors    RuntimeError for a negative size, or sizes that do not sum to the axis
    Example   >>> torch.arange(5).split(2)
              (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    return split(self, split_size, dim)


_split.__name__, _split.__qualname__ = "split", "Tensor.split"
methods["split"] = _split


def _of_sizes(tensor, sizes, dim):
    dim = wrap(dim, tensor.dim())
    n = tensor.size(dim)
    if any(s < 0 for s in sizes):
        raise RuntimeError(
            "split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes="
            f"{list(sizes)}"
        )
    if sum(sizes) != n:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at "
            f"dimension {dim}), but got split_sizes={list(sizes)}"
        )
    return as_tuple(f["_split_sizes"](tensor, sizes, dim)) if sizes else ()


def even_sizes(n, size):
    """The sizes of split()'s pieces of an axis: all the same, the last perhaps smaller."""
    if size <= 0:
        if size < 0:
            raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
        if n:
            raise RuntimeError(
                f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}"
            )
        size = 1
    others = (n + size - 1) // size - 1 if n else 0
    return (size,) * others + (n - size * others,)


def as_tuple(x):
    return x if isinstance(x, tuple) else (x,)


@function
def split_with_sizes(tensor, split_sizes, dim=0):
    """Cuts a tensor into pieces of the given sizes.

    Shapes    tensor (n, *), sizes (a, b) -> (a, *), (b, *), for dim=0: views
    Gradient  g of each piece in its place
    Errors    RuntimeError for sizes that do not sum to the axis
    Example   >>> torch.split_with_sizes(torch.arange(5), [1, 4])
              (tensor([0]), tensor([1, 2, 3, 4]))
    """
    return split(tensor, list(split_sizes), dim)


@function
def chunk(input, chunks, dim=0):
    """Cuts a tensor into at most this many pieces of equal size.

    Shapes    input (n, *), chunks k -> at most k of (ceil(n / k), *), for dim=0: views
    Gradient  g of each piece in its place
    Errors    RuntimeError where chunks is not positive
    Example   >>> torch.chunk(torch.arange(5), 2)
              (tensor([0, 1, 2]), tensor([3, 4]))
    """
    if input.dim() == 0:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if not (is_int64(chunks) and is_int64(dim)):
        checked("chunk", input, chunks, dim)
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    dim = wrap(dim, input.dim())
    n = input.size(dim)
    size = (n + chunks - 1) // chunks
    if size == 0:
        return _of_sizes(input, (0,) * chunks, dim)
    return as_tuple(f["_split_even"](input, even_sizes(n, size), dim))


@function
def tensor_split(input, indices_or_sections, dim=0):
    """Cuts at the given places, or into this many nearly equal pieces.

    Shapes    input (n, *), k -> k of (n // k or one more, *), for dim=0: views
    Gradient  g of each piece in its place
    Errors    RuntimeError where the number of pieces is not positive
    Example   >>> torch.tensor_split(torch.arange(5), 2), torch.tensor_split(torch.arange(5), (1, 3))
              ((tensor([0, 1, 2]), tensor([3, 4])), (tensor([0]), tensor([1, 2]), tensor([3, 4])))
    """
    dim = wrap(dim, input.dim())
    n = input.size(dim)
    if isinstance(indices_or_sections, _core.Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, int):
        k = indices_or_sections
        if k <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {k}")
        sizes = [n // k + (i < n % k) for i in range(k)]
        ends = [sum(sizes[: i + 1]) for i in range(k - 1)]
    elif isinstance(indices_or_sections, (list, tuple)) and all(
        hasattr(k, "__index__") for k in indices_or_sections
    ):
        ends = list(indices_or_sections)
    else:
        raise TypeError("tensor_split() received an invalid combination of arguments")
    starts = [0, *ends]
    return tuple(f["_slice"](input, dim, a, b, 1) for a, b in zip(starts, [*ends, n], strict=True))


@function
def unbind(input, dim=0):
    """The slices along an axis, as a tuple.

    Shapes    input (n, *) -> n of (*), for dim=0: views
    Gradient  g of each slice in its place
    Errors    IndexError for a tensor without axes
    Example   >>> torch.unbind(torch.tensor([[1, 2], [3, 4]]))
              (tensor([1, 2]), tensor([3, 4]))
    """
    dim = wrap(dim, input.dim())
    if input.dim() == 0:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    n = input.size(dim)
    return as_tuple(f["_unbind"](input, n, dim)) if n else ()


def stack(tensors, dim=0, *, out=None, axis=0):
    """Puts tensors of one shape together along a new axis.

    Shapes    n of (*) -> (n, *), for dim=0
    Gradient  to each tensor its slice of g
    Errors    RuntimeError for tensors of different shapes, or none
    Example   >>> torch.stack([torch.tensor([1, 2]), torch.tensor([3, 4])])
              tensor([[1, 2],
                      [3, 4]])
    """
    if not isinstance(tensors, (list, tuple)):
        raise TypeError(
            f"stack(): argument 'tensors' (position 1) must be tuple of Tensors, not {kind_name(tensors)}"
        )
    result = f["_stack"](tensors, _core.stacked_axis(tensors, dim or axis))
    return result if out is None else answer(result, out, "stack", JOINED.but(name="stack"), tensors)


public["stack"] = f["stack"] = stack
for _name in ("concat", "concatenate"):
    expose(_name, *f["cat"].declarations, method=False)


def _joined(shape_of, axis):
    def join(tensors, *, out=None):
        return f["cat"]([shape_of(t) for t in tensors], axis)

    return join


@function
def atleast_1d(*tensors):
    """Tensors with at least one axis.

    Shapes    () -> (1); others as they are
    Gradient  g in the shape of the input
    Example   >>> torch.atleast_1d(torch.tensor(1.0))
              tensor([1.])
    """
    out = tuple(t.reshape(1) if t.dim() == 0 else t for t in all_tensors(flat(tensors)))
    return out[0] if len(out) == 1 else out


@function
def atleast_2d(*tensors):
    """Tensors with at least two axes.

    Shapes    () -> (1, 1); (n) -> (1, n); others as they are
    Gradient  g in the shape of the input
    Example   >>> torch.atleast_2d(torch.tensor([1.0, 2.0]))
              tensor([[1., 2.]])
    """
    out = tuple(
        t.reshape(1, 1) if t.dim() == 0 else t.unsqueeze(0) if t.dim() == 1 else t
        for t in all_tensors(flat(tensors))
    )
    return out[0] if len(out) == 1 else out


def flat(tensors):
    return tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else tensors


def vstack(tensors, *, out=None):
    """Puts tensors on top of each other.

    Shapes    (a, *), (b, *), ... -> (a + b + ..., *); vectors count as one row
    Gradient  to each tensor its part of g
    Errors    ShapeError where another axis differs
    Example   >>> torch.vstack([torch.tensor([1, 2]), torch.tensor([3, 4])])
              tensor([[1, 2],
                      [3, 4]])
    """
    tensors = [t if t.dim() > 1 else atleast_2d(t) for t in tensor_list("vstack", tensors)]
    return answer(f["cat"](tensors, 0), out, "cat", JOINED, tensors)


def hstack(tensors, *, out=None):
    """Puts tensors side by side.

    Shapes    (n, a, *), (n, b, *), ... -> (n, a + b + ..., *); vectors one after the other
    Gradient  to each tensor its part of g
    Errors    ShapeError where another axis differs
    Example   >>> torch.hstack([torch.tensor([1, 2]), torch.tensor([3, 4])])
              tensor([1, 2, 3, 4])
    """
    tensors = [t if t.dim() else atleast_1d(t) for t in tensor_list("hstack", tensors)]
    return answer(f["cat"](tensors, 0 if tensors[0].dim() == 1 else 1), out, "cat", JOINED, tensors)


public.update(vstack=vstack, hstack=hstack, row_stack=vstack)


@function
def narrow(input, dim, start, length):
    """`length` slices from `start` on: a view.

    Shapes    input (n, *) -> (length, *), for dim=0
    Gradient  g in those slices, 0 elsewhere
    Errors    IndexError, RuntimeError for slices out of range
    Example   >>> torch.narrow(torch.arange(5), 0, 1, 3)
              tensor([1, 2, 3])
    """
    if input.dim() == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if isinstance(start, _core.Tensor):
        if start.dim() or start.dtype.is_floating_point or start.dtype is _core.bool:
            raise RuntimeError("start must be an 0-dim integral Tensor.")
        start = int(start)
    n = input.size(dim)
    if not -n <= start <= n:
        raise IndexError(f"start out of range (expected to be in range of [{-n}, {n}], but got {start})")
    start = start + n if start < 0 else start
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if start + length > n:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return f["_slice"](input, dim, start, start + length, 1)


@function
def squeeze(input, dim=None, *more):
    """Without its axes of size 1 (or without the given ones, where they are).

    Shapes    input (a, 1, b, 1) -> (a, b): a view
    Gradient  g with the axes put back
    Example   >>> torch.squeeze(torch.ones(2, 1, 3)).shape
              torch.Size([2, 3])
    """
    if dim is None:
        return f["_squeeze_all"](input, _core.axes_of_one(input, None))
    if more:
        dim = (dim, *more)
    squeezed = f["_squeeze_several" if isinstance(dim, (tuple, list)) else "_squeeze"]
    return squeezed(input, _core.axes_of_one(input, dim))


@function
def flatten(input, start_dim=0, end_dim=-1):
    """Several axes as one.

    Shapes    input (a, b, c) -> (a b c), a view where the layout allows
    Gradient  g in the shape of the input
    Errors    RuntimeError where start_dim comes after end_dim
    Example   >>> torch.flatten(torch.ones(2, 3, 4), 1).shape
              torch.Size([2, 12])
    """
    sizes = _core.merged_sizes(input, start_dim, end_dim)
    return input if sizes is None else f["reshape"](input, sizes)


@function
def unflatten(input, dim, sizes):
    """One axis as several.

    Shapes    input (n, a b), sizes (a, b) -> (n, a, b), for dim=1: a view
    Gradient  g in the shape of the input
    Errors    RuntimeError for sizes that do not multiply to the axis
    Example   >>> torch.unflatten(torch.ones(2, 12), 1, (3, -1)).shape
              torch.Size([2, 3, 4])
    """
    dim = wrap(dim, input.dim())
    shape = tuple(input.shape)
    sizes = list(sizes)
    if -1 in sizes:
        known = 1
        for s in sizes:
            known *= s if s != -1 else 1
        sizes[sizes.index(-1)] = shape[dim] // known if known else 0
    total = 1
    for s in sizes:
        total *= s
    if total != shape[dim]:
        raise RuntimeError(
            f"unflatten: Provided sizes {sizes} don't multiply up to the size of dim {dim} ({shape[dim]}) in "
            "the input tensor"
        )
    return f["_view"](input, (*shape[:dim], *sizes, *shape[dim + 1 :]))


@function
def ravel(input):
    """All elements along one axis.

    Shapes    input (a, b) -> (a b), a view where the layout allows
    Gradient  g in the shape of the input
    Example   >>> torch.ravel(torch.tensor([[1, 2], [3, 4]]))
              tensor([1, 2, 3, 4])
    """
    if not isinstance(input, _core.Tensor):
        return f["reshape"](input, (-1,))
    return f["_view"](input if input.is_contiguous() else f["_contiguous"](input), (-1,))


@function
def movedim(input, source, destination):
    """Axes moved to other places.

    Shapes    input (a, b, c), 0, 2 -> (b, c, a): a view
    Gradient  g with the axes put back
    Example   >>> torch.movedim(torch.ones(2, 3, 4), 0, 2).shape
              torch.Size([3, 4, 2])
    """
    n = input.dim()
    source = [wrap(s, n) for s in (source if isinstance(source, (tuple, list)) else (source,))]
    destination = [
        wrap(d, n) for d in (destination if isinstance(destination, (tuple, list)) else (destination,))
    ]
    order = [k for k in range(n) if k not in source]
    for d, s in sorted(zip(destination, source, strict=True)):
        order.insert(d, s)
    return f["permute"](input, order)


@function
def swapaxes(input, axis0, axis1):
    """Two axes swapped.

    Shapes    input (a, b, c), 0, 2 -> (c, b, a): a view
    Gradient  g with the axes swapped back
    Example   >>> torch.swapaxes(torch.ones(2, 3, 4), 0, 2).shape
              torch.Size([4, 3, 2])
    """
    return f["transpose"](input, axis0, axis1)


public["swapdims"] = methods["swapdims"] = swapaxes
public["moveaxis"] = methods["moveaxis"] = movedim


@function
def t(input):
    """A matrix transposed.

    Shapes    input (n, m) -> (m, n): a view; vectors as they are
    Gradient  g transposed
    Errors    RuntimeError for more than two axes
    Example   >>> torch.t(torch.tensor([[1, 2], [3, 4]]))
              tensor([[1, 3],
                      [2, 4]])
    """
    if input.dim() > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.dim()}D")
    return f["_t2"](input)


@function
def tile(input, *dims):
    """Repeated along its axes; leading ones are added to the shorter of the two.

    Shapes    input (a, b), dims (r, s) -> (r a, s b)
    Gradient  summed over the repeats
    Example   >>> torch.tile(torch.tensor([1, 2]), (2, 2))
              tensor([[1, 2, 1, 2],
                      [1, 2, 1, 2]])
    """
    dims = flat(dims)
    dims = (1,) * (input.dim() - len(dims)) + tuple(dims)
    return f["repeat"](input, dims)


@function
def roll(input, shifts, dims=()):
    """Elements moved along axes; what leaves at the end comes back at the start.

    Shapes    input (*) -> (*)
    Gradient  g moved back
    Example   >>> torch.roll(torch.arange(4), 1)
              tensor([3, 0, 1, 2])
    """
    shifts = tuple(shifts) if isinstance(shifts, (tuple, list)) else (shifts,)
    dims = tuple(dims) if isinstance(dims, (tuple, list)) else (dims,)
    if not dims:
        return f["_roll_flat"](input, shifts)
    return f["_roll"](input, shifts, dims)


@function
def view(input, *shape, dtype=None, size=None):
    """The same elements under another shape; with a dtype the same bytes as elements of that type.

    Shapes    (*) -> shape, with as many elements; -1 stands for what is left
    Gradient  g in the shape of the input
    Errors    ShapeError where the number of elements differs; RuntimeError where the layout does not allow a
              view
    Example   >>> torch.arange(6).view(2, -1)
              tensor([[0, 1, 2],
                      [3, 4, 5]])
    """
    if dtype is not None or (len(shape) == 1 and isinstance(shape[0], _core.dtype)):
        from pullback.storage import viewed_as  # storages are made of tensors

        return viewed_as(input, dtype or shape[0])
    return f["_view"](input, *shape) if size is None else f["_view"](input, size)


del public["view"]
