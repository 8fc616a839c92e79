"""Reductions with options: moments, norms, differences."""

from __future__ import annotations

import math
import warnings

from pullback import _core
from pullback.arguments import checked
from pullback.composites.shape import function, wrap
from pullback.primitives.family import composite
from pullback.primitives.order import MEDIAN_INTO
from pullback.primitives.reduce import count, listed, typed
from pullback.primitives.registry import expose, methods, ops
from pullback.results import CAST, EXACT, FREE, answer
from pullback.trace.tracer import functions as f
from pullback.types import strided

# ---- variance and standard deviation ----
# `unbiased` is the older name of a correction of 1 or 0.


def _warn_of_freedom(name, x, dim, correction):
    """Said at every call, not only when a program is made."""
    if not x.dtype.is_floating_point:
        return  # refused
    correction = 1 if correction is None else correction
    if type(dim) is int:
        n = x.size(dim) if x.ndim else wrap(dim, 0) + 1
    else:
        n = count(x, dim)
    if n <= correction or not x.numel():
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the reduction "
            "factor (input numel divided by output numel).",
            UserWarning,
            stacklevel=3,
        )


def _moments(name, kernel):
    def moments(x, dim, correction, keepdim):
        dim = listed(dim)
        if not x.dtype.is_floating_point and name == "std_mean":
            raise RuntimeError(
                "std_mean only support floating point and complex dtypes\nConvert the tensor with .float()."
            )
        correction = 1.0 if correction is None else correction
        return kernel(x, dim, correction, keepdim)

    return moments


def _std_mean(x, dim, correction, keepdim):
    _, mean = f["_var_mean"](x, dim, correction, keepdim)
    return f["_std"](x, dim, correction, keepdim), mean


def _declare(name, kernel, outputs):
    node = "".join(part.capitalize() for part in name.split("_")) + "Backward0!"
    m = _moments(name, kernel)

    def overload(kind, parameters, arguments):
        """`arguments` brings the values of a call into the order (dim, correction, keepdim)."""

        def check_call(x, *values):
            dim, correction, _ = arguments(*values)
            _warn_of_freedom(name, x, dim, correction)

        composite(
            f"{name}(Tensor input, {parameters})",
            lambda x, *values: m(x, *arguments(*values)),
            name=f"{name}_{kind}",
            check_call=check_call,
            node=node,
            outputs=outputs,
            expose_as="-",
            out=FREE if outputs == 1 else False,
        )

    def by_flag(dim, unbiased, keepdim):
        return dim, float(unbiased), keepdim

    overload("correction", "int[]? dim=None, *, float? correction=None, bool keepdim=False", lambda *v: v)
    overload("dim", "int[]? dim, bool unbiased, bool keepdim=False", by_flag)
    overload("unbiased", "int[]? dim, *, bool unbiased, bool keepdim=False", by_flag)
    overload("all", "bool unbiased", lambda unbiased: ((), float(unbiased), False))
    expose(
        name,
        *(ops[f"{name}_{kind}"] for kind in ("correction", "dim", "unbiased", "all")),
        method=outputs == 1,
    )


_declare("var", lambda *a: f["_var"](*a), 1)
_declare("std", lambda *a: f["_std"](*a), 1)
_declare("var_mean", lambda *a: f["_var_mean"](*a), 2)
_declare("std_mean", _std_mean, 2)

# ---- norms ----


def _check_norm_type(dtype):
    if dtype is not None and not dtype.is_floating_point:
        name = dtype._legacy.removesuffix("Tensor")
        raise RuntimeError(f"linalg.vector_norm: dtype should be floating point or complex, but got {name}")


def _vector_norm(x, p, dim, keepdim, dtype):
    if x.dtype.is_floating_point:
        _check_norm_type(dtype)
        x = typed(x, dtype)
    return f["_vector_norm"](x, p, listed(dim), keepdim)


composite(
    "linalg_vector_norm(Tensor input, float ord=2.0, int[]? dim=None, bool keepdim=False, *, dtype? "
    "dtype=None)",
    _vector_norm,
    name="linalg_vector_norm",
    expose_as="_linalg_vector_norm",
)


