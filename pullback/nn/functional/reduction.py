"""The ``reduction`` argument of losses, and the two older arguments that it replaced."""

from __future__ import annotations

import warnings

NONE, MEAN, SUM = 0, 1, 2

_CODES = {"none": NONE, "mean": MEAN, "sum": SUM}


def code(reduction, size_average=None, reduce=None):
    """0, 1 or 2 for "none", "mean" or "sum", or for what the older arguments mean where one was given."""
    if size_average is not None or reduce is not None:
        reduction = from_legacy(size_average, reduce, stacklevel=4)
    try:
        return _CODES[reduction]
    except (KeyError, TypeError):
        pass
    if reduction == "elementwise_mean":
        warnings.warn(
            "reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.", stacklevel=3
        )
        return MEAN
    raise ValueError(f"{reduction} is not a valid value for reduction")


def from_legacy(size_average, reduce, stacklevel=3):
    """The reduction that ``size_average`` and ``reduce`` mean, with a warning that they are going away."""
    if reduce is False:
        name = "none"
    else:
        name = "sum" if size_average is not None and not size_average else "mean"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{name}' instead.",
        stacklevel=stacklevel,
    )
    return name


def choose(reduction, size_average, reduce):
    """``reduction``, unless one of the older arguments was given."""
    if size_average is None and reduce is None:
        return reduction
    return from_legacy(size_average, reduce, stacklevel=4)


def apply(loss, kind):
    """The loss of all elements reduced as ``kind`` says."""
    if kind == MEAN:
        return loss.mean()
    if kind == SUM:
        return loss.sum()
    return loss
