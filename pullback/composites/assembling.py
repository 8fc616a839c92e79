"""Other ways of cutting up, turning and joining tensors, all by the ops of shape.py."""

from __future__ import annotations

from pullback import _core
from pullback.arguments import all_tensors, tensor_list
from pullback.composites.shape import (
    as_tuple,
    even_sizes,
    flat,
    function,
    hstack,
    pieces,
    split_with_sizes,
    tensor_split,
)
from pullback.primitives.family import composite
from pullback.primitives.registry import ANY, public
from pullback.results import EXACT, JOINED, Into, answer, castable
from pullback.trace.tracer import functions as f


@function
def atleast_3d(*tensors):
    """Tensors with at least three axes.

    Shapes    () -> (1, 1, 1); (n) -> (1, n, 1); (n, m) -> (n, m, 1); others as they are
    Gradient  g in the shape of the input
    Example   >>> torch.atleast_3d(torch.ones(2, 3)).shape
              torch.Size([2, 3, 1])
    """

    def three(t):
        if t.dim() == 0:
            return t.reshape(1, 1, 1)
        if t.dim() == 1:
            return t.unsqueeze(0).unsqueeze(-1)
        return t.unsqueeze(-1) if t.dim() == 2 else t

    out = tuple(three(t) for t in all_tensors(flat(tensors)))
    return out[0] if len(out) == 1 else out


def dstack(tensors, *, out=None):
    """Puts tensors behind each other, along the third axis.

    Shapes    (n, m, a), (n, m, b), ... -> (n, m, a + b + ...); matrices count as (n, m, 1)
    Gradient  to each tensor its part of g
    Errors    ShapeError where another axis differs
    Example   >>> torch.dstack([torch.ones(2, 3), torch.ones(2, 3)]).shape
              torch.Size([2, 3, 2])
    """
    tensors = tensor_list("dstack", tensors)
    return answer(f["cat"]([atleast_3d(t) for t in tensors], 2), out, "cat", JOINED, tensors)


def column_stack(tensors, *, out=None):
    """Puts tensors side by side as columns.

    Shapes    (n, a), (n, b), ... -> (n, a + b + ...); vectors count as one column
    Gradient  to each tensor its part of g
    Errors    ShapeError where the number of rows differs
    Example   >>> torch.column_stack([torch.tensor([1, 2]), torch.tensor([3, 4])])
              tensor([[1, 3],
                      [2, 4]])
    """
    tensors = tensor_list("column_stack", tensors)
    return hstack([t.reshape(t.numel(), 1) if t.dim() <= 1 else t for t in tensors], out=out)


def _block_diag(tensors):
    rows = [t if t.ndim == 2 else f["reshape"](t, (1, t.numel())) for t in tensors]
    width = 0
    for t in rows:
        width = t.size(1) + width
    out, left = [], 0
    for t in rows:
        n = t.size(1)
        before, after = (f["_zeros_of"](t, (t.size(0), w)) for w in (left, width - left - n))
        out.append(f["cat"]([before, t, after], 1))
        left = n + left
    return f["cat"](out, 0)


composite("block_diag(Tensor[] tensors)", _block_diag, expose_as="_block_diag", dtypes=ANY)


def block_diag(*tensors):
    """The matrices along the diagonal of one, zeros elsewhere.

    Shapes    (a, b), (c, d), ... -> (a + c + ..., b + d + ...); vectors count as one row
    Gradient  to each matrix its block of g
    Example   >>> torch.block_diag(torch.ones(1, 2), torch.tensor([[5.0]]))
              tensor([[1., 1., 0.],
                      [0., 0., 5.]])
    """
    if not tensors:
        return _core.empty([1, 0], _core.get_default_dtype())
    for k, t in enumerate(all_tensors(tensors)):
        if t.dim() > 2:
            raise RuntimeError(
                "torch.block_diag: Input tensors must have 2 or fewer dimensions. Input "
                f"{k} has {t.dim()} dimensions"
            )
    return f["_block_diag"](list(tensors))


