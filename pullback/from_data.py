"""Tensors from Python's nested data: torch.tensor(), as_tensor(), asarray()."""

from __future__ import annotations

import warnings

import numpy as np

from pullback import _core
from pullback.arguments import MISSING, device_of, dtype_of, finish, kind_name
from pullback.creation import (
    _STORED,
    TO_NUMPY,
    _dtype_of_array,
    _from_array,
    _refuse_negative_strides,
    from_numpy,
)
from pullback.numeric_limits import fits
from pullback.trace.tracer import functions as f

Tensor = _core.Tensor


def _kind_of_scalar(x, depth, first):
    """The dtype that an element asks for; None for what is no number."""
    if isinstance(x, (bool, np.bool_)):
        return _core.bool
    if isinstance(x, (int, np.integer)) and not isinstance(x, np.generic):
        return _core.int64
    if isinstance(x, float) and not isinstance(x, np.generic):
        return _core.get_default_dtype()
    if isinstance(x, np.generic):
        return _dtype_of_array(np.asarray(x))
    if isinstance(x, (str, bytes)):
        if depth and first and isinstance(x, str):
            raise ValueError(f"too many dimensions '{type(x).__name__}'")
        raise TypeError(f"new(): invalid data type '{type(x).__name__}'")
    raise RuntimeError(f"Could not infer dtype of {kind_name(x)}")


def _is_sequence(x):
    if isinstance(x, (list, tuple, range)):
        return True
    if isinstance(x, (str, bytes, dict, set, np.generic)):
        return False
    return hasattr(x, "__len__") and hasattr(x, "__getitem__")


_SCALARS = {kind.type: dtype for dtype, kind in TO_NUMPY.items() if dtype in _STORED}


class _Reader:
    """Flattens nested data: sizes from the first elements, then every element against these sizes."""

    def __init__(self):
        self.kind = None
        self.values = []
        self.checked = True  # whether numbers outside the dtype's range are an error

    def note(self, kind):
        if self.kind is not kind:
            self.kind = kind if self.kind is None else _core.promote_types(self.kind, kind)

    def read(self, data, depth=0, first=True):
        """The data with arrays and tensors replaced by plain lists and numbers."""
        kind = _SCALARS.get(type(data))
        if kind is not None:
            self.note(kind)
            return data.item()
        if isinstance(data, Tensor):
            return self._tensor(data)
        if isinstance(data, np.ndarray):
            self.note(_dtype_of_array(data))
            return data.tolist()
        if _is_sequence(data):
            return [self.read(x, depth + 1, first and k == 0) for k, x in enumerate(data)]
        if hasattr(data, "__array__") and not isinstance(data, np.generic):
            return self.read(np.asarray(data), depth, first)
        self.note(_kind_of_scalar(data, depth, first))
        return data.item() if isinstance(data, np.generic) else data

    def _tensor(self, t):
        if t.numel() != 1:
            if t.dtype.is_floating_point:
                raise ValueError("only one element tensors can be converted to Python scalars")
            raise TypeError("only integer tensors of a single element can be converted to an index")
        self.note(t.dtype)
        return float(t) if t.requires_grad else t.item()  # float() warns that the gradient is lost


def _shape(data):
    shape = []
    while isinstance(data, list):
        shape.append(len(data))
        data = data[0] if data else None
    return shape


def _flatten(data, shape, kind, depth=0):
    """The elements in order; torch's errors for ragged data."""
    if depth == len(shape):
        if isinstance(data, list):
            if kind is not None and kind.is_floating_point:
                raise TypeError("must be real number, not list")
            raise TypeError("'list' object cannot be interpreted as an integer")
        return [data]
    if not isinstance(data, list):
        raise TypeError("not a sequence\nSome elements are lists and others are not.")
    if len(data) != shape[depth]:
        raise ValueError(f"expected sequence of length {shape[depth]} at dim {depth} (got {len(data)})")
    return [v for x in data for v in _flatten(x, shape, kind, depth + 1)]


def _parsed(data, dtype):
    """The data in a new tensor."""
    if isinstance(data, np.ndarray):
        _refuse_negative_strides(data)
        return _copy(data, dtype or _dtype_of_array(data))
    if isinstance(data, (list, tuple)) and data and isinstance(data[0], np.ndarray):
        warnings.warn(
            "Creating a tensor from a list of numpy.ndarrays is extremely slow. Please consider converting "
            "the list to a single numpy.ndarray with numpy.array() before converting to a tensor.",
            UserWarning,
            stacklevel=4,
        )
    if isinstance(data, bytearray):
        data = list(data)
    reader = _Reader()
    plain = reader.read(data)
    kind = dtype or reader.kind or _core.get_default_dtype()
    t = _core.from_numbers(plain, kind)
    return t if t is not None else _copy(_checked_array(plain, kind), kind)


def _checked_array(plain, kind):
    """Numbers in an array of the dtype's kind: torch's errors for those that do not fit, and for ragged
    data."""
    shape = _shape(plain)
    values = _flatten(plain, shape, kind)
    return _array(values if 0 not in shape else [], kind).reshape(shape)


