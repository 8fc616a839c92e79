"""Every error class of pullback. Each subclasses what torch raises and begins with torch's words.

The native side throws by kind (native/core/error.h); the classes are attached to the kinds here.
"""

from __future__ import annotations

from pullback import _core


class ShapeError(RuntimeError):
    """Sizes that do not fit together.

    >>> import pullback as torch
    >>> torch.ones(2, 3) + torch.ones(4)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    pullback.errors.ShapeError: The size of tensor a (3) must match the size of tensor b (4) at ...
    """


class DtypeError(NotImplementedError):
    """An operation that the elements' type does not have, or a mixture of types that does not work."""


class GradError(RuntimeError):
    """A derivative was asked for where none can be had: no graph, a freed graph, a non-scalar."""


class InplaceError(RuntimeError):
    """A tensor was changed in place although its old value is still needed, or must not be changed."""


class CheckpointError(RuntimeError):
    """The second run of a function under checkpoint() did not do the same as the first."""


class GradcheckError(RuntimeError):
    """A derivative is not what differences of the function say; gradcheck() and gradgradcheck() raise it."""


class MemoryRefused(RuntimeError):
    """The machine has no memory of the size that was asked for."""


class DeviceError(AssertionError):
    """Another device than the CPU was asked for."""


class NonFiniteError(FloatingPointError):
    """Within pullback.debug.nonfinite(): an operation made a nan or an infinity.

    `op` is the operation's name (a node's, on the way back), `index` the element, `value` what it became.
    """

    op = index = value = None


KINDS = (
    RuntimeError,
    ValueError,
    TypeError,
    IndexError,
    NotImplementedError,
    OverflowError,
    ShapeError,
    DtypeError,
    GradError,
    InplaceError,
    MemoryRefused,
    DeviceError,
)

for _kind, _class in enumerate(KINDS):
    _core.set_error_class(_kind, _class)
