"""How tensors are printed: the text of ``repr(tensor)``, ``format(tensor, spec)`` and their options.

The text is torch's, character for character. Big tensors are cut down to their visible corners first, so the
cost depends on what is shown and not on the size of the tensor. Widths and notation are chosen from those
visible elements alone, which is also what torch does.
"""

from __future__ import annotations

import math
import sys
import textwrap
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

__all__ = [
    "set_printoptions",
    "get_printoptions",
    "printoptions",
    "tensor_repr",
    "tensor_format",
    "level_repr",
]


class _Options(NamedTuple):
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}

_options = _Options()


def set_printoptions(
    precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None
) -> None:
    """Changes how tensors are printed from now on.

    precision  digits after the point (default 4)
    threshold  number of elements above which only the corners are shown (default 1000)
    edgeitems  number of elements shown at each end of a shortened axis (default 3)
    linewidth  characters in a line before it is broken (default 80)
    profile    "default", "short" or "full": a starting point that the other arguments refine
    sci_mode   True or False forces or forbids 1.0000e+00; None, also when it is not given, decides per tensor

    Example   >>> torch.set_printoptions(precision=2)
              >>> torch.tensor([1 / 3])
              tensor([0.33])
              >>> torch.set_printoptions(precision=4)
    """
    global _options
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    changes = dict(_PROFILES.get(profile, ()))
    changes.update((name, value) for name, value in given.items() if value is not None)
    _options = _options._replace(**changes, sci_mode=sci_mode)


def get_printoptions() -> dict:
    """The current options, as a dictionary that ``set_printoptions(**options)`` accepts."""
    return _options._asdict()


@contextmanager
def printoptions(**kwargs):
    """``set_printoptions`` for the length of a ``with`` block."""
    global _options
    before = _options
    set_printoptions(**kwargs)
    try:
        yield
    finally:
        _options = before


# -- numbers -----------------------------------------------------------------------------------------------


class _Plain:
    """Integers and booleans: as Python writes them, aligned to the widest."""

    def __init__(self, values: np.ndarray):
        self.width = max(len(str(values.min().item())), len(str(values.max().item())))

    def text(self, value) -> str:
        return str(value).rjust(self.width)


class _Real:
    """One notation (whole numbers, fixed point or scientific) and one width for all elements of a tensor."""

    def __init__(self, values: np.ndarray):
        # Zeros, infinities and NaN have no say: they may even be wider than the width chosen here.
        finite = values[np.isfinite(values) & (values != 0)]
        self.whole, self.spec, self.width = True, ".0f", 1
        if finite.size == 0:
            return
        magnitude = np.abs(finite.astype(np.float64))
        low, high = float(magnitude.min()), float(magnitude.max())
        self.whole = bool((finite == np.ceil(finite)).all())
        scientific = _options.sci_mode
        if scientific is None:
            scientific = high / low > 1000.0 or high > 1.0e8 or (not self.whole and low < 1.0e-4)
        if scientific:
            self.whole, self.spec = False, f".{_options.precision}e"
        elif not self.whole:
            self.spec = f".{_options.precision}f"
        self.width = max(len(self._digits(v)) for v in _extremes(finite))

    def _digits(self, value: float) -> str:
        digits = format(value, self.spec)
        return digits + "." if self.whole and math.isfinite(value) else digits

    def text(self, value: float) -> str:
        return self._digits(value).rjust(self.width)


class _Complex:
    """Real and imaginary parts choose their notations independently of each other."""

    def __init__(self, values: np.ndarray):
        self.real, self.imag = _Real(values.real), _Real(values.imag)
        self.width = self.real.width + self.imag.width + 1

    def text(self, value: complex) -> str:
        imag = self.imag.text(value.imag).lstrip()
        sign = "" if imag.startswith("-") else "+"
        return f"{self.real.text(value.real)}{sign}{imag}j"


def _extremes(values: np.ndarray) -> list[float]:
    """Elements of which one has the longest text: for each sign that is one of the two ends."""
    ends = []
    for part in (values[values < 0], values[values > 0]):
        if part.size:
            ends += [part.min().item(), part.max().item()]
    return ends


def _notation(values: np.ndarray) -> _Plain | _Real | _Complex:
    kinds = {"f": _Real, "c": _Complex}
    return kinds.get(values.dtype.kind, _Plain)(values)


# -- brackets ----------------------------------------------------------------------------------------------


def _corners(values: np.ndarray) -> tuple[np.ndarray, list[bool]]:
    """The elements that will be shown, and for each axis whether its middle was left out."""
    edge, cut = _options.edgeitems, []
    for axis in range(values.ndim):
        size = values.shape[axis]
        cut.append(size > 2 * edge)
        if cut[axis]:
            before = [slice(None)] * axis
            ends = [values[(*before, part)] for part in (slice(edge), slice(size - edge, None))]
            values = np.concatenate(ends, axis)
    return values, cut


