"""What x[key] and x[key] = value leave to Python: lists and arrays in keys, and NumPy's numbers."""

from __future__ import annotations

import warnings

import numpy as np

from pullback import _core
from pullback.composites.elementwise_more import scalar_name

Tensor = _core.Tensor
_VALID = "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices"


def items_of_list(key) -> list:
    """The parts of a key that is a list: one that holds more than numbers counts as a tuple, as in torch."""
    if len(key) < 32 and any(
        isinstance(k, (Tensor, list, tuple, slice, np.ndarray)) or k is None or k is Ellipsis for k in key
    ):
        warnings.warn(
            "Using a non-tuple sequence for multidimensional indexing is deprecated; use x[tuple(seq)] "
            "instead of x[seq].",
            stacklevel=2,
        )
        return key
    return [key]


def _tensor_of(sequence) -> Tensor:
    """Positions or a mask given as a list, a range or an array."""
    if not isinstance(sequence, np.ndarray) and any(isinstance(s, Tensor) for s in sequence):
        sequence = [s.item() if isinstance(s, Tensor) and s.dim() == 0 else s for s in sequence]
        sequence = [s.tolist() if isinstance(s, Tensor) else s for s in sequence]
    array = np.asarray(sequence)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"new(): invalid data type '{_element_name(sequence)}'\n{_VALID}.")
    kind = {"bool": _core.bool, "uint8": _core.uint8}.get(array.dtype.name, _core.int64)
    array = np.array(array, dtype=np.int64 if kind is _core.int64 else array.dtype, order="C")
    return _core.borrow(
        array.ctypes.data, kind, list(array.shape), [s // array.itemsize for s in array.strides], array
    )


def _element_name(sequence):
    while isinstance(sequence, (list, tuple)) and sequence:
        sequence = sequence[0]
    return type(sequence).__name__


def part_of_key(k):
    """A part of a key that is neither a tensor nor a part of a view: a tensor, or such a part."""
    if isinstance(k, np.ndarray) and k.ndim == 0:
        return bool(k) if k.dtype == bool else int(k)
    if isinstance(k, (list, tuple, range, np.ndarray)):
        return _tensor_of(k)
    if isinstance(k, np.bool_):
        return bool(k)
    if isinstance(k, str):
        raise TypeError("new(): invalid data type 'str'")
    if hasattr(k, "__index__"):
        return k.__index__()
    raise IndexError(f"{_VALID} (got {_type_name(k)})")


def _type_name(k):
    kind = type(k)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def checked_value(self, value):
    """A tensor or a number, or torch's TypeError."""
    if isinstance(value, (Tensor, bool, int, float)) or isinstance(value, np.bool_):
        if type(value) is int and not -(2**63) <= value < 2**63:
            raise ValueError("Overflow when unpacking long long")
        return bool(value) if isinstance(value, np.bool_) else value
    if isinstance(value, np.number) and not isinstance(value, np.complexfloating):
        return value.item()
    if isinstance(value, complex):
        kind = str(self.dtype).rpartition(".")[2]
        short = {"float32": "float", "float64": "double", "int64": "int64_t"}.get(kind, kind)
        raise RuntimeError(f"value cannot be converted to type {short} without overflow")
    raise TypeError(f"can't assign a {_type_name(value)} to a torch.{scalar_name(self.dtype)}Tensor")
