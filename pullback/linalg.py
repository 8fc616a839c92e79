"""pullback.linalg: what there is of torch.linalg."""

from __future__ import annotations

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


def norm(A, ord=None, dim=None, keepdim=False, *, out=None, dtype=None):
    """The norm of a vector or, for ord None or 'fro', of all elements.

    Shapes    A (*) -> () without dim; with it, those axes go away (keepdim: have size 1)
    Gradient  as of vector_norm: for ord=2 g * A / out, 0 where out is 0
    Errors    NotImplementedError for another matrix norm than 'fro'
    Example   >>> torch.linalg.norm(torch.tensor([3.0, 4.0]))
              tensor(5.)
    """
    if ord is None or ord == "fro":
        return answer(vector_norm(A, 2, dim, keepdim, dtype=dtype), out, "linalg_vector_norm", _NORM)
    if (dim is None and A.dim() != 1) or (isinstance(dim, (tuple, list)) and len(dim) == 2):
        raise NotImplementedError("linalg.norm: matrix norms other than 'fro' are not supported yet")
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
