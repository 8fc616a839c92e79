"""Anomaly mode: errors on the way back name the forward call that they belong to, and nan is an error."""

from __future__ import annotations

import warnings

from pullback import _core
from pullback.debug import watches

__all__ = ["detect_anomaly", "is_anomaly_check_nan_enabled", "is_anomaly_enabled", "set_detect_anomaly"]

_check_nan = True


def is_anomaly_enabled():
    """Whether anomaly mode is on.

    Example   >>> torch.is_anomaly_enabled()
              False
    """
    return watches.is_on(_core.WATCH_STACKS)


def is_anomaly_check_nan_enabled():
    """Whether anomaly mode, when it is on, looks for nan.

    Example   >>> torch.is_anomaly_check_nan_enabled()
              True
    """
    return _check_nan


def _set(enabled, check_nan):
    global _check_nan
    for name, place, value in (("enabled", 1, enabled), ("check_nan", 2, check_nan)):
        if not isinstance(value, bool):
            raise TypeError(
                f"set_anomaly_enabled(): argument '{name}' (position {place}) must be bool, not "
                f"{type(value).__name__}"
            )
    _check_nan = check_nan
    watches.set_anomaly(enabled, enabled and check_nan)


class detect_anomaly:
    """A context in which an error of backward comes with the forward call that recorded the failing node,
    in a warning, and (with check_nan) a nan is an error: in a gradient, or in an output given to backward.

    Gradient  as without
    Errors    RuntimeError, in torch's words, for a nan

    It holds for the whole process. `pullback.debug.nonfinite()` finds the operation that made the nan, at a
    fraction of the cost.

    >>> import warnings
    >>> import pullback as torch
    >>> warnings.simplefilter("ignore")
    >>> with torch.autograd.detect_anomaly():
    ...     x = torch.tensor([0.0, 4.0], requires_grad=True)
    ...     torch.where(x > 0, x.sqrt(), 0.0).sum().backward()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    RuntimeError: Function 'SqrtBackward0' returned nan values in its 0th output.
    ...
    """

    def __init__(self, check_nan=True):
        self.prev = is_anomaly_enabled()
        self.check_nan = check_nan
        self.prev_check_nan = is_anomaly_check_nan_enabled()
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be "
            "enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self):
        self.prev = is_anomaly_enabled()
        self.prev_check_nan = is_anomaly_check_nan_enabled()
        _set(True, self.check_nan)

    def __exit__(self, *exc):
        _set(self.prev, self.prev_check_nan)


class set_detect_anomaly:
    """Switches anomaly mode on or off at once; as a context it restores what it found.

    >>> import pullback as torch
    >>> with torch.autograd.set_detect_anomaly(True):
    ...     torch.is_anomaly_enabled()
    True
    >>> torch.is_anomaly_enabled()
    False
    """

    def __init__(self, mode, check_nan=True):
        self.prev = is_anomaly_enabled()
        self.prev_check_nan = is_anomaly_check_nan_enabled()
        _set(mode, check_nan)

    def __enter__(self):
        pass

    def __exit__(self, *exc):
        _set(self.prev, self.prev_check_nan)
