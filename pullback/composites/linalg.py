"""Products of any rank, made of products of matrices as torch makes them, so that graphs look the same."""

from __future__ import annotations

import warnings

from pullback import _core
from pullback.composites.broadcasting import broadcast_shapes
from pullback.composites.shape import function
from pullback.errors import ShapeError
from pullback.primitives.family import composite
from pullback.primitives.registry import public
from pullback.results import CAST, EXACT, Into, answer, castable, with_out
from pullback.trace.tracer import functions as f

Tensor = _core.Tensor


def _needs_gradient(x):
    return getattr(x, "requires_grad", True) and _core.is_grad_enabled()


def _dense(x):
    return not isinstance(x, Tensor) or x._is_contiguous()


def reshaped(x, shape):
    """x under another shape, with the nodes that torch's reshape records."""
    if _dense(x):
        return f["_view"](x, shape) if isinstance(x, Tensor) else f["reshape"](x, shape)
    try:
        return f["_reshape_alias"](x, shape)
    except RuntimeError:
        return f["_unsafe_view"](f["_contiguous"](x), shape)


def _product(sizes):
    n = 1
    for s in sizes:
        n = s * n
    return n


def _product_into(input, other):
    """That of the product which the axes ask for."""
    if input.dim() == other.dim() == 1:
        return f["dot"].declarations[0].out.but(name="matmul")
    return f["mv"].declarations[0].out.but(name="matmul") if 1 in (input.dim(), other.dim()) else EXACT


@function(out=_product_into)
def matmul(input, other):
    """The product of matrices, vectors, or batches of them, which broadcast.

    Shapes    (n, k) @ (k, m) -> (n, m); (k) @ (k) -> (); (*, n, k) @ (*, k, m) -> (*, n, m)
    Dtypes    floats and integers, of one type
    Gradient  input: g @ other.mT; other: input.mT @ g, summed over the batches that were repeated
    Errors    ShapeError where the inner axes or the batches do not fit
    Example   >>> torch.ones(2, 3) @ torch.ones(3)
              tensor([3., 3.])
    """
    try:
        na, nb = input.dim(), other.dim()
    except AttributeError:
        position, wrong = ("input", input) if not hasattr(input, "dim") else ("other", other)
        raise TypeError(
            f"matmul(): argument '{position}' (position {1 + (position == 'other')}) must be Tensor, "
            f"not {type(wrong).__name__}"
        ) from None
    if na == 2:
        if nb == 2:
            return f["mm"](input, other)
        if nb == 1:
            return f["mv"](input, other)
    if na == 0 or nb == 0:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {na}D and {nb}D\n"
            "Use * to scale by a number."
        )
    if na == 1:
        if nb == 1:
            return f["dot"](input, other)
        if nb == 2:
            return f["_squeeze_in_place"](f["mm"](f["unsqueeze"](input, 0), other), (0,))
    if na == nb == 3 and not (_needs_gradient(input) or _needs_gradient(other)):
        if input.size(0) == other.size(0):
            return f["bmm"](input, other)
    elif _should_fold(input, other, na, nb):
        return _folded(input, other, na, nb)
    return _batched(input, other, na, nb)


def _should_fold(a, b, na, nb):
    """Whether one large matrix product does it: when the smaller operand is no batch."""
    large, small = (a, b) if na >= nb else (b, a)
    if large.dim() < 3 or small.dim() > 2:
        return False
    if _needs_gradient(small):
        return True
    if na == 2:
        return False
    if not isinstance(large, Tensor) or large.numel() == 0:
        return True
    if na < nb:
        large = large.mT
    shape, strides = large.shape, large.stride()
    return all(strides[i] == strides[i + 1] * shape[i + 1] for i in range(len(shape) - 2))


def _folded(a, b, na, nb):
    swapped = na < nb
    large = f["transpose"](b, -2, -1) if swapped else a
    small = (f["_t2"](a) if na == 2 else a) if swapped else b
    sizes = tuple(large.shape)
    rows = reshaped(large, (_product(sizes[:-1]), sizes[-1]))
    if small.dim() == 1:
        return f["_unsafe_view"](f["mv"](rows, small), sizes[:-1])
    out = f["_unsafe_view"](f["mm"](rows, small), (*sizes[:-1], small.size(1)))
    return f["_contiguous"](f["transpose"](out, -2, -1)) if swapped else out