def _row(texts: list[str], width: int, indent: int) -> str:
    per_line = max(1, math.floor((_options.linewidth - indent) / (width + 2)))
    lines = (", ".join(texts[i : i + per_line]) for i in range(0, len(texts), per_line))
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _brackets(values: list, cut: list[bool], notation, indent: int) -> str:
    """The text of nested lists; cut has an entry for each level."""
    innermost = len(cut) == 1
    if innermost:
        parts = [notation.text(v) for v in values]
    else:
        parts = [_brackets(v, cut[1:], notation, indent + 1) for v in values]
    if cut[0]:
        middle = len(parts) // 2
        parts[middle:middle] = [" ..." if innermost else "..."]
    if innermost:
        return _row(parts, notation.width, indent)
    return "[" + ("," + "\n" * (len(cut) - 1) + " " * (indent + 1)).join(parts) + "]"


def _numpy(t) -> np.ndarray:
    t = t.detach()
    if str(t.dtype) == "torch.bfloat16":  # NumPy has no such type; every value is exact in float32
        t = t.float()
    return t.numpy()


def _contents(t, indent: int, shortened: bool) -> str:
    if t.numel() == 0:
        return "[]"
    if shortened and _options.edgeitems == 0 and t.dim() > 0:
        return "[...]"
    values = _numpy(t)
    cut = [False] * values.ndim
    if shortened:
        values, cut = _corners(values)
    notation = _notation(values)
    if values.ndim == 0:
        return notation.text(values.item())
    return _brackets(values.tolist(), cut, notation, indent)


# -- the whole tensor --------------------------------------------------------------------------------------

_COMPLEX_OF = {"torch.float64": "torch.complex128"}


def _host():
    """Tensor, Parameter (None before pullback.nn is imported) and the default dtype.

    Looked up when something is printed, because the package imports this module while it is being built.
    """
    import pullback

    nn = sys.modules.get("pullback.nn")
    return pullback.Tensor, getattr(nn, "Parameter", None), pullback.get_default_dtype()


def _dtype_is_obvious(dtype: str, default: str, empty: bool) -> bool:
    """Whether a reader could tell the dtype from the elements."""
    if dtype == default:
        return True
    return not empty and dtype in ("torch.int64", "torch.bool", _COMPLEX_OF.get(default, "torch.complex64"))


def _history(t) -> str | None:
    """The suffix that tells whether t needs a gradient, and if it was computed, by what."""
    try:
        grad_fn = t.grad_fn
    except RuntimeError:  # a view whose history became invalid through a change in place
        return "grad_fn=<Invalid>"
    if grad_fn is not None:
        return f"grad_fn=<{grad_fn.name().rsplit('::', 1)[-1]}>"
    return "requires_grad=True" if t.requires_grad else None


def _with_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    """Appends the suffixes, each on a new line where the current one has no room left."""
    column = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if column + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + suffix
            column = indent + len(suffix)
        else:
            text += ", " + suffix
            column += len(suffix) + 2
    return text + ")"


def tensor_repr(t, *, tensor_contents: str | None = None, tangent=None) -> str:
    """``repr(t)``. tensor_contents stands in for the elements; tangent is shown for a dual number."""
    tensor_type, parameter_type, default = _host()
    cls = type(t)
    plain = cls is tensor_type or cls is parameter_type
    prefix = "tensor(" if plain else f"{cls.__name__}("
    indent = len(prefix)
    empty = t.numel() == 0
    shortened = t.numel() > _options.threshold
    suffixes = []
    if t.dim() != 1 if empty else _options.edgeitems == 0:
        suffixes.append(f"size={tuple(t.shape)}")
    dtype = str(t.dtype)
    if not _dtype_is_obvious(dtype, str(default), empty):
        suffixes.append(f"dtype={dtype}")
    history = _history(t)
    if history is not None:
        suffixes.append(history)
    if tangent is not None:
        suffixes.append(f"tangent={tangent}")
    contents = _contents(t, indent, shortened) if tensor_contents is None else tensor_contents
    text = _with_suffixes(prefix + contents, suffixes, indent)
    if parameter_type is not None:
        if not plain and isinstance(t, parameter_type):
            text = f"Parameter({text})"
        if issubclass(cls, parameter_type):
            text = "Parameter containing:\n" + text
    return text


def tensor_format(t, spec: str) -> str:
    """``format(t, spec)``: a tensor without axes formats its number, any other accepts no format."""
    if t.dim() == 0 and type(t) is _host()[0]:
        return t.item().__format__(spec)
    return object.__format__(t, spec)


def level_repr(name: str, inner: str, **fields) -> str:
    """The text of a tensor inside a transformation, such as ``GradTrackingTensor(lvl=1, value=...)``."""
    shown = "".join(f"{key}={value}, " for key, value in fields.items())
    return f"{name}({shown}value=\n{textwrap.indent(inner, '    ')}\n)"
