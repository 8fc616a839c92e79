"""Covariances, quantiles and histograms."""

from __future__ import annotations

import math

from pullback import _core, creation
from pullback.composites.elementwise_more import scalar_name
from pullback.composites.reduction import diff
from pullback.composites.shape import function, wrap
from pullback.results import EXACT, Into
from pullback.trace.tracer import functions as f

Tensor = _core.Tensor


@function
def cov(input, *, correction=1, fweights=None, aweights=None):
    """The covariances of the rows, which are variables; columns are observations.

    Shapes    (n, m)  ->  (n, n);  (m)  ->  ()
    Gradient  for input and aweights
    Errors    RuntimeError for more than two axes and for bools
    Example   >>> import pullback as torch
              >>> torch.cov(torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
              tensor([[ 1., -1.],
                      [-1.,  1.]])
    """
    if input.dim() > 2:
        raise RuntimeError(
            "cov(): expected input to have two or fewer dimensions but got an input with "
            f"{input.dim()} dimensions"
        )
    if input.dtype == _core.bool:
        raise RuntimeError("cov(): bool dtype is not supported for input\nConvert it with .float().")
    x = input if input.dtype.is_floating_point else input.to(_core.get_default_dtype())
    x = x if x.dim() == 2 else f["_view"](x, (1, -1)) if x.dim() == 1 else f["_view"](x, (1, 1))
    weights = fweights if aweights is None else aweights if fweights is None else fweights * aweights
    if weights is None:
        total, mean = x.size(1), f["sum"](x, [1]) / x.size(1)
        norm = total - correction
    else:
        total = f["sum"](weights)
        mean = f["sum"](x * weights, [1]) / total
        norm = total - correction
        if aweights is not None and correction:
            norm = total - correction * f["sum"](weights * aweights) / total
    centered = x - f["unsqueeze"](mean, 1)
    other = f["t"](centered if weights is None else centered * weights)
    norm = f["clamp"](norm, min=0) if isinstance(norm, Tensor) else max(norm, 0)
    product = f["mm"](centered, other)
    if not isinstance(norm, Tensor):  # a division by 0 is the elements' affair
        norm = creation.full((), float(norm), dtype=product.dtype)
    return f["squeeze"](product / norm)


@function
def corrcoef(input):
    """The correlations of the rows, which are variables; columns are observations.

    Shapes    (n, m)  ->  (n, n);  (m)  ->  ()
    Gradient  for input
    Example   >>> import pullback as torch
              >>> torch.corrcoef(torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
              tensor([[ 1., -1.],
                      [-1.,  1.]])
    """
    if input.dim() > 2:
        raise RuntimeError(
            "corrcoef(): expected input to have two or fewer dimensions but got an input with "
            f"{input.dim()} dimensions"
        )
    c = cov(input)
    if c.dim() == 0:
        return c / c
    deviation = f["sqrt"](f["diagonal"](c))
    c = c / f["_view"](deviation, (-1, 1)) / f["_view"](deviation, (1, -1))
    return f["clamp"](c, -1, 1)


@function
def cumulative_trapezoid(y, x=None, *, dx=1, dim=-1):
    """The integrals up to each place along an axis by the trapezoidal rule, for equal steps or the places x.

    Shapes    (*, n, *)  ->  (*, n - 1, *)
    Gradient  for y and x
    Errors    RuntimeError for another number of places
    Example   >>> import pullback as torch
              >>> torch.cumulative_trapezoid(torch.tensor([1.0, 3.0, 5.0]))
              tensor([2., 6.])
    """
    if y.dim() == 0:
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    n = y.size(dim)
    pairs = f["_slice"](y, dim, 0, max(n - 1, 0), 1) + f["_slice"](y, dim, 1, n, 1)
    if x is None:
        return f["cumsum"](pairs * (dx / 2.0), dim)
    if x.dim() == 1 and x.size(0) != n:
        raise RuntimeError("cumulative_trapezoid: There must be one `x` value for each sample point")
    step = diff(x, 1, -1 if x.dim() == 1 else dim)
    if x.dim() == 1 and y.dim() > 1:
        shape = [1] * y.dim()
        shape[dim] = n - 1
        step = f["_view"](step, tuple(shape))
    return f["cumsum"](pairs * step, dim) / 2.0


# ---- quantiles ----

_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _check_quantile(name, input, q, interpolation):
    if input.numel() == 0:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if q.dim() > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if input.dtype not in (_core.float32, _core.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if q.dtype != input.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got "
            f"{interpolation}"
        )
    if not bool(((q >= 0) & (q <= 1)).all()):
        wrong = next(v for v in q.flatten().tolist() if not 0 <= v <= 1)
        single = f" but got {wrong:g}" if q.dim() == 0 else ""
        raise RuntimeError(
            f"{name}() q {'must be' if q.dim() == 0 else 'values must be'} in the range [0, 1]{single}"
        )