def _batched(a, b, na, nb):
    n, k = (a.size(-2) if na > 1 else 1), a.size(-1)
    k2, m = (b.size(-2) if nb > 1 else b.size(-1)), (b.size(-1) if nb > 1 else 1)
    batch_a, batch_b = tuple(a.shape[:-2]), tuple(b.shape[:-2])
    if na == nb == 3 and batch_a[0] != batch_b[0]:
        if batch_a[0] == 1 and _needs_gradient(a):
            return matmul(f["_squeeze"](a, (0,)), b)
        if batch_b[0] == 1 and _needs_gradient(b):
            return matmul(a, f["_squeeze"](b, (0,)))
    batch = _common(batch_a, batch_b)
    count = _product(batch)
    left = reshaped(f["expand"](a, (*batch, n, k)), (count, n, k))
    if nb == 1:
        right = f["unsqueeze"](reshaped(f["expand"](b, (*batch, k2)), (count, k2)), 2)
        return f["_unsafe_view"](f["_squeeze"](f["bmm"](left, right), (2,)), (*batch, n))
    right = reshaped(f["expand"](b, (*batch, k2, m)), (count, k2, m))
    shape = batch + ((n,) if na > 1 else ()) + (m,)
    return f["_unsafe_view"](f["bmm"](left, right), shape)


