"""New tensors: from data, from numbers, and from other libraries' memory."""

from __future__ import annotations

import math
import numbers

import numpy as np

from pullback import _core
from pullback.trace.tracer import functions as f
from pullback.types import check_device

Tensor = _core.Tensor

_NUMPY = {
    "bool": _core.bool, "uint8": _core.uint8, "int8": _core.int8, "int16": _core.int16, "int32": _core.int32,
    "int64": _core.int64, "float16": _core.float16, "float32": _core.float32, "float64": _core.float64,
}  # fmt: skip
_STORED = {_core.bool, _core.uint8, _core.int32, _core.int64, _core.float32, _core.float64}
TO_NUMPY = {d: np.dtype(n) for n, d in _NUMPY.items()}


def dtype_of_array(a):
    d = _NUMPY.get(a.dtype.name)
    if d is None:
        raise TypeError(
            f"can't convert np.ndarray of type numpy.{a.dtype.type.__name__}. The only supported types are: float64, "
            "float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and "
            "bool."
        )
    return d


def sizes_of(size):
    """The sizes of a call like zeros(2, 3) or zeros((2, 3))."""
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = size[0]
    out = []
    for s in size:
        if isinstance(s, (bool, float)) or not hasattr(s, "__index__"):
            raise TypeError(
                f"empty(): argument 'size' must be tuple of ints, but found element of type {type(s).__name__} at "
                f"pos {len(out)}"
            )
        out.append(s.__index__())
    return out


def finish(t, dtype, requires_grad, pin_memory=False):
    return t.requires_grad_() if requires_grad else t


def empty(*size, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False,
          memory_format=None, names=None):  # fmt: skip
    """A tensor whose elements are whatever the memory held."""
    if "size" in (names or ()):
        raise TypeError("names are not supported")
    check_device(device)
    t = _core.empty(sizes_of(size), dtype or _core.get_default_dtype())
    return finish(t, dtype, requires_grad)