CUTS = {
    "hsplit": "[[0, 1, 4, 5], [2, 3, 6, 7]]",
    "vsplit": "[[0, 1, 2, 3], [4, 5, 6, 7]]",
    "dsplit": "[[0, 2, 4, 6], [1, 3, 5, 7]]",
}


def _axis_split(name, axis, least):
    def cut(input, indices_or_sections):
        if input.dim() < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension{'s' if least > 1 else ''}, "
                f"but got a tensor with {input.dim()} dimensions!"
            )
        dim = 0 if name == "hsplit" and input.dim() == 1 else axis
        if isinstance(indices_or_sections, int) and input.size(dim) % max(indices_or_sections, 1):
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension "
                f"{input.size(dim)} is not divisible by the split_size {indices_or_sections}!"
            )
        return tensor_split(input, indices_or_sections, dim)

    cut.__name__ = name
    shape = ("(n, m)", "(n, m)", "(n, m, k)")[axis]
    cut.__doc__ = f"""tensor_split() along axis {axis}.

    Shapes    {shape} -> pieces of axis {axis}: views
    Gradient  g of each piece in its place
    Errors    RuntimeError for fewer than {least} axes, or a number of pieces that does not divide the axis
    Example   >>> [piece.flatten().tolist() for piece in torch.{name}(torch.arange(8).view(2, 2, 2), 2)]
              {CUTS[name]}
    """
    return function(cut)


hsplit, vsplit, dsplit = _axis_split("hsplit", 1, 1), _axis_split("vsplit", 0, 2), _axis_split("dsplit", 2, 3)


@function
def fliplr(input):
    """Left and right swapped.

    Shapes    input (n, m, *) -> (n, m, *)
    Gradient  g turned over
    Errors    RuntimeError for fewer than two axes
    Example   >>> torch.fliplr(torch.tensor([[1, 2], [3, 4]]))
              tensor([[2, 1],
                      [4, 3]])
    """
    if input.dim() < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return f["flip"](input, (1,))


@function
def flipud(input):
    """Up and down swapped.

    Shapes    input (n, *) -> (n, *)
    Gradient  g turned over
    Errors    RuntimeError for a tensor without axes
    Example   >>> torch.flipud(torch.tensor([[1, 2], [3, 4]]))
              tensor([[3, 4],
                      [1, 2]])
    """
    if input.dim() < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return f["flip"](input, (0,))


def _rot90(x, k, dims):
    a, b = dims
    if k == 1:
        return f["transpose"](f["flip"](x, (b,)), a, b)
    if k == 2:
        return f["flip"](x, (a, b))
    if k == 3:
        return f["transpose"](f["flip"](x, (a,)), a, b)
    return f["_clone"](x)


composite("rot90(Tensor input, int k, int[] dims)", _rot90, expose_as="_rot90", dtypes=ANY)


@function
def rot90(input, k=1, dims=(0, 1)):
    """Turned by k quarters in the plane of two axes.

    Shapes    input (n, m) -> (m, n) for odd k, (n, m) for even k
    Gradient  g turned back
    Errors    RuntimeError for other than two different axes
    Example   >>> torch.rot90(torch.tensor([[1, 2], [3, 4]]))
              tensor([[2, 4],
                      [1, 3]])
    """
    dims, n = tuple(dims), input.dim()
    if len(dims) != 2:
        raise RuntimeError(
            f"expected total rotation dims == 2, but got dims = {len(dims)}\nGive the plane's two axes."
        )
    if n < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {n}\nA plane has two axes.")
    if all(-n <= d < n for d in dims) and dims[0] % n == dims[1] % n:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}\n"
            "A plane has two axes."
        )
    return f["_rot90"](input, k % 4, dims)