def _common(a, b):
    n = max(len(a), len(b))
    pad_a, pad_b = (1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b
    for k, (x, y) in enumerate(zip(pad_a, pad_b, strict=True)):
        if x != y and x != 1 and y != 1:
            raise _errors().ShapeError(
                f"The size of tensor a ({x}) must match the size of tensor b ({y}) at non-singleton "
                f"dimension {k}\n"
                f"matmul: the batches {list(a)} and {list(b)} do not broadcast."
            )
    return tuple(y if x == 1 else x for x, y in zip(pad_a, pad_b, strict=True))


def _errors():
    from pullback import errors

    return errors


def linear(input, weight, bias=None, *, out=None):
    """input @ weight.T + bias.

    Shapes    input (*, i), weight (o, i), bias (o) -> (*, o)
    Gradient  input: g @ weight; weight: g.T @ input; bias: the sum of g, all over the axes in front
    Errors    ShapeError where the sizes differ
    Example   >>> torch.linear(torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 1.0]]))
              tensor([3.])
    """
    if out is not None:
        return answer(linear(input, weight, bias), out, "linear", EXACT, (input, weight, bias))
    try:
        if bias is None:
            return matmul(input, f["t"](weight))
        if input.dim() == 2:
            return f["_addmm_layer"](bias, input, f["t"](weight))
        if _dense(input) and bias.dim() == 1 and weight.dim() == 2 and input.dim() > 0:
            shape = tuple(input.shape)
            rows = f["_view"](input, (_product(shape[:-1]), shape[-1]))
            out = f["_addmm_layer"](bias, rows, f["_t2"](weight))
            return f["_view"](out, (*shape[:-1], weight.size(0)))
        return f["add"](matmul(input, f["t"](weight)), bias)
    except RuntimeError:
        if input.dim() and weight.dim():
            raise
        axes = f"{input.dim()}D and {weight.dim()}D"
        raise ShapeError(f"both arguments to linear need to be at least 1D, but they are {axes}") from None


public["linear"] = f["linear"] = linear


def _trilinear(x, w, y):
    """x (n, a), w (k, a, b), y (n, b) -> (n, k)"""
    a, b = w.size(1), w.size(2)
    spread = f["mm"](x, f["reshape"](f["permute"](w, (1, 0, 2)), (a, w.size(0) * b)))
    rows = f["reshape"](spread, (x.size(0), w.size(0), b))
    return f["_squeeze"](f["bmm"](rows, f["unsqueeze"](y, 2)), (2,))


composite(
    "trilinear(Tensor i1, Tensor i2, Tensor i3)",
    _trilinear,
    node="TrilinearBackward0!",
    expose_as="_trilinear",
)


def bilinear(input1, input2, weight, bias=None):
    """input1 @ weight[k] @ input2 for each output k, plus bias.

    Shapes    input1 (*, i), input2 (*, j), weight (o, i, j), bias (o) -> (*, o)
    Gradient  for all four, each linear in its operand
    Errors    RuntimeError where the sizes differ
    Example   >>> torch.bilinear(torch.ones(1, 2), torch.ones(1, 3), torch.ones(1, 2, 3))
              tensor([[6.]])
    """
    if input1.dim() != input2.dim():
        raise RuntimeError(
            f"bilinear(): input dimensions do not match: got {input1.dim()} and {input2.dim()}\n"
            "Both inputs need the same number of axes."
        )
    flat = [reshaped(t, (_product(t.shape[:-1]), t.size(-1))) for t in (input1, input2)]
    out = f["_view"](f["_trilinear"](flat[0], weight, flat[1]), (*input1.shape[:-1], weight.size(0)))
    return out if bias is None else f["add"](out, bias)


public["bilinear"] = f["bilinear"] = bilinear


def _with_factors(name, documentation, check=None):
    """A public function beta * input + alpha * product, by the op for plain ones where both factors are 1."""
    plain, scaled = "_" + name + "_bias", "_" + name + "_scaled"

    def apply(input, a, b, beta, alpha):
        if check is not None:
            check(input, a, b, beta, alpha)
        if beta == 1 and alpha == 1:
            return f[plain](input, a, b)
        return f[scaled](input, a, b, beta, alpha, beta == 0)

    apply.__doc__ = documentation
    return apply


def _check_addmv(x, a, v, beta, alpha):
    if a.dim() != 2 or v.dim() != 1 or x.dim() > 1:
        raise _errors().ShapeError(f"vector + matrix @ vector expected, got {x.dim()}, {a.dim()}, {v.dim()}")
    if a.size(1) != v.size(0) or (x.numel() not in (a.size(0), 1)):
        raise _errors().ShapeError(
            f"size mismatch, got input ({x.size(0) if x.dim() else 1}), mat ({a.size(0)}x{a.size(1)}), "
            f"vec ({v.size(0)})"
        )


def _check_addr(x, a, b, beta, alpha):
    for name, v in (("vec1", a), ("vec2", b)):
        if v.dim() != 1:
            raise _errors().ShapeError(f"addr: Expected 1-D argument {name}, but got {v.dim()}-D")
    _check_factors("beta", beta, x)
    _check_factors("alpha", alpha, x)


def _check_factors(name, factor, x):
    if isinstance(factor, float) and not x.dtype.is_floating_point:
        raise _errors().DtypeError(
            f"For integral input tensors, argument {name} must not be a floating point number."
        )


_addmm = _with_factors("addmm", "")
_addmv = _with_factors("addmv", "", _check_addmv)
_addbmm = _with_factors("addbmm", "")
_baddbmm = _with_factors("baddbmm", "")
_addr = _with_factors("addr", "", _check_addr)


@function(out=EXACT.but(apart="part"))
def addmm(input, mat1, mat2, *, beta=1, alpha=1):
    """beta * input + alpha * (mat1 @ mat2).

    Shapes    input broadcasts to (n, m), mat1 (n, k), mat2 (k, m) -> (n, m)
    Gradient  input: beta * g; mat1: alpha * g @ mat2.T; mat2: alpha * mat1.T @ g
    Errors    ShapeError where the inner axes differ
    Example   >>> torch.addmm(torch.ones(1, 1), torch.ones(1, 2), torch.ones(2, 1))
              tensor([[3.]])
    """
    return _addmm(input, mat1, mat2, beta, alpha)


@function(out=EXACT.but(apart="part"))
def addmv(input, mat, vec, *, beta=1, alpha=1):
    """beta * input + alpha * (mat @ vec).

    Shapes    input broadcasts to (n), mat (n, k), vec (k) -> (n)
    Gradient  input: beta * g; mat: alpha * outer(g, vec); vec: alpha * mat.T @ g
    Errors    ShapeError where k differs
    Example   >>> torch.addmv(torch.ones(1), torch.ones(1, 2), torch.ones(2))
              tensor([3.])
    """
    return _addmv(input, mat, vec, beta, alpha)


@function(out=Into("self and mat2 must have the same dtype, but got {Out} and {Result}", apart="part"))
def addbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """beta * input + alpha * the sum of the products of two batches.

    Shapes    input broadcasts to (n, m), batch1 (b, n, k), batch2 (b, k, m) -> (n, m)
    Gradient  input: beta * g; each pair of matrices as in addmm
    Errors    RuntimeError where the sizes differ
    Example   >>> torch.addbmm(torch.ones(1, 1), torch.ones(3, 1, 2), torch.ones(3, 2, 1))
              tensor([[7.]])
    """
    return _addbmm(input, batch1, batch2, beta, alpha)


@function(out=EXACT.but(apart="part"))
def baddbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """beta * input + alpha * (batch1 @ batch2).

    Shapes    input broadcasts to (b, n, m), batch1 (b, n, k), batch2 (b, k, m) -> (b, n, m)
    Gradient  input: beta * g; each pair of matrices as in addmm
    Errors    RuntimeError where the sizes differ
    Example   >>> torch.baddbmm(torch.ones(1, 1, 1), torch.ones(2, 1, 2), torch.ones(2, 2, 1)).flatten()
              tensor([3., 3.])
    """
    return _baddbmm(input, batch1, batch2, beta, alpha)


@function(out=CAST)
def addr(input, vec1, vec2, *, beta=1, alpha=1):
    """beta * input + alpha * outer(vec1, vec2).

    Shapes    input broadcasts to (n, m), vec1 (n), vec2 (m) -> (n, m)
    Gradient  input: beta * g; vec1: alpha * g @ vec2; vec2: alpha * g.T @ vec1
    Errors    RuntimeError for what are no vectors
    Example   >>> torch.addr(torch.ones(1, 2), torch.ones(1), torch.tensor([1.0, 2.0]))
              tensor([[2., 3.]])
    """
    return _addr(input, vec1, vec2, beta, alpha)


@function(out=CAST.but(apart="all", name="mul"))
def outer(input, vec2):
    """All products of the elements of two vectors.

    Shapes    input (n), vec2 (m) -> (n, m)
    Gradient  input: g @ vec2; vec2: g.T @ input
    Errors    RuntimeError for what are no vectors
    Example   >>> torch.outer(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
              tensor([[3., 4.],
                      [6., 8.]])
    """
    if input.dim() != 1 or vec2.dim() != 1:
        name, v = ("self", input) if input.dim() != 1 else ("vec2", vec2)
        raise _errors().ShapeError(f"outer: Expected 1-D argument {name}, but got {v.dim()}-D")
    return f["mul"](reshaped(input, (input.size(0), 1)), vec2)


@function(out=CAST.but(apart="all", name="mul"))
def ger(input, vec2):
    """outer() by its old name.

    Shapes    input (n), vec2 (m) -> (n, m)
    Gradient  as of outer
    Example   >>> torch.ger(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
              tensor([[3., 4.],
                      [6., 8.]])
    """
    return outer(input, vec2)


CONTRACTED = Into(
    "tensordot: Expected the output tensor to have dtype {Result}, but got an output tensor with dtype {Out}",
    recorded=True,
)


@function(out=CONTRACTED)
def inner(input, other):
    """Sums of products along the last axes.

    Shapes    input (*a, n), other (*b, n) -> (*a, *b)
    Gradient  input: g times other, summed over other's axes; other: the same with input
    Errors    RuntimeError where the last axes differ
    Example   >>> torch.inner(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
              tensor(11.)
    """
    if input.dim() == 0 or other.dim() == 0:
        return input * other
    if input.size(-1) != other.size(-1):
        raise _errors().ShapeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input.shape)} and {list(other.shape)}"
        )
    return tensordot(input, other, ([-1], [-1]))