def full(size, fill_value, *, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """A tensor of one repeated number."""
    check_device(device)
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    if dtype is None:
        kinds = {bool: _core.bool, int: _core.int64}
        dtype = kinds.get(type(fill_value)) or _core.get_default_dtype()
    size = (size,) if isinstance(size, int) else size
    t = _core.empty(sizes_of((tuple(size),)), dtype)._set_all(fill_value)
    return finish(t, dtype, requires_grad)


def zeros(*size, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """A tensor of zeros.

    >>> import pullback as torch
    >>> torch.zeros(2, 2)
    tensor([[0., 0.],
            [0., 0.]])
    """
    check_device(device)
    t = _core.empty(sizes_of(size), dtype or _core.get_default_dtype())._set_all(0)
    return finish(t, dtype, requires_grad)


def ones(*size, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """A tensor of ones."""
    check_device(device)
    t = _core.empty(sizes_of(size), dtype or _core.get_default_dtype())._set_all(1)
    return finish(t, dtype, requires_grad)


def empty_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None,
               pin_memory=False):  # fmt: skip
    """A tensor of the same shape (and layout, if it is dense), with arbitrary elements."""
    check_device(device)
    dtype = dtype or input.dtype
    keep = memory_format is None or "preserve" in repr(memory_format)
    if keep and input.is_non_overlapping_and_dense() and not input.is_contiguous():
        t = _core.empty_strided(list(input.shape), list(input.stride()), dtype)
    else:
        t = _core.empty(list(input.shape), dtype)
    return finish(t, dtype, requires_grad)


def zeros_like(input, **options):
    """Zeros of the same shape and type."""
    requires_grad = options.pop("requires_grad", False)
    return finish(empty_like(input, **options)._set_all(0), None, requires_grad)


def ones_like(input, **options):
    """Ones of the same shape and type."""
    requires_grad = options.pop("requires_grad", False)
    return finish(empty_like(input, **options)._set_all(1), None, requires_grad)


def full_like(input, fill_value, **options):
    """One repeated number, in the shape and type of another tensor."""
    requires_grad = options.pop("requires_grad", False)
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    return finish(empty_like(input, **options)._set_all(fill_value), None, requires_grad)


def from_numpy(ndarray):
    """A tensor over a NumPy array's own memory: changes of one show in the other.

    Errors    TypeError for other objects and types; ValueError for negative strides

    >>> import numpy as np, pullback as torch
    >>> a = np.array([1.0, 2.0])
    >>> t = torch.from_numpy(a); a[0] = 5; t
    tensor([5., 2.], dtype=torch.float64)
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    return _from_array(ndarray)


def _from_array(a):
    dtype = dtype_of_array(a)
    if dtype not in _STORED:
        raise TypeError(f"torch.{dtype._name} tensors are not supported yet; convert the array to float32 or int64")
    if any(s < 0 for s in a.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
            "currently supported. (You can probably work around this by making a copy of your array with array.copy().)"
        )
    if any(s % a.itemsize for s in a.strides):
        raise ValueError("given numpy array strides not a multiple of the element byte size. Copy the numpy array to "
                         "reallocate the memory.")  # fmt: skip
    if not a.dtype.isnative:
        raise ValueError("given numpy array has byte order different from the native byte order. Conversion between "
                         "byte orders is currently not supported.")  # fmt: skip
    if not a.flags.writeable:
        import warnings

        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This means "
            "writing to this tensor will result in undefined behavior. You may want to copy the array to protect its "
            "data or make it writable before converting it to a tensor. This type of warning will be suppressed for "
            "the rest of this program.",
            stacklevel=3,
        )
    address = a.__array_interface__["data"][0]
    return _core.borrow(address, dtype, list(a.shape), [s // a.itemsize for s in a.strides], a)


def _array_of(data):
    """Nested data as an array of a type that a tensor can have; Python floats are of no type yet."""
    if isinstance(data, np.ndarray):
        return data, dtype_of_array(data)
    if isinstance(data, (bool, np.bool_)):
        return np.asarray(data), _core.bool
    if isinstance(data, int):
        return np.asarray(data, dtype=np.int64), _core.int64
    if isinstance(data, float):
        return np.asarray(data), None
    if isinstance(data, np.generic):
        a = np.asarray(data)
        return a, dtype_of_array(a)
    a, scalars = _nested(data)
    return a, scalars


def _nested(data):
    if not isinstance(data, (list, tuple, range)):
        if hasattr(data, "__array__"):
            a = np.asarray(data)
            return a, dtype_of_array(a)
        if isinstance(data, (numbers.Number, str)) or not hasattr(data, "__len__"):
            kind = type(data).__name__
            if isinstance(data, str):
                raise TypeError(f"new(): invalid data type '{kind}'")
            raise RuntimeError(f"Could not infer dtype of {kind}")
        data = list(data)
    plain, kind = _plain(data)
    try:
        a = np.array(plain, dtype=np.int64 if kind is _core.int64 else None) if plain else np.empty(_shape(plain))
    except OverflowError:
        raise RuntimeError("Overflow when unpacking long long") from None
    except ValueError:
        _complain(plain)
        raise
    if a.dtype == object:
        _complain(plain)
        raise TypeError(f"new(): invalid data type '{type(plain).__name__}'")
    return a, kind if a.size else None


def _shape(data):
    shape = []
    while isinstance(data, (list, tuple)):
        shape.append(len(data))
        data = data[0] if data else None
    return shape


def _complain(data, depth=0):
    """Torch's text for ragged data: which axis, and the two lengths."""
    lengths = [len(x) if isinstance(x, (list, tuple)) else None for x in data]
    first = lengths[0]
    for n in lengths:
        if n is None and first is not None:
            raise TypeError(f"not a sequence: expected sequence of length {first} at dim {depth + 1}")
        if n is not None and first is None:
            raise TypeError(f"only number elements were expected at dim {depth + 1}")
        if n != first:
            raise ValueError(f"expected sequence of length {first} at dim {depth + 1} (got {n})")
    for x in data:
        if isinstance(x, (list, tuple)):
            _complain(x, depth + 1)


def _plain(data):
    """Lists with tensors and arrays replaced by lists, and the type that their elements have together."""
    kind = None
    out = []
    for x in data:
        if isinstance(x, (list, tuple, range)):
            x, k = _plain(x)
        elif isinstance(x, Tensor):
            k = x.dtype if not x.dtype.is_floating_point else x.dtype
            x = x.tolist()
        elif isinstance(x, np.ndarray):
            k = dtype_of_array(x)
            x = x.tolist()
        elif isinstance(x, np.generic):
            k = dtype_of_array(np.asarray(x))
            x = x.item()
        elif isinstance(x, bool):
            k = _core.bool
        elif isinstance(x, int):
            k = _core.int64
        elif isinstance(x, float):
            k = _core.get_default_dtype()
        elif isinstance(x, str):
            raise ValueError(f"too many dimensions '{type(x).__name__}'")
        elif hasattr(x, "__array__"):
            x = np.asarray(x)
            k = dtype_of_array(x)
            x = x.tolist()
        elif hasattr(x, "__len__") and hasattr(x, "__getitem__"):
            x, k = _plain(list(x))
        else:
            raise RuntimeError(f"Could not infer dtype of {type(x).__name__}")
        out.append(x)
        if k is not None:
            kind = k if kind is None else _core.promote_types(kind, k)
    return out, kind


def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A new tensor with a copy of the data.

    Dtypes    that of the data: bool, int64, or the default float type for Python numbers; NumPy's own otherwise
    Errors    ValueError for ragged lists, TypeError and RuntimeError for data that are no numbers

    >>> import pullback as torch
    >>> torch.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    check_device(device)
    if isinstance(data, Tensor):
        import warnings

        warnings.warn(
            "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
            UserWarning, stacklevel=2,
        )  # fmt: skip
        t = f["_clone"](data.detach())
        t = t if dtype is None else t.to(dtype)
        return finish(t, dtype, requires_grad)
    if type(data) is float:
        t = _core.empty((), dtype or _core.get_default_dtype())._set_all(data)
        return t.requires_grad_() if requires_grad else t
    array, kind = _array_of(data)
    dtype = dtype or kind or _core.get_default_dtype()
    if dtype not in _STORED:
        raise TypeError(f"torch.{dtype._name} tensors are not supported yet; use float32 or float64")
    with np.errstate(invalid="ignore"):
        copy = np.array(array, dtype=TO_NUMPY[dtype], order="C", copy=True)
    t = _core.empty(list(copy.shape), dtype)._take_elements(_from_array(copy))
    return t.requires_grad_() if requires_grad else t


def as_tensor(data, dtype=None, device=None):
    """The data as a tensor, without a copy where that is possible."""
    check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None or data.dtype == dtype else data.to(dtype)
    if isinstance(data, np.ndarray) and all(s >= 0 for s in data.strides):
        t = from_numpy(data)
        return t if dtype is None or t.dtype == dtype else t.to(dtype)
    return tensor(data, dtype=dtype)


asarray = as_tensor


def _scalar(x):
    return x.item() if isinstance(x, Tensor) else x


def arange(start, end=None, step=1, *, out=None, dtype=None, layout=None, device=None, pin_memory=False,
           requires_grad=False):  # fmt: skip
    """start, start + step, ... up to but not including end.

    >>> import pullback as torch
    >>> torch.arange(0, 1, 0.25)
    tensor([0.0000, 0.2500, 0.5000, 0.7500])
    """
    check_device(device)
    if end is None:
        start, end = 0, start
    start, end, step = _scalar(start), _scalar(end), _scalar(step)
    if dtype is None:
        whole = all(isinstance(x, (int, np.integer)) for x in (start, end, step))
        dtype = _core.int64 if whole else _core.get_default_dtype()
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not all(math.isfinite(x) for x in (start, end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if dtype.is_floating_point or any(isinstance(x, float) for x in (start, end, step)):
        t = _core.arange_float(dtype, float(start), float(end), float(step))
    else:
        t = _core.arange_int(dtype, int(start), int(end), int(step))
    return finish(t, dtype, requires_grad)


def linspace(start, end, steps, *, out=None, dtype=None, layout=None, device=None, pin_memory=False,
             requires_grad=False):  # fmt: skip
    """`steps` numbers from start to end, both included, evenly spaced."""
    check_device(device)
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    t = _core.linspace(dtype or _core.get_default_dtype(), float(_scalar(start)), float(_scalar(end)), steps)
    return finish(t, dtype, requires_grad)


def logspace(start, end, steps, base=10.0, *, out=None, dtype=None, layout=None, device=None, pin_memory=False,
             requires_grad=False):  # fmt: skip
    """base ** start, ..., base ** end, with evenly spaced exponents."""
    check_device(device)
    t = _core.logspace(dtype or _core.get_default_dtype(), float(_scalar(start)), float(_scalar(end)), steps,
                       float(base))  # fmt: skip
    return finish(t, dtype, requires_grad)


def eye(n, m=None, *, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """Ones on the diagonal, zeros elsewhere."""
    check_device(device)
    if n < 0:
        raise RuntimeError(f"n must be greater or equal to 0, got {n}")
    if m is not None and m < 0:
        raise RuntimeError(f"m must be greater or equal to 0, got {m}")
    t = _core.eye(dtype or _core.get_default_dtype(), n, n if m is None else m)
    return finish(t, dtype, requires_grad)


def empty_strided(size, stride, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """An uninitialised tensor with given strides."""
    check_device(device)
    return finish(_core.empty_strided(list(size), list(stride), dtype or _core.get_default_dtype()), dtype, requires_grad)


def scalar_tensor(s, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """A 0-dim tensor."""
    return tensor(s, dtype=dtype or _core.get_default_dtype(), requires_grad=requires_grad)