def _array(values, kind):
    if kind.is_floating_point:
        return np.array([float(v) for v in values], dtype=np.float64)
    if kind == _core.bool:
        return np.array([bool(v) for v in values], dtype=bool)
    for v in values:
        if fits(v, kind):
            continue
        if kind == _core.int64 and isinstance(v, int):
            raise ValueError(
                "Overflow when unpacking long long\nIntegers must fit into 64 bits; use a float dtype."
            )
        raise RuntimeError(f"value cannot be converted to type {kind._name} without overflow")
    return np.array([int(v) for v in values], dtype=np.int64)


def _as_asked(requires_grad):
    """tensor() takes no None here, as other functions do."""
    if isinstance(requires_grad, bool):
        return requires_grad
    raise TypeError(f"tensor(): argument 'requires_grad' must be bool, not {kind_name(requires_grad)}")


def tensor(data=MISSING, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A new tensor with a copy of the data.

    Dtypes    that of the data: bool, int64 or the default float type for Python's numbers, else NumPy's own
    Errors    ValueError for ragged lists, TypeError and RuntimeError for data that are no numbers

    >>> import pullback as torch
    >>> torch.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    if device is None and pin_memory is False:
        t = _core.from_numbers(data, dtype)
        if t is not None:
            return t if requires_grad is False else finish(t, None, _as_asked(requires_grad))
        if isinstance(data, np.ndarray):
            t = _core.from_array(data, True)
            if t is not None and (dtype is None or t.dtype == dtype):
                t = _core.new_tensor((t.shape,), t.dtype, None)._take_elements(t)
                return finish(t, None, _as_asked(requires_grad))
    if data is MISSING:
        raise TypeError('tensor() missing 1 required positional arguments: "data"')
    device_of("tensor", device, pin_memory=pin_memory)
    dtype = dtype_of("tensor", dtype) if dtype is not None else None
    _as_asked(requires_grad)
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
        t = f["_clone"](data.detach())
        return finish(t if dtype is None else t.to(dtype), None, requires_grad)
    return finish(_parsed(data, dtype), None, requires_grad)


def _copy(array, dtype):
    if dtype not in _STORED:
        raise NotImplementedError(
            f"torch.{dtype._name} tensors are not supported yet; use float32 or float64"
        )
    if array.dtype != TO_NUMPY[dtype]:
        with np.errstate(invalid="ignore", over="ignore"):
            array = np.array(array, dtype=TO_NUMPY[dtype], order="C", copy=True)
    return _core.empty(list(array.shape), dtype)._take_elements(_from_array(array, to_read=True))


def as_tensor(data, *, dtype=None, device=None):
    """The data as a tensor, without a copy where that is possible.

    Dtypes    that of the data, or the given one
    Example   >>> import numpy as np
              >>> a = np.zeros(2)
              >>> t = torch.as_tensor(a)
              >>> a[0] = 1.0
              >>> t
              tensor([1., 0.], dtype=torch.float64)
    """
    device_of("as_tensor", device)
    dtype = dtype_of("as_tensor", dtype) if dtype is not None else None
    if isinstance(data, Tensor):
        return data if dtype is None or data.dtype == dtype else data.to(dtype)
    if isinstance(data, np.ndarray):
        t = from_numpy(data)
        return t if dtype is None or t.dtype == dtype else t.to(dtype)
    return tensor(data, dtype=dtype)


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """The object as a tensor: a copy if asked for, or where there is no other way.

    Dtypes    that of the data, or the given one
    Errors    ValueError where copy=False and a copy is needed
    Example   >>> torch.asarray([1, 2], dtype=torch.float32)
              tensor([1., 2.])
    """
    t = as_tensor(obj, dtype=dtype, device=device)
    shares = isinstance(obj, (Tensor, np.ndarray)) and (
        dtype is None or t.dtype == getattr(obj, "dtype", None)
    )
    if copy is False and not (isinstance(obj, (Tensor, np.ndarray)) and shares):
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    if copy and shares:
        t = t.clone()
    if not requires_grad and t.requires_grad:
        return t.detach()
    return finish(t, None, requires_grad) if requires_grad else t


def _check_part(total, width, count, offset):
    """Torch's errors for the part of a buffer that is asked for."""
    if total <= 0 or count == 0:
        raise ValueError(f"both buffer length ({total}) and count ({count}) must not be 0")
    if not 0 <= offset < total:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({total} bytes) "
            "minus 1"
        )
    if count < 0 and (total - offset) % width:
        raise ValueError(
            f"buffer length ({total} bytes) after offset ({offset} bytes) must be a multiple of element size "
            f"({width})"
        )
    if count > 0 and offset + count * width > total:
        raise ValueError(
            f"requested buffer length ({count} * {width} bytes) after offset ({offset} bytes) must not be "
            f"greater than actual buffer length ({total} bytes)"
        )


def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    """A 1-dim tensor over the memory of an object with the buffer protocol.

    Shapes    -> (count)
    Errors    ValueError where the buffer is too short
    Example   >>> import pullback as torch
              >>> torch.frombuffer(bytearray(b"abc"), dtype=torch.uint8)
              tensor([97, 98, 99], dtype=torch.uint8)
    """
    try:
        total = memoryview(buffer).nbytes
    except TypeError:
        raise ValueError("object does not implement Python buffer protocol.") from None
    kind = np.dtype(TO_NUMPY[dtype_of("frombuffer", dtype)])
    _check_part(total, kind.itemsize, count, offset)
    a = np.frombuffer(buffer, dtype=kind, count=count, offset=offset)
    return finish(_from_array(a), None, requires_grad, "frombuffer")