def _contracted(a, b, dims):
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.dim(), b.dim()):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        return list(range(a.dim() - dims, a.dim())), list(range(dims))
    first, second = ([d] if isinstance(d, int) else list(d) for d in dims)
    return [d % a.dim() for d in first], [d % b.dim() for d in second]


def tensordot(a, b, dims=2):
    """Sums of products over several axes of two tensors.

    Shapes    a (*x, *s), b (*s, *y) -> (*x, *y), with s of `dims` axes or the named ones
    Gradient  for both, each linear in its operand
    Errors    RuntimeError where the axes differ
    Example   >>> torch.tensordot(torch.ones(2, 3), torch.ones(3, 4), dims=1).shape
              torch.Size([2, 4])
    """
    along_a, along_b = _contracted(a, b, dims)
    if len(along_a) != len(along_b):
        raise RuntimeError("both dimension lists should have same length")
    for i, j in zip(along_a, along_b, strict=True):
        if a.size(i) != b.size(j) and a.size(i) != 1 and b.size(j) != 1:
            raise _errors().ShapeError(
                f"contracted dimensions need to match, but first has size {a.size(i)} in dim {i - a.dim()} "
                f"and second has size {b.size(j)} in dim {j}"
            )
        if a.size(i) != b.size(j):
            if a.size(i) == 1:
                b = f["sum"](b, (j,), True)
            else:
                a = f["sum"](a, (i,), True)
    free_a = [d for d in range(a.dim()) if d not in along_a]
    free_b = [d for d in range(b.dim()) if d not in along_b]
    n, k = _product(a.size(d) for d in free_a), _product(a.size(d) for d in along_a)
    m = _product(b.size(d) for d in free_b)
    left, right = f["permute"](a, (*free_a, *along_a)), f["permute"](b, (*along_b, *free_b))
    shape = tuple(a.size(d) for d in free_a) + tuple(b.size(d) for d in free_b)
    if left.dim() == right.dim() == 1 and along_a:
        return f["_view"](f["dot"](left, right), shape)
    return f["_view"](f["mm"](reshaped(left, (n, k)), reshaped(right, (k, m))), shape)


