"""pullback.linalg: what there is of torch.linalg."""

from __future__ import annotations

import math

from pullback.composites.shape import wrap
from pullback.primitives.registry import public
from pullback.results import EXACT, Into, answer, with_out
from pullback.trace.tracer import functions as f

__all__ = ["cross", "diagonal", "matmul", "matrix_power", "multi_dot", "norm", "vecdot", "vector_norm"]

vector_norm = f["linalg_vector_norm"]
cross = with_out(f["linalg_cross"], EXACT.but(apart="all"))
matmul, matrix_power = public["matmul"], public["matrix_power"]
multi_dot = f["linalg_multi_dot"]
_NORM = Into("linalg.norm expected out tensor dtype {Result} but got: {Out}")
_VECDOT = Into("linalg.vecdot: Expected out of dtype{Result} but found {Out}", name="sum")


def _matrix_norm(A, ord, dim, keepdim):
    if not A.dtype.is_floating_point:
        raise RuntimeError(
            "linalg.matrix_norm: Expected a floating point or complex tensor as input. Got "
            f"{A.dtype._legacy.removesuffix('Tensor')}"
        )
    if ord in (2, -2, "nuc"):
        raise NotImplementedError(
            f"linalg.norm: the matrix norm {ord} needs singular values, which pullback has not"
        )
    if ord not in (1, -1, math.inf, -math.inf):
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    rows, columns = (wrap(d, A.dim()) for d in dim)
    if rows == columns:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    if not A.numel():
        return vector_norm(A, 2, dim, keepdim)  # 0
    first, second = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = vector_norm(A, 1, first, True)
    out = f["amax" if ord > 0 else "amin"](sums, (second,), True)
    return out if keepdim else f["_squeeze"](out, (rows, columns))


def norm(A, ord=None, dim=None, keepdim=False, *, out=None, dtype=None):
    """The norm of a vector, of matrices, or for ord None of all elements.

    For matrices ord is 'fro', or 1 or -1 (the largest or the smallest sum of a column's sizes), or inf or
    -inf (the same of rows).

    Shapes    A (*) -> () without dim; with it, those axes go away (keepdim: have size 1)
    Gradient  as of vector_norm: for ord=2 g * A / out, 0 where out is 0
    Errors    NotImplementedError for matrix norms that need singular values: 2, -2 and 'nuc'
    Example   >>> torch.linalg.norm(torch.tensor([3.0, 4.0]))
              tensor(5.)
    """
    if ord is None or ord == "fro":
        return answer(vector_norm(A, 2, dim, keepdim, dtype=dtype), out, "linalg_vector_norm", _NORM)
    if dim is None and A.dim() not in (1, 2):
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
            f"{A.dim()}D.\nName the axes: one for vectors, two for matrices."
        )
    if (dim is None and A.dim() == 2) or (isinstance(dim, (tuple, list)) and len(dim) == 2):
        A = A if dtype is None else A.to(dtype)
        found = _matrix_norm(A, ord, (0, 1) if dim is None else dim, keepdim)
        return answer(found, out, "linalg_matrix_norm", _NORM)
    return answer(vector_norm(A, ord, dim, keepdim, dtype=dtype), out, "linalg_vector_norm", _NORM)


def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """The diagonals of matrices: a view.

    Shapes    A (*, n, m) -> (*, min(n, m)), without an offset
    Gradient  g on the diagonals, 0 elsewhere
    Example   >>> torch.linalg.diagonal(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
              tensor([1., 4.])
    """
    return f["diagonal"](A, offset, dim1, dim2)


def vecdot(x, y, *, dim=-1, out=None):
    """The inner products of vectors along an axis.

    Shapes    x (*a), y (*b) -> broadcast(a, b) without the axis
    Gradient  x: g * y; y: g * x
    Example   >>> torch.linalg.vecdot(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]))
              tensor([11.])
    """
    return answer(f["sum"](x * y, dim), out, "linalg_vecdot", _VECDOT)
