"""Products of vectors and matrices: linear in each operand."""

from __future__ import annotations

from pullback.primitives.family import composite, kernel, multilinear, sum_to, view
from pullback.primitives.registry import ANY
from pullback.results import Into
from pullback.trace.tracer import functions as f


def transposed(x):
    return f["transpose"](x, -2, -1)


multilinear(
    "mm(Tensor input, Tensor mat2)",
    lambda g, a, b: (f["mm"](g, transposed(b)), f["mm"](transposed(a), g)),
    dtypes=ANY,
    doc="The product of two matrices.",
)
multilinear(
    "bmm(Tensor input, Tensor mat2)",
    lambda g, a, b: (f["bmm"](g, transposed(b)), f["bmm"](transposed(a), g)),
    dtypes=ANY,
    doc="The products of two batches of matrices.",
)
multilinear(
    "mv(Tensor input, Tensor vec)",
    lambda g, a, v: (f["unsqueeze"](g, 1) * f["unsqueeze"](v, 0), f["mv"](f["transpose"](a, 0, 1), g)),
    dtypes=ANY,
    doc="The product of a matrix and a vector.",
    out=Into("addmv input tensors must have the same dtype, but got {Out}, {Result}, and {Result}"),
)
multilinear(
    "dot(Tensor input, Tensor tensor)",
    lambda g, a, b: (g * b, g * a),
    dtypes=ANY,
    doc="The inner product of two vectors.",
    out=Into("result dtype {Out} does not match input dtype {Result}"),
)
composite(
    "vdot(Tensor input, Tensor other)",
    lambda a, b: f["dot"](a, b),
    dtypes=ANY,
    out=Into("result dtype {Out} does not match input dtype {Result}"),
)

# What matmul does to its operands carries the names that torch's nodes have there.
view(
    "squeeze(Tensor input, int[] dim)",
    lambda g, x, dim: f["reshape"](g, x.shape),
    name="squeeze_in_place",
    expose_as="_squeeze_in_place",
    node="SqueezeBackward4!",
    dtypes=ANY,
)
view(
    "view(Tensor input, size[] size)",
    lambda g, x, size: f["reshape"](g, x.shape),
    name="reshape_alias",
    expose_as="_reshape_alias",
    node="ReshapeAliasBackward0!",
    dtypes=ANY,
)

# ---- a product plus something: beta input + alpha product ----


def _addmm_vjp(g, values, out):
    bias, a, b = values
    return sum_to(g, bias), f["mm"](g, transposed(b)), f["mm"](transposed(a), g)


def _layer_vjp(g, values, out):
    """mat2 is a transposed weight: its cotangent is laid out like it, so that the weight's needs no copy."""
    bias, a, b = values
    return sum_to(g, bias), f["mm"](g, transposed(b)), transposed(f["mm"](transposed(g), a))


for _name, _vjp in (("addmm_bias", _addmm_vjp), ("addmm_layer", _layer_vjp)):
    kernel(
        "addmm(Tensor input, Tensor mat1, Tensor mat2)",
        _vjp,
        name=_name,
        kernel="addmm_bias",
        node="AddmmBackward0!",
        expose_as=f"_{_name}",
        dtypes=ANY,
        apart=None,
    )


def combined(x, product, beta, alpha, ignore):
    """beta x + alpha product, the last product and sum rounded together; `ignore` leaves x out."""
    if not product.dtype.is_floating_point:  # factors of integers are integers
        beta, alpha = f["_full_like"](product, beta), f["_full_like"](product, alpha)
    product = product * alpha
    return product if ignore else f["fma"](x, beta, product)


def _declare(name, operands, product, apart=None, check=None):
    """beta input + alpha product(...): with plain ones, and with factors."""

    def scaled(x, a, b, beta, alpha, ignore):
        if check:
            check(x, a, b)
        p = product(a, b)
        return combined(f["expand"](x, p.shape), p, beta, alpha, ignore)

    def plain(x, a, b):
        p = product(a, b)
        return f["expand"](x, p.shape) + p

    node = name.capitalize() + "Backward0!"
    composite(
        f"{name}(Tensor input, {operands}, Scalar beta, Scalar alpha, bool ignore)",
        scaled,
        name=name + "_scaled",
        node=node,
        expose_as=f"_{name}_scaled",
        dtypes=ANY,
        apart=apart,
    )
    if name != "addmm":
        composite(
            f"{name}(Tensor input, {operands})",
            plain,
            name=name + "_plain",
            node=node,
            expose_as=f"_{name}_bias",
            dtypes=ANY,
            apart=apart,
        )


def outer(a, b):
    return f["unsqueeze"](a, 1) * f["unsqueeze"](b, 0)


_declare(
    "addmm",
    "Tensor mat1, Tensor mat2",
    lambda a, b: f["mm"](a, b),
    check=lambda *operands: f["_addmm_bias"](*operands),  # refuses with torch's words
)
_declare("addmv", "Tensor mat, Tensor vec", lambda a, b: f["mv"](a, b))
_declare("addbmm", "Tensor batch1, Tensor batch2", lambda a, b: f["sum"](f["bmm"](a, b), 0))
_declare("baddbmm", "Tensor batch1, Tensor batch2", lambda a, b: f["bmm"](a, b))
_declare("addr", "Tensor vec1, Tensor vec2", outer, apart="part")


# ---- traces, cross products ----


def _trace(x):
    if x.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {x.ndim}")
    return f["sum"](f["diagonal"](x, 0, 0, 1))


composite("trace(Tensor input)", _trace, dtypes=ANY, out=False, doc="The sum of the diagonal of a matrix.")


def _cross(a, b, dim):
    part = lambda x, k: f["roll"](x, (k,), (dim,))  # noqa: E731
    return part(a, -1) * part(b, -2) - part(a, -2) * part(b, -1)


composite("linalg_cross(Tensor input, Tensor other, int dim)", _cross, expose_as="_linalg_cross", dtypes=ANY)