composite(
    "diag_embed(Tensor input, size[] sizes, size offset, int dim1, int dim2)",
    lambda x, sizes, offset, a, b: f["_diagonal_backward"](x, sizes, offset, a, b),
    expose_as="_diag_embed",
)
composite(
    "diagonal_copy(Tensor input, size offset, int dim1, int dim2)",
    lambda x, offset, a, b: f["_contiguous"](f["diagonal"](x, offset, a, b)),
    node="DiagonalBackward0_copy!",
    expose_as="_diagonal_copy",
)


@function
def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    """Matrices with the last axis along a diagonal.

    Shapes    input (*, n) -> (*, n, n), without an offset
    Gradient  g on the diagonals
    Example   >>> torch.diag_embed(torch.tensor([1.0, 2.0]))
              tensor([[1., 0.],
                      [0., 2.]])
    """
    n = input.dim() + 1
    a, b = dim1 % n, dim2 % n
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    size = input.size(-1) + abs(offset)
    sizes = list(input.shape[:-1])
    for axis in sorted((a, b)):
        sizes.insert(axis, size)
    return f["_diag_embed"](input, sizes, offset, a, b)


def _diag_into(input, diagonal=0):
    if input.dim() == 1:
        text = "diag: result type {Result} can't be cast to the desired out= type {Out}"
        return Into(text, castable, name="aten::diag_embed")
    return EXACT.but(name="aten::diagonal_copy")


@function(out=_diag_into)
def diag(input, diagonal=0):
    """The diagonal of a matrix, or the matrix that has a vector there.

    Shapes    input (n) -> (n, n); (n, m) -> (min(n, m)), without an offset
    Gradient  g on the diagonal
    Errors    RuntimeError for more than two axes
    Example   >>> torch.diag(torch.tensor([1.0, 2.0]))
              tensor([[1., 0.],
                      [0., 2.]])
    """
    if input.dim() == 1:
        return diag_embed(input, diagonal)
    if input.dim() != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.dim()}D")
    return f["_diagonal_copy"](input, diagonal, 0, 1)


for _name, _node in (("even", "Split"), ("sizes", "SplitWithSizes")):
    composite(
        f"unsafe_split_{_name}(Tensor input, size[] sizes, int dim)",
        lambda x, sizes, dim: [f["_contiguous"](p) for p in pieces(x, sizes, dim)],
        node=f"Unsafe{_node}Backward0!",
        expose_as=f"_unsafe_split_{_name}",
        dtypes=ANY,
    )


@function
def unsafe_split(input, split_size, dim=0):
    """split() whose results may be changed in place without changing each other: copies.

    Shapes    as of split
    Gradient  as of split
    Example   >>> torch.unsafe_split(torch.arange(5), 2)
              (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    return as_tuple(f["_unsafe_split_even"](input, even_sizes(input.size(dim), split_size), dim))


@function
def unsafe_split_with_sizes(input, split_sizes, dim=0):
    """split_with_sizes() whose results may be changed in place without changing each other: copies.

    Shapes    as of split_with_sizes
    Gradient  as of split_with_sizes
    Example   >>> torch.unsafe_split_with_sizes(torch.arange(5), [1, 4])
              (tensor([0]), tensor([1, 2, 3, 4]))
    """
    if not len(split_sizes):
        return split_with_sizes(input, split_sizes, dim)
    return as_tuple(f["_unsafe_split_sizes"](input, list(split_sizes), dim))


@function
def unsafe_chunk(input, chunks, dim=0):
    """chunk() whose results may be changed in place without changing each other: copies.

    Shapes    as of chunk
    Gradient  as of chunk
    Example   >>> torch.unsafe_chunk(torch.arange(5), 2)
              (tensor([0, 1, 2]), tensor([3, 4]))
    """
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    return unsafe_split(input, max(-(-input.size(dim) // chunks), 1), dim)


f.update(atleast_3d=atleast_3d)
public.update(dstack=dstack, column_stack=column_stack, block_diag=block_diag)