def linalg_vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None, out=None):
    """(sum of |x|**ord) ** (1 / ord), along axes or of all elements.

    Shapes    x (*) -> () without dim; with it, those axes go away (keepdim: have size 1)
    Gradient  for ord=2 g * x / out, 0 where out is 0; ord=1 g * sign(x); ord=inf shared by the largest
    Errors    DtypeError for elements that are no floats
    Example   >>> torch.linalg.vector_norm(torch.tensor([3.0, 4.0]))
              tensor(5.)
    """
    return answer(
        f["_linalg_vector_norm"](x, ord, dim, keepdim, dtype=dtype), out, "linalg_vector_norm", EXACT
    )


f["linalg_vector_norm"] = linalg_vector_norm


def _frobenius(input, dim, keepdim, dtype):
    if isinstance(dim, int):
        dim = (dim,)
    if dim is not None and len(dim) > 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {' '.join(map(str, dim))}")
    return f["_linalg_vector_norm"](input, 2.0, dim, keepdim, dtype=dtype)


def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    """The p-norm of all elements, or along axes; 'fro' is p = 2.

    Shapes    input (*) -> () without dim; with it, those axes go away (keepdim: have size 1)
    Gradient  for p=2 g * input / out, 0 where out is 0

    >>> import pullback as torch
    >>> torch.norm(torch.tensor([3.0, 4.0]))
    tensor(5.)

    Example   >>> torch.norm(torch.tensor([3.0, 4.0]))
              tensor(5.)
    """
    if input.layout is not strided:  # what is no tensor is refused here, as in torch
        raise NotImplementedError("norm: there are only dense tensors")
    if isinstance(p, _core.Tensor):
        if p.dim():
            checked("linalg_vector_norm", input, p, dim, keepdim, dtype=dtype)
        p = p.item()
    if p is None or p == "fro":
        return answer(_frobenius(input, dim, keepdim, dtype), out, "linalg_vector_norm", EXACT)
    if p == "nuc":
        raise NotImplementedError(
            "norm: the nuclear norm needs a singular value decomposition, which pullback has not"
        )
    if isinstance(p, str):
        raise RuntimeError(f"linalg.matrix_norm: Order {p} not supported.")
    return linalg_vector_norm(input, p, dim, keepdim, dtype=dtype, out=out)


def _norm(self, p="fro", dim=None, keepdim=False, dtype=None):
    """The p-norm of all elements, or along axes; 'fro' is p = 2.

    Shapes    (*) -> () without dim; with it, those axes go away (keepdim: have size 1)
    Gradient  for p=2 g * self / out, 0 where out is 0
    Example   >>> torch.tensor([3.0, 4.0]).norm()
              tensor(5.)
    """
    return norm(self, p, dim, keepdim, dtype=dtype)


function(norm)
_norm.__name__, _norm.__qualname__ = "norm", "Tensor.norm"
methods["norm"] = _norm  # without out


def _dist(x, y, p):
    if not (x.dtype.is_floating_point or y.dtype.is_floating_point):
        name = x.dtype._legacy.removesuffix("Tensor")
        raise RuntimeError(
            f"norm(): input dtype should be either floating point or complex. Got {name} instead."
        )
    return f["_vector_norm"](x - y, p, (), False)


composite(
    "dist(Tensor input, Tensor other, float p=2.0)", _dist, out=False, doc="The p-norm of the difference."
)


def median(input, *args, **kwargs):
    """The lower of the middle elements, of all or along an axis; nan if there is one.

    Shapes    input (*) -> (); with dim two of (*) without that axis (keepdim: of size 1): values and
              positions
    Gradient  of all: shared by the elements that equal the median; along an axis: to the one that was taken
    Example   >>> torch.median(torch.tensor([4.0, 1.0, 3.0, 2.0]))
              tensor(2.)
    """
    return _median("median", input, args, kwargs)


