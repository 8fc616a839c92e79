"""Products of vectors and matrices: linear in each operand."""

from __future__ import annotations

from pullback.primitives.family import composite, kernel, multilinear, sum_to, view
from pullback.primitives.registry import ANY
from pullback.trace.tracer import functions as f


def transposed(x):
    return f["transpose"](x, -2, -1)


multilinear("mm(Tensor input, Tensor mat2)", lambda g, a, b: (f["mm"](g, transposed(b)), f["mm"](transposed(a), g)),
            dtypes=ANY, doc="The product of two matrices.")  # fmt: skip
multilinear("bmm(Tensor input, Tensor mat2)",
            lambda g, a, b: (f["bmm"](g, transposed(b)), f["bmm"](transposed(a), g)), dtypes=ANY,
            doc="The products of two batches of matrices.")  # fmt: skip
multilinear("mv(Tensor input, Tensor vec)",
            lambda g, a, v: (f["unsqueeze"](g, 1) * f["unsqueeze"](v, 0), f["mv"](f["transpose"](a, 0, 1), g)),
            dtypes=ANY, doc="The product of a matrix and a vector.")  # fmt: skip
multilinear("dot(Tensor input, Tensor tensor)", lambda g, a, b: (g * b, g * a), dtypes=ANY,
            doc="The inner product of two vectors.")  # fmt: skip
composite("vdot(Tensor input, Tensor other)", lambda a, b: f["dot"](a, b), dtypes=ANY)

# What matmul does to its operands carries the names that torch's nodes have there.
view("squeeze(Tensor input, int[] dim)", lambda g, x, dim: f["reshape"](g, x.shape), name="squeeze_in_place",
     expose_as="_squeeze_in_place", node="SqueezeBackward4!", dtypes=ANY)  # fmt: skip
view("view(Tensor input, size[] size)", lambda g, x, size: f["reshape"](g, x.shape), name="reshape_alias",
     expose_as="_reshape_alias", node="ReshapeAliasBackward0!", dtypes=ANY)  # fmt: skip

# ---- a product plus something: beta input + alpha product ----


def _addmm_vjp(g, values, out):
    bias, a, b = values
    return sum_to(g, bias), f["mm"](g, transposed(b)), f["mm"](transposed(a), g)


kernel("addmm(Tensor input, Tensor mat1, Tensor mat2)", _addmm_vjp, name="addmm_bias", kernel="addmm_bias",
       node="AddmmBackward0!", expose_as="_addmm_bias", dtypes=ANY)  # fmt: skip


def _combined(x, product, beta, alpha):
    """beta x + alpha product; a beta of 0 leaves x out, nan or not."""
    if not product.dtype.is_floating_point and any(k.kind == 2 for k in (beta, alpha)):
        beta, alpha = (_whole(k) for k in (beta, alpha))
    return f["fma"](product, alpha, beta * f["expand"](x, product.shape))


def _whole(k):
    return k


