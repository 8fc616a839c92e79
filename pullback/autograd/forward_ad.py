"""Forward mode by hand: tensors that carry a tangent inside a level."""

from __future__ import annotations

from typing import Any, NamedTuple

from pullback import _core
from pullback.func import forward, levels

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]

_open: list = []  # (context, level) of the one level that may be open


class UnpackedDualTensor(NamedTuple):
    """What unpack_dual() gives: the value, and the tangent or None.

    Example   >>> import pullback.autograd.forward_ad as fwAD
              >>> with fwAD.dual_level():
              ...     fwAD.unpack_dual(torch.ones(1))
              UnpackedDualTensor(primal=tensor([1.]), tangent=None)
    """

    primal: Any
    tangent: Any


UnpackedDualTensor.__module__ = "torch.autograd.forward_ad"


def enter_dual_level():
    """Opens a level. exit_dual_level() closes it; ``with dual_level():`` does both.

    Errors    RuntimeError where a level is open already
    Example   >>> import pullback.autograd.forward_ad as fwAD
              >>> level = fwAD.enter_dual_level()
              >>> x = fwAD.make_dual(torch.tensor(3.0), torch.tensor(1.0))
              >>> fwAD.unpack_dual(x.exp()).tangent
              tensor(20.0855)
              >>> fwAD.exit_dual_level(level=level)
    """
    if _open:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    context = levels.level(False, shown=False)
    _open.append((context, context.__enter__()))
    return 0


def exit_dual_level(*, level=None):
    """Closes the level. Tensors keep their values and lose their tangents.

    Errors    RuntimeError where no level is open, or another one than `level`
    Example   >>> import pullback.autograd.forward_ad as fwAD
              >>> level = fwAD.enter_dual_level()
              >>> x = fwAD.make_dual(torch.tensor(3.0), torch.tensor(1.0))
              >>> fwAD.exit_dual_level(level=level)
              >>> x
              tensor(3.)
    """
    if level is not None and level != _current():
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is not "
            "supported."
        )
    if not _open:
        raise RuntimeError("Dual level must be a positive number.")
    context, _ = _open.pop()
    context.__exit__(None, None, None)


def _current() -> int:
    return 0 if _open else -1


def _check_level(level, function):
    """A level's number, or that of the newest; -1 where none is open. There is one at a time: number 0."""
    if level is None:
        return _current()
    if level < 0:
        return -1
    if isinstance(level, bool) or not hasattr(level, "__index__"):
        raise TypeError(f"{function}(): argument 'level' must be int, not {type(level).__name__}")
    return int(level)


class dual_level:
    """A level of forward mode for the length of a block.

    >>> import pullback as torch
    >>> import pullback.autograd.forward_ad as fwAD
    >>> with fwAD.dual_level():
    ...     x = fwAD.make_dual(torch.tensor(3.0), torch.tensor(1.0))
    ...     fwAD.unpack_dual(x * x).tangent
    tensor(6.)
    """

    def __enter__(self):
        return enter_dual_level()

    def __exit__(self, *_):
        exit_dual_level()


def make_dual(tensor, tangent, *, level=None):
    """`tensor` with a tangent, for the level that is open.

    Shapes    tangent as tensor
    Errors    RuntimeError where no level is open, or none of this number, shapes differ, or the tensor has a
              tangent already
    Gradient  for both, in reverse mode
    Example   >>> import pullback.autograd.forward_ad as fwAD
              >>> with fwAD.dual_level():
              ...     fwAD.make_dual(torch.tensor(3.0), torch.tensor(1.0)) ** 2
              tensor(9., tangent=6.0)
    """
    number = _check_level(level, "_make_dual")
    if number < 0:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    forward.check_dtypes(tensor, tangent)
    if number > 0:
        raise RuntimeError("Invalid level given to _make_dual\nOne level is open at a time: number 0.")
    if not _open:
        raise RuntimeError(
            "Trying to access a forward AD level with an invalid index. This index was either not created or "
            "is already deleted."
        )
    if levels.parts(tangent, _open[-1][1])[1] is not None:
        raise RuntimeError(
            "Setting a forward grad that itself has a forward gradient at the same level0 is not supported.\n"
            "Take the tangent's own value: unpack_dual(tangent).primal."
        )
    if levels.parts(tensor, _open[-1][1])[1] is not None:
        raise RuntimeError(
            "Making a dual Tensor based on a Tensor that already has a forward gradient at the same level 0 "
            "is not supported."
        )
    return forward.make_dual(_open[-1][1], tensor.view_as(tensor), tangent)


def unpack_dual(tensor, *, level=None):
    """(primal, tangent) of a tensor; the tangent is None where it has none.

    Shapes    both as the tensor
    Gradient  for both, in reverse mode
    Example   >>> import pullback.autograd.forward_ad as fwAD
              >>> with fwAD.dual_level():
              ...     x = fwAD.make_dual(torch.tensor(3.0), torch.tensor(1.0))
              ...     value, tangent = fwAD.unpack_dual(x.sin())
              >>> value, tangent
              (tensor(0.1411), tensor(-0.9900))
    """
    if not isinstance(tensor, _core.Tensor):
        raise TypeError(
            f"_unpack_dual(): argument 'dual' (position 1) must be Tensor, not {type(tensor).__name__}"
        )
    number = _check_level(level, "_unpack_dual")
    if number < 0 or not _open:
        return UnpackedDualTensor(tensor, None)
    if number > 0:
        if levels.parts(tensor, _open[-1][1])[1] is None:
            return UnpackedDualTensor(tensor, None)
        raise RuntimeError("Invalid level given to _fw_primal\nOne level is open at a time: number 0.")
    return UnpackedDualTensor(*levels.parts(tensor, _open[-1][1]))