f["tensordot"] = tensordot
public["tensordot"] = with_out(tensordot, CONTRACTED)


def _cheapest_splits(sizes):
    """Where to cut a chain of matrices of these sizes, for each part of it: the textbook's programme."""
    n = len(sizes) - 1
    cost, cut = {(i, i): 0 for i in range(n)}, {}
    for length in range(2, n + 1):
        for i in range(n - length + 1):
            j = i + length - 1
            cost[i, j] = None
            for k in range(i, j):
                c = cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1]
                if cost[i, j] is None or c < cost[i, j]:
                    cost[i, j], cut[i, j] = c, k
    return cut


MULTI_DOT = Into("multi_dot(): expected out tensor to have dtype {result} but got {out}", name="mm")


def multi_dot(tensors, *, out=None):
    """The product of a chain of matrices in the cheapest order; the first and the last may be vectors.
    Gradient  for every matrix
    Errors    RuntimeError for fewer than two, or for a middle one that is no matrix

    >>> import pullback as torch
    >>> torch.linalg.multi_dot([torch.ones(2), torch.ones(2, 3), torch.ones(3)])
    tensor(6.)

    Shapes    (a, b), (b, c), ..., (y, z) -> (a, z);  without a or z where an end is a vector
    """
    tensors = list(tensors)
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    shape = (*tensors[0].shape[:-1], *tensors[-1].shape[1:])
    if tensors[0].dim() == 1:
        tensors[0] = f["unsqueeze"](tensors[0], 0)
    if tensors[-1].dim() == 1:
        tensors[-1] = f["unsqueeze"](tensors[-1], -1)
    for k, t in enumerate(tensors):
        if t.dim() != 2:
            raise RuntimeError(f"multi_dot(): tensor {k} must be 2D but got {t.dim()}D")
    cut = _cheapest_splits([tensors[0].size(0), *(t.size(1) for t in tensors)])

    def product(i, j):
        return tensors[i] if i == j else f["mm"](product(i, cut[i, j]), product(cut[i, j] + 1, j))

    result = f["_view"](product(0, len(tensors) - 1), shape)
    return answer(result, out, "multi_dot", MULTI_DOT, tensors)


