"""Products and selections of several tensors, and tensors with a part put in."""

from __future__ import annotations

from itertools import combinations as pairs
from itertools import combinations_with_replacement as pairs_with_replacement

import numpy as np

from pullback import creation
from pullback.arguments import all_tensors
from pullback.composites.broadcasting import meshgrid
from pullback.composites.linalg import reshaped
from pullback.composites.shape import function
from pullback.errors import ShapeError
from pullback.primitives.registry import methods, public
from pullback.results import CAST, EXACT
from pullback.trace.tracer import functions as f


@function(out=CAST.but(apart="all", name="mul"))
def kron(input, other):
    """The Kronecker product: every element of one times the whole of the other.

    Shapes    (a, b), (c, d)  ->  (a * c, b * d), and so on for other ranks
    Gradient  for both
    Example   >>> import pullback as torch
              >>> torch.kron(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 10.0]))
              tensor([ 1., 10.,  2., 20.])
    """
    n = max(input.dim(), other.dim())
    a = (1,) * (n - input.dim()) + tuple(input.shape)
    b = (1,) * (n - other.dim()) + tuple(other.shape)
    left = reshaped(input, tuple(s for size in a for s in (size, 1)))
    right = reshaped(other, tuple(s for size in b for s in (1, size)))
    return reshaped(left * right, tuple(p * q for p, q in zip(a, b, strict=True)))


def _vector(x):
    if x.dim() != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(x.shape)}")
    return x


def cartesian_prod(*tensors):
    """All combinations of an element of each vector, one a row.

    Shapes    (a), (b), ... -> (a b ..., how many tensors)
    Gradient  summed over the rows in which each element stands
    Example   >>> import pullback as torch
              >>> torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([3, 4])).tolist()
              [[1, 3], [1, 4], [2, 3], [2, 4]]
    """
    tensors = [_vector(t) for t in all_tensors(tensors)]
    if len(tensors) == 1:
        return tensors[0]
    return f["stack"]([g.reshape(-1) for g in meshgrid(*tensors, indexing="ij")], 1)


public["cartesian_prod"] = cartesian_prod


@function
def combinations(input, r=2, with_replacement=False):
    """All choices of r elements of a vector, one a row.

    Shapes    input (n) -> (how many choices, r)
    Gradient  summed over the rows in which each element stands
    Example   >>> import pullback as torch
              >>> torch.combinations(torch.tensor([1, 2, 3])).tolist()
              [[1, 2], [1, 3], [2, 3]]
    """
    _vector(input)
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return creation.empty(0, dtype=input.dtype)
    choose = pairs_with_replacement if with_replacement else pairs
    rows = np.asarray(list(choose(range(input.numel()), r)), np.int64).reshape(-1, r)
    columns = [f["index_select"](input, 0, creation._from_array(rows[:, k].copy())) for k in range(r)]
    return f["stack"](columns, 1)


@function
def diagflat(input, offset=0):
    """A matrix with the elements on a diagonal.

    Shapes    input (*) of n elements -> (n, n), without an offset
    Gradient  g on the diagonal
    Example   >>> torch.diagflat(torch.tensor([1.0, 2.0]))
              tensor([[1., 0.],
                      [0., 2.]])
    """
    return f["diag_embed"](input.reshape(-1), offset)


def _check_part(src, part):
    if tuple(src.shape) != tuple(part.shape):
        raise ShapeError(
            "expected src to have a size equal to the slice of self. "
            f"src size = {list(src.shape)}, slice size = {list(part.shape)}"
        )


def _put(input, src, part_of):
    """A copy of input in which a part is src."""
    _check_part(src, part_of(input.detach()))
    out = f["_clone"](input)
    part_of(out).copy_(src)
    return out


@function
def select_scatter(input, src, dim, index):
    """A copy in which the slice at an index is src.

    Shapes    input (n, *), src (*) -> (n, *), for dim=0
    Gradient  for input (zero in that slice) and src
    Errors    ShapeError where src has another shape than the slice
    Example   >>> torch.select_scatter(torch.zeros(2, 2), torch.ones(2), 0, 1)
              tensor([[0., 0.],
                      [1., 1.]])
    """
    return _put(input, src, lambda x: f["select"](x, dim, index))


@function(out=EXACT.but(name="aten::slice_scatter"))
def slice_scatter(input, src, dim=0, start=None, end=None, step=1):
    """A copy in which the slice start:end:step along an axis is src.

    Shapes    input (n, *), src (k, *) -> (n, *), for a slice of k and dim=0
    Gradient  for input (zero in that slice) and src
    Errors    ShapeError where src has another shape than the slice
    Example   >>> torch.slice_scatter(torch.zeros(4), torch.ones(2), start=1, end=3)
              tensor([0., 1., 1., 0.])
    """
    index = slice(start, end, step)
    return _put(input, src, lambda x: x[(slice(None),) * (dim % max(x.dim(), 1)) + (index,)])


@function
def diagonal_scatter(input, src, offset=0, dim1=0, dim2=1):
    """A copy in which a diagonal is src.

    Shapes    input (n, m), src (min(n, m)) -> (n, m), without an offset
    Gradient  for input (zero on that diagonal) and src
    Errors    ShapeError where src has another shape than the diagonal
    Example   >>> torch.diagonal_scatter(torch.zeros(2, 2), torch.ones(2))
              tensor([[1., 0.],
                      [0., 1.]])
    """
    return _put(input, src, lambda x: f["diagonal"](x, offset, dim1, dim2))


for _name in ("combinations",):
    methods.pop(_name)
