"""x[key] and x[key] = value where the key is more than integers, slices, None and Ellipsis.

The parts of a key that make views are applied first, natively; tensors, lists and masks then index the view.
"""

from __future__ import annotations

import warnings

import numpy as np

from pullback import _core
from pullback.composites.elementwise_more import scalar_name
from pullback.composites.indexing import index_list
from pullback.numeric_limits import check_number
from pullback.trace.tracer import functions as f

Tensor = _core.Tensor
_WHOLE = slice(None)
_VALID = "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices"


def _items(key) -> list:
    """The parts of a key. A list that holds more than numbers counts as a tuple, as in torch."""
    if isinstance(key, tuple):
        return list(key)
    if isinstance(key, list) and len(key) < 32:
        if any(
            isinstance(k, (Tensor, list, tuple, slice, np.ndarray)) or k is None or k is Ellipsis for k in key
        ):
            warnings.warn(
                "Using a non-tuple sequence for multidimensional indexing is deprecated; use x[tuple(seq)] "
                "instead of x[seq].",
                stacklevel=4,
            )
            return list(key)
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


def _part(k):
    """One part of a key: what views are made of stays, anything else becomes a tensor."""
    if k is None or k is Ellipsis or isinstance(k, (bool, slice)):
        return k
    if isinstance(k, Tensor):
        if k.dim():
            return k
        if k.dtype in (_core.bool, _core.uint8):
            return bool(k.item())
        if k.dtype.is_floating_point:
            raise IndexError(
                "tensors used as indices must be long, int, byte or bool tensors\n"
                f"Got one of type {str(k.dtype).rpartition('.')[2]}; convert it with .long()."
            )
        # A position for each sample picks elements, where one for all is part of a view.
        return k if _core.is_batched(k) else int(k.item())
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


def _axes_taken(part) -> int:
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    if isinstance(part, Tensor) and part.dtype in (_core.bool, _core.uint8):
        return part.dim()
    return 1


def _split(self, key):
    """(view of self, index tensors by its axes): the tensors are applied to the view together."""
    parts = [_part(k) for k in _items(key)]
    taken = sum(map(_axes_taken, parts))
    if taken > self.dim():
        if self.dim() == 0 and len(parts) == 1 and isinstance(parts[0], (int, slice)):
            raise IndexError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ "
                "to convert a 0-dim tensor to a number"
            )
        raise IndexError(
            f"too many indices for tensor of dimension {self.dim()}\nThe key has {taken} of them, "
            f"shape {list(self.shape)}."
        )
    views, tensors, axis = [], {}, 0  # axis: of the view
    for p in parts:
        if isinstance(p, bool):
            views.append(None)
            tensors[axis] = _tensor_of([0] if p else np.zeros(0, np.int64))
            axis += 1
        elif isinstance(p, Tensor):
            width = _axes_taken(p)
            views.extend([_WHOLE] * width)
            tensors[axis] = p
            axis += width
        elif p is Ellipsis:
            views.extend([_WHOLE] * (self.dim() - taken))
            axis += self.dim() - taken
        else:
            views.append(p)
            axis += p is None or isinstance(p, slice)
    if any(v != _WHOLE for v in views):
        self = _core.basic_index(self, tuple(views))
    return self, _by_axis(tensors)


def _by_axis(tensors):
    """Tensors by their first axis as a list; a mask stands for several axes."""
    out, axis = [], 0
    for first, t in tensors.items():
        out.extend([None] * (first - axis))
        out.append(t)
        axis = first + (t.dim() if t.dtype in (_core.bool, _core.uint8) else 1)
    return out


def _warn_of_bytes(tensors):
    if any(t is not None and t.dtype is _core.uint8 for t in tensors):
        warnings.warn(
            "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.",
            stacklevel=4,
        )


def get_item(self, key):
    """self[key]: a view for the basic parts of the key, a copy of the chosen elements for the others."""
    if type(key) is Tensor and key.dtype is _core.int64 and key.dim() and self.dim():
        return f["_index"](self, [key])
    view, tensors = _split(self, key)
    if not tensors:
        return f["_alias"](view) if view is self else view
    _warn_of_bytes(tensors)
    return f["_index"](view, index_list(view, tensors))


# ---- assignment ----


def _is_recorded(self, value):
    return _core.is_grad_enabled() and (
        self.requires_grad or (isinstance(value, Tensor) and value.requires_grad)
    )


def _without_leading_ones(value):
    """As torch: x[0] = ones(1, 1, 3) fits a row of 3."""
    drop = 0
    while drop < value.dim() and value.size(drop) == 1:
        drop += 1
    return value.reshape(value.shape[drop:]) if drop else value


def _write(view, value):
    """view = value, broadcast and converted, where the key made a view only."""
    if isinstance(value, Tensor):
        same = tuple(value.shape) == tuple(view.shape)
        if same and not _is_recorded(view, value):
            view._check_writable()
            view._take_elements(value)
        elif same:
            f["copy_"](view, value)
        elif value.dim() == 0:
            f["fill_"](view, value)
        else:
            f["copy_"](view, f["expand"](_without_leading_ones(value), view.shape))
    elif _is_recorded(view, value):
        f["_fill_assigned_"](view, value)
    else:
        view._check_writable()
        view._set_all(value)


def _checked_value(self, value):
    """A tensor or a number, or torch's TypeError."""
    if type(value) is Tensor or type(value) is float:
        return value
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


def _is_basic(key) -> bool:
    for k in key if type(key) is tuple else (key,):
        if type(k) is not int and type(k) is not slice and k is not None and k is not Ellipsis:
            return False
    return True


def set_item(self, key, value):
    """self[key] = value, in place and recorded."""
    value = _checked_value(self, value)
    if key is False:  # chooses nothing
        return None
    if key is True:
        return _write(_core.basic_index(self, (None,)), value)
    if _is_basic(key):
        whole = key is Ellipsis or key == () or (key == _WHOLE and self.dim())
        return _write(self if whole else _core.basic_index(self, key), value)
    view, tensors = _split(self, key)
    if not tensors:
        return _write(view, value)
    _warn_of_bytes(tensors)
    single = not isinstance(value, Tensor) or value.numel() == 1
    *before, last = tensors
    if single and last.dtype is _core.bool and all(t is None for t in before):
        return _write_masked(view, len(before), last, value)
    if not isinstance(value, Tensor):
        value = f["_full_like"](f["_zeros_of"](view.detach(), ()), value)
    indices = index_list(view, tensors)
    f["_index_put_"](view, indices, _without_leading_ones(value))
    return None


def _write_masked(view, axis, mask, value):
    """One value where a mask over the axes from `axis` on holds; it is converted, as where torch fills."""
    index_list(view, [None] * axis + [mask])  # torch's complaints about the mask's shape
    if isinstance(value, Tensor):
        value = value.reshape(()) if value.dim() else value
    else:
        check_number(value, view.dtype)
    for _ in range(view.dim() - axis - mask.dim()):
        mask = f["unsqueeze"](mask, mask.dim())
    f["_index_put_mask_"](view, mask, value)