f["linalg_multi_dot"] = multi_dot


@function(out=MULTI_DOT)
def chain_matmul(*matrices):
    """The product of several matrices, in the cheapest order.

    Shapes    (a, b), (b, c), (c, d), ... -> (a, d)
    Gradient  for every matrix
    Errors    RuntimeError where neighbours do not fit
    Example   >>> torch.chain_matmul(torch.ones(1, 2), torch.ones(2, 3), torch.ones(3, 1))
              tensor([[6.]])
    """
    return f["_clone"](matrices[0]) if len(matrices) == 1 else multi_dot(matrices)


def linalg_cross(input, other, *, dim=-1):
    """The cross product of vectors of length 3 along an axis.

    Shapes    input (*a), other (*b), both with 3 along dim -> broadcast(a, b)
    Gradient  input: cross(other, g); other: cross(g, input)
    Errors    ShapeError for other sizes, or different numbers of axes
    Example   >>> torch.linalg.cross(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]))
              tensor([0., 0., 1.])
    """
    if input.dim() != other.dim():
        raise _errors().ShapeError("linalg.cross: inputs must have the same number of dimensions.")
    if input.size(dim) != 3 or other.size(dim) != 3:
        raise _errors().ShapeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.size(dim)} and "
            f"{other.size(dim)}"
        )
    broadcast_shapes(tuple(input.shape), tuple(other.shape))
    return f["_linalg_cross"](input, other, dim % input.dim())


f["linalg_cross"] = linalg_cross
CROSSED = EXACT.but(apart="all", name="linalg_cross")


@function(out=CROSSED)
def cross(input, other, dim=None):
    """The cross product of vectors of length 3; without dim along the first axis of that size.

    Shapes    input (*a), other (*b), both with an axis of 3 -> broadcast(a, b)
    Gradient  input: cross(other, g); other: cross(g, input)
    Errors    RuntimeError where no axis, or not the given one, has size 3
    Example   >>> torch.cross(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]), dim=0)
              tensor([0., 0., 1.])
    """
    if dim is None:
        warnings.warn(
            "Using torch.cross without specifying the dim arg is deprecated.\n"
            "Please either pass the dim explicitly or simply use torch.linalg.cross.\n"
            "The default value of dim will change to agree with that of linalg.cross in a future release.",
            UserWarning,
            stacklevel=2,
        )
        dim = next((k for k in range(input.dim()) if input.size(k) == 3), None)
        if dim is None:
            raise _errors().ShapeError("no dimension of size 3 in input")
    return linalg_cross(input, other, dim=dim)


@function(
    out=(
        EXACT.but(name="matmul").after(
            Into(
                "matrix_power: Expected result to be safely castable from {Result} dtype, but got result "
                "with dtype {Out}",
                castable,
            )
        )
    )
)
def matrix_power(input, n):
    """A square matrix multiplied with itself.

    Shapes    input (*, n, n) -> (*, n, n)
    Gradient  through the products
    Errors    RuntimeError for what is not square, and for a negative power
    Example   >>> torch.matrix_power(torch.tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
              tensor([[1., 3.],
                      [0., 1.]])
    """
    if n < 0:
        raise RuntimeError("matrix_power: negative exponents need an inverse, which is not available")
    if n == 0:
        ones = f["_full_like"](f["diagonal"](input.detach(), 0, -2, -1), 1)
        return f["copy_"](f["_clone"](input), f["_diagonal_backward"](ones, tuple(input.shape), 0, -2, -1))
    if n == 3:
        return matmul(matmul(input, input), input)
    out = None
    square = input
    while n:
        if n & 1:
            out = square if out is None else matmul(out, square)
        n >>= 1
        if n:
            square = matmul(square, square)
    return f["_clone"](out) if out is input else out
