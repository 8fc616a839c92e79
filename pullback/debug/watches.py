"""What the native side watches. Every watch holds for the whole process, as torch's anomaly mode does."""

from __future__ import annotations

import os

from pullback import _core

_anomaly = 0  # the flags that anomaly mode has set
_entered = {_core.WATCH_LINES: 0, _core.WATCH_NONFINITE: 0}  # how many contexts are inside, over all threads


def is_on(flag):
    """Whether the watch is on."""
    return bool(_core.watched() & flag)


def _apply():
    flags = _anomaly
    for flag, count in _entered.items():
        flags |= flag if count else 0
    if (flags ^ _core.watched()) & _core.WATCH_NONFINITE:
        from pullback.autograd import function
        from pullback.debug import judge  # only where somebody watches

        _core.set_judges(judge.results, judge.gradients)
        on = flags & _core.WATCH_NONFINITE
        function.judge = judge.user_function if on else None
    _core.set_watched(flags)


def set_anomaly(enabled, check_nan):
    """Anomaly mode's part."""
    global _anomaly
    _anomaly = (_core.WATCH_STACKS if enabled else 0) | (_core.WATCH_NAN if check_nan else 0)
    _apply()


class _Watch:
    """A context; it may be entered several times, also from several threads."""

    flag = 0

    def __enter__(self):
        _entered[self.flag] += 1
        _apply()
        return self

    def __exit__(self, *exc):
        _entered[self.flag] -= 1
        _apply()


class locations(_Watch):
    """A context in which each recorded operation and each change in place remembers the user's line.

    The error about a tensor that backward needs and that was changed in place then ends with the line that
    saved it and the line that changed it. Only a number is kept at each operation; lines are worked out when
    an error needs them.

    Gradient  as without
    Errors    InplaceError, by backward, with both lines

    >>> import pullback as torch
    >>> x = torch.ones(2, requires_grad=True)
    >>> with torch.debug.locations():
    ...     y = x.exp()
    ...     y += 1
    >>> y.sum().backward()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    pullback.errors.InplaceError: one of the variables needed for gradient computation has been ...
    exp keeps its output for the backward pass: change a clone of it, or change it after backward().
    It was saved by
      File ..., line 2, in <module>
    ...and changed by
      File ..., line 3, in <module>
    ...
    """

    flag = _core.WATCH_LINES


class nonfinite(_Watch):
    """A context that stops at the first operation, forward or backward, that makes a nan or an infinity.

    An operation makes a nan if no operand holds one, and an infinity if all operands are finite: data that
    hold such values may pass through. The error says which operation, which element, from which values and at
    which line; for a gradient, at which line the forward call was. A gradient that is nan because 0 meets an
    infinite derivative, where `where` did not select the element, is recognised. So is a parameter that an
    optimizer's step has left with such a value, when it is used next. Looking is a vector loop over each
    result, which costs less than a tenth of a training step.

    Gradient  as without
    Errors    NonFiniteError (a FloatingPointError)

    >>> import pullback as torch
    >>> x = torch.tensor([4.0, 0.0, 1.0])
    >>> with torch.debug.nonfinite():
    ...     y = 1 / x  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    pullback.errors.NonFiniteError: reciprocal made inf at [1] of its result (shape [3])
      input[1] = 0.0
    ...
    """

    flag = _core.WATCH_NONFINITE


def _format(entries):
    """Lines of a traceback, the text of the source included."""
    import traceback

    return traceback.format_list([(file, line, name, None) for file, line, name in entries])


_core.set_place_format(os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep, _format)