def _ranks(ordered, q, ignore_nan):
    """Where in the sorted lines the quantiles lie, one line of places for each line."""
    isnan = ordered.isnan()
    if ignore_nan:
        present = (~isnan).sum(-1, keepdim=True)
        ranks = q * (present - 1).clamp(min=0)
        return ranks
    last = ordered.size(-1) - 1
    # A nan anywhere is the quantile; it lies at the end of the line.
    return (q * last).masked_fill(isnan.any(-1, keepdim=True), last)


def _quantile(name, input, q, dim, keepdim, interpolation, ignore_nan):
    q = q if isinstance(q, Tensor) else creation.full((), q, dtype=input.dtype)
    _check_quantile(name, input, q.detach(), interpolation)
    dim = None if dim is None or wrap(dim, input.dim()) == input.dim() == 0 else dim
    axis = 0 if dim is None else wrap(dim, input.dim())
    lines = input.flatten() if dim is None else f["transpose"](input, axis, -1)
    ordered = f["sort"](lines, -1)[0]
    ranks = _ranks(ordered.detach(), q, ignore_nan)
    ranks = ranks.expand((*ordered.shape[:-1], ranks.size(-1) if ranks.dim() else 1))
    places = ranks.detach().round() if interpolation == "nearest" else ranks.detach()
    low = places.ceil() if interpolation == "higher" else places.floor()
    out = f["gather"](ordered, -1, low.long())
    if interpolation in ("linear", "midpoint"):
        weight = ranks - low if interpolation == "linear" else 0.5 * (places != low).to(low.dtype)
        out = f["lerp"](out, f["gather"](ordered, -1, places.ceil().long()), weight)
    return _as_quantiles(out, input, q, dim, axis, keepdim)


def _as_quantiles(out, input, q, dim, axis, keepdim):
    """The quantiles first, then the axes of the input."""
    if dim is None:
        out = f["_view"](out, (*(1,) * input.dim(), out.size(-1))) if keepdim else out
        out = f["movedim"](out, -1, 0)
    else:
        out = f["movedim"](f["unsqueeze"](out, -2), -1, 0)  # (q, other axes, 1) with the axis swapped
        out = f["transpose"](out, axis + 1, -1)
        out = out if keepdim else f["_squeeze"](out, (axis + 1,))
    return out if q.dim() else f["_squeeze"](out, (0,))


QUANTILE = Into("quantile() out tensor must be same dtype as the input tensor", recorded=True)


@function(out=QUANTILE)
def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """The numbers below which the parts q of the elements lie, of all or along an axis; nan if there is one.

    Shapes    q () or (k)  ->  (the other axes) or (k, the other axes)
    Gradient  for input and q
    Errors    RuntimeError for q outside [0, 1], other types, and unknown interpolations
    Example   >>> import pullback as torch
              >>> torch.quantile(torch.arange(5.0), torch.tensor([0.25, 0.6]))
              tensor([1.0000, 2.4000])
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@function(out=QUANTILE)
def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """quantile() of what is not nan.

    Shapes    as of quantile
    Gradient  as of quantile
    Example   >>> torch.nanquantile(torch.tensor([1.0, torch.nan, 3.0]), 0.5)
              tensor(2.)
    """
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)


# ---- histograms and membership ----


@function(
    out=Into(
        "torch.histogram: input tensor and hist tensor should have the same dtype, but got input "
        "{result} and hist {out}"
    )
)
def histc(input, bins=100, min=0, max=0):
    """How many elements lie in each equal part of [min, max] (of the elements' own range, if both are equal).

    Shapes    input (*) -> (bins)
    Gradient  none: the result counts
    Errors    NotImplementedError for whole numbers; RuntimeError for no bins or an empty range
    Example   >>> import pullback as torch
              >>> torch.histc(torch.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
              tensor([0., 2., 1., 0.])
    """
    if not input.dtype.is_floating_point:
        raise NotImplementedError(f"\"histogram_cpu\" not implemented for '{scalar_name(input.dtype)}'")
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    x = input.detach().flatten()
    if min == max and x.numel():
        min, max = x.min().item(), x.max().item()
    if min == max:
        min, max = min - 1, max + 1
    if not (math.isfinite(min) and math.isfinite(max)):
        raise RuntimeError(f"torch.histc: range of [{min:g}, {max:g}] is not finite")
    if min > max:
        raise RuntimeError("torch.histc: max must be larger than min")
    x = x[(x >= min) & (x <= max)]
    place = ((x - min) * bins / (max - min)).long().clamp(max=bins - 1)
    counts = f["bincount"](place, minlength=bins) if place.numel() else creation.zeros(bins)
    return counts.to(input.dtype)


@function(out=EXACT)
def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Whether each element is among others.

    Shapes    elements (*), test_elements of any shape -> (*), bool
    Gradient  none: the result is bool
    Example   >>> import pullback as torch
              >>> torch.isin(torch.arange(3), torch.tensor([2, 0]))
              tensor([ True, False,  True])
    """
    elements, others = (
        x.detach() if isinstance(x, Tensor) else creation.full((), x) for x in (elements, test_elements)
    )
    found = (f["unsqueeze"](elements, -1) == others.flatten()).any(-1)
    return ~found if invert else found