def nanmedian(input, *args, **kwargs):
    """The lower of the middle elements, of all or along an axis; nan is left out.

    Shapes    input (*) -> (); with dim two of (*) without that axis (keepdim: of size 1): values and
              positions
    Gradient  as of median
    Example   >>> torch.nanmedian(torch.tensor([1.0, torch.nan, 3.0]))
              tensor(1.)
    """
    return _median("nanmedian", input, args, kwargs)


_of_op = {g.__name__: f[g.__name__] for g in (median, nanmedian)}
function(median, out=MEDIAN_INTO)
function(nanmedian, out=MEDIAN_INTO)


def _median(name, input, args, kwargs):
    if not args and not kwargs and isinstance(input, _core.Tensor) and input.numel() == 0:
        return f["sum"](input) * math.nan  # keeps its place in the graph
    return _of_op[name](input, *args, **kwargs)


# ---- differences and means that leave nan out ----


def diff(input, n=1, dim=-1, prepend=None, append=None):
    """The differences of neighbours along an axis, n times.

    Shapes    input (*, n, *) -> (*, n - 1, *), one less each time; prepend and append make the axis longer
              before
    Gradient  the differences of g, with the sign turned over and a zero at either end
    Example   >>> torch.diff(torch.tensor([1.0, 4.0, 9.0]))
              tensor([3., 5.])
    """
    if input.dim() == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    if n == 0:  # without what would be put before and after, as in torch
        return f["_clone"](input)
    pieces = [
        t if t is input or t.dim() else _as_column(t, input, dim)
        for t in (prepend, input, append)
        if t is not None
    ]
    out = f["cat"](pieces, dim) if len(pieces) > 1 else input
    for _ in range(min(n, out.size(dim))):
        size = out.size(dim)
        later, earlier = f["_slice"](out, dim, 1, size, 1), f["_slice"](out, dim, 0, size - 1, 1)
        out = f["bitwise_xor"](later, earlier) if out.dtype == _core.bool else f["sub"](later, earlier)
    return out


def _as_column(value, like, dim):
    shape = list(like.shape)
    shape[dim] = 1
    return f["expand"](value, tuple(shape))


function(diff, out=CAST.but(apart="all", name="sub"))


def nanmean(input, dim=None, keepdim=False, *, dtype=None):
    """The mean of what is not nan.

    Shapes    input (*) -> (); with dim without those axes (keepdim: of size 1)
    Gradient  g / the number of what is not nan; 0 where it is
    Example   >>> torch.nanmean(torch.tensor([1.0, torch.nan, 3.0]))
              tensor(2.)
    """
    if not input.dtype.is_floating_point:
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{input.dtype._legacy.removesuffix('Tensor')}"
        )
    if dtype is not None and not dtype.is_floating_point:
        raise RuntimeError(
            "nanmean(): could not infer output dtype. Optional dtype must be either a floating point or "
            f"complex dtype. Got: {dtype._legacy.removesuffix('Tensor')}"
        )
    n = f["sum"](f["logical_not"](f["isnan"](input.detach())), dim, keepdim)
    return f["div"](f["nansum"](input, dim, keepdim, dtype=dtype), n)


function(nanmean, out=ops["nansum"].out.but(name="nansum"))


def trapezoid(y, x=None, *, dx=1, dim=-1):
    """The integral along an axis by the trapezoidal rule, for equal steps or for the places x.

    Shapes    y (*, n, *), x (n) or as y -> (*, *)
    Gradient  for y and x
    Example   >>> torch.trapezoid(torch.tensor([1.0, 2.0, 4.0]))
              tensor(4.5000)
    """
    n = y.size(dim)
    later, earlier = f["_slice"](y, dim, 1, n, 1), f["_slice"](y, dim, 0, max(n - 1, 0), 1)
    if x is None:
        ends = f["select"](y, dim, 0) + f["select"](y, dim, n - 1)
        return f["_mul_number"](f["sum"](y, dim) - f["_mul_number"](ends, 0.5), dx)
    if x.dim() == 1 and y.dim() > 1:
        shape = [1] * y.dim()
        shape[dim] = x.numel()
        x = f["reshape"](x, tuple(shape))
    return f["_div_number"](f["sum"]((earlier + later) * diff(x, 1, dim), dim), 2)


function(trapezoid)
