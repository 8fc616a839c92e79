"""New tensors: from data, from numbers, and from other libraries' memory."""

from __future__ import annotations

import math
import warnings

import numpy as np

from pullback import _core
from pullback.arguments import (
    MISSING,
    NOWHERE,
    device_of,
    dtype_of,
    ends,
    filled,
    finish,
    integer,
    kind_name,
    number,
    only_argument,
    out_dtype,
    resizable,
    sized,
    sizes_of,
)

Tensor = _core.Tensor

_NUMPY = {
    "bool": _core.bool,
    "uint8": _core.uint8,
    "int8": _core.int8,
    "int16": _core.int16,
    "int32": _core.int32,
    "int64": _core.int64,
    "float16": _core.float16,
    "float32": _core.float32,
    "float64": _core.float64,
}
_STORED = {_core.bool, _core.uint8, _core.int32, _core.int64, _core.float32, _core.float64}
TO_NUMPY = {d: np.dtype(n) for n, d in _NUMPY.items()}


def _dtype_of_array(a):
    d = _NUMPY.get(a.dtype.name)
    if d is None:
        raise TypeError(
            f"can't convert np.ndarray of type numpy.{a.dtype.type.__name__}. The only supported types are: "
            "float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, "
            "uint16, uint8, and bool."
        )
    return d


def empty(
    *size,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
    memory_format=None,
    **named,
):
    """A tensor whose elements are whatever the memory held.

    Shapes    *size, or one tuple of them -> (*size)
    Errors    TypeError for sizes that are no integers, ShapeError for negative ones
    Example   >>> import pullback as torch
              >>> torch.empty(2, 3).shape
              torch.Size([2, 3])
    """
    t = sized("empty", size, named, dtype, (device, layout, pin_memory), out)
    return finish(_in_format(t, memory_format), resizable(out), requires_grad, "empty")


def _in_format(t, memory_format):
    """An empty tensor with its axes in the order of a memory format."""
    if memory_format is None or memory_format._axes is None:
        return t
    axes = memory_format._axes
    if t.dim() != len(axes):
        raise RuntimeError(f"required rank {len(axes)} tensor to use {memory_format._name} format")
    strides, step = [0] * len(axes), 1
    for axis in reversed(axes):
        strides[axis] = step
        step *= max(t.size(axis), 1)
    return _core.empty_strided(list(t.shape), strides, t.dtype)


def full(
    size,
    fill_value=MISSING,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
    **named,
):
    """A tensor of one repeated number.

    Shapes    size -> (*size)
    Dtypes    that of the number where none is given: bool, int64 or the default float type
    Errors    RuntimeError for a number that the type does not hold
    Example   >>> import pullback as torch
              >>> torch.full((2, 2), 3)
              tensor([[3, 3],
                      [3, 3]])
    """
    if named:
        raise TypeError(f"full() got an unexpected keyword argument '{next(iter(named))}'")
    if fill_value is MISSING:
        raise TypeError('full() missing 1 required positional arguments: "fill_value"')
    device_of("full", device, layout, pin_memory)
    if out is None and fill_value is not None and isinstance(size, (tuple, list)):
        kind = type(fill_value)
        wanted = dtype or (_core.int64 if kind is int else _core.bool if kind is bool else None)
        t = _core.new_tensor((size,), wanted, fill_value)
        if t is not None:
            return t if requires_grad is False else finish(t, None, requires_grad, "full")
    if not isinstance(size, (tuple, list)):
        raise TypeError(f"full(): argument 'size' (position 1) must be tuple of ints, not {kind_name(size)}")
    fill_value = number("full", "fill_value", 2, fill_value)
    if dtype is None and out is None:
        kinds = {bool: _core.bool, int: _core.int64}
        dtype = kinds.get(type(fill_value)) or _core.get_default_dtype()
    t = _core.empty(sizes_of((size,), "full"), out_dtype("full", dtype, out))
    t._set_all(fill_value)
    return finish(t, out, requires_grad, "full")


def zeros(
    *size, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False, **named
):
    """A tensor of zeros.

    Shapes    *size, or one tuple of them -> (*size)
    Errors    TypeError for sizes that are no integers, ShapeError for negative ones
    Example   >>> import pullback as torch
              >>> torch.zeros(2, 2)
              tensor([[0., 0.],
                      [0., 0.]])
    """
    return finish(
        filled("zeros", size, named, dtype, (device, layout, pin_memory), out, 0),
        out,
        requires_grad,
        "zeros",
    )


def ones(
    *size, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False, **named
):
    """A tensor of ones.

    Shapes    *size, or one tuple of them -> (*size)
    Errors    TypeError for sizes that are no integers, ShapeError for negative ones
    Example   >>> import pullback as torch
              >>> torch.ones(3, dtype=torch.int64)
              tensor([1, 1, 1])
    """
    return finish(
        filled("ones", size, named, dtype, (device, layout, pin_memory), out, 1),
        out,
        requires_grad,
        "ones",
    )


def _like(name, input, dtype, place, memory_format, value=None):
    if memory_format is None and type(input) is Tensor:
        if place != NOWHERE:
            device_of(name, *place)
        t = _core.new_like(input, dtype, value)
        if t is not None:
            return t
    t = _like_in_format(name, input, dtype, place, memory_format)
    return t if value is None else t._set_all(value)


def _like_in_format(name, input, dtype, place, memory_format):
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {kind_name(input)}")
    device_of(name, *place)
    dtype = dtype_of(name, dtype, input.dtype)
    keep = memory_format is None or memory_format._name == "preserve_format"
    if keep and input.is_non_overlapping_and_dense() and not input.is_contiguous():
        return _core.empty_strided(list(input.shape), list(input.stride()), dtype)
    t = _core.empty(list(input.shape), dtype)
    return t if keep else _in_format(t, memory_format)


def empty_like(
    input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None, pin_memory=False
):
    """A tensor of the same shape (and layout, if it is dense), with arbitrary elements.

    Shapes    input (*) -> (*)
    Errors    TypeError where the input is no tensor
    Example   >>> import pullback as torch
              >>> torch.empty_like(torch.ones(2, 3)).shape
              torch.Size([2, 3])
    """
    t = _like("empty_like", input, dtype, (device, layout, pin_memory), memory_format)
    return finish(t, None, requires_grad, "empty_like")


def zeros_like(
    input,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    memory_format=None,
    pin_memory=False,
):
    """Zeros of the same shape and type.

    Shapes    input (*) -> (*)
    Errors    TypeError where the input is no tensor
    Example   >>> import pullback as torch
              >>> torch.zeros_like(torch.tensor([1, 2]))
              tensor([0, 0])
    """
    t = _like("zeros_like", input, dtype, (device, layout, pin_memory), memory_format, 0)
    return finish(t, None, requires_grad, "zeros_like")


def ones_like(
    input,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    memory_format=None,
    pin_memory=False,
):
    """Ones of the same shape and type.

    Shapes    input (*) -> (*)
    Errors    TypeError where the input is no tensor
    Example   >>> import pullback as torch
              >>> torch.ones_like(torch.tensor([1.5, 2.0]))
              tensor([1., 1.])
    """
    t = _like("ones_like", input, dtype, (device, layout, pin_memory), memory_format, 1)
    return finish(t, None, requires_grad, "ones_like")


def full_like(
    input,
    fill_value,
    *,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
    memory_format=None,
    pin_memory=False,
):
    """One repeated number, in the shape and type of another tensor.

    Shapes    input (*) -> (*)
    Errors    RuntimeError for a number that the type does not hold
    Example   >>> import pullback as torch
              >>> torch.full_like(torch.tensor([1, 2]), 7)
              tensor([7, 7])
    """
    value = number("full_like", "fill_value", 2, fill_value)
    t = _like("full_like", input, dtype, (device, layout, pin_memory), memory_format, value)
    return finish(t, None, requires_grad, "full_like")


_warned_read_only: list = []  # torch warns once in a program


@only_argument("torch._VariableFunctionsClass.from_numpy")
def from_numpy(ndarray):
    """A tensor over a NumPy array's own memory: changes of one show in the other.

    Errors    TypeError for other objects and types; ValueError for negative strides

    >>> import numpy as np, pullback as torch
    >>> a = np.array([1.0, 2.0])
    >>> t = torch.from_numpy(a); a[0] = 5; t
    tensor([5., 2.], dtype=torch.float64)
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {kind_name(ndarray)})")
    return _from_array(ndarray)


def _refuse_negative_strides(a):
    """Torch's ValueError for an array that runs backwards."""
    if any(s < 0 for s in a.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are "
            "not currently supported. (You can probably work around this by making a copy of your array  "
            "with array.copy().) "
        )


def _from_array(a, to_read=False):
    t = _core.from_array(a, to_read)
    if t is not None:
        return t
    dtype = _dtype_of_array(a)
    if dtype not in _STORED:
        raise TypeError(
            f"torch.{dtype._name} tensors are not supported yet; convert the array to float32 or int64"
        )
    _refuse_negative_strides(a)
    if any(s % a.itemsize for s in a.strides):
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size. Copy the numpy array to "
            "reallocate the memory."
        )
    if not a.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion between "
            "byte orders is currently not supported."
        )
    if not (to_read or a.flags.writeable or _warned_read_only):
        _warned_read_only.append(True)
        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This "
            "means writing to this tensor will result in undefined behavior. You may want to copy the array "
            "to protect its data or make it writable before converting it to a tensor. This type of warning "
            "will be suppressed for the rest of this program.",
            stacklevel=3,
        )
    address = a.__array_interface__["data"][0]
    return _core.borrow(address, dtype, list(a.shape), [s // a.itemsize for s in a.strides], a)


def arange(
    *bounds,
    start=None,
    end=None,
    step=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """start, start + step, ... up to but not including end.

    >>> import pullback as torch
    >>> torch.arange(0, 1, 0.25)
    tensor([0.0000, 0.2500, 0.5000, 0.7500])
    """
    device_of("arange", device, layout, pin_memory)
    if out is None and start is None and end is None and step is None:
        t = _core.range_of(bounds, dtype)
        if t is not None:
            return t if requires_grad is False else finish(t, None, requires_grad, "arange")
    names = ("end",) if len(bounds) == 1 and end is None else ("start", "end", "step")
    given = {"start": start, "end": end, "step": step}
    for position, (name, value) in enumerate(zip(names, bounds, strict=False), 1):
        given[name] = number("arange", name, position, value)
    if given["end"] is None or len(bounds) > 3:
        raise TypeError(
            "arange() received an invalid combination of arguments - got "
            f"({', '.join(map(kind_name, bounds))}), but "
            "expected one of:\n * (Number end)\n * (Number start, Number end, Number step = 1)"
        )
    start, end, step = (x.item() if isinstance(x, Tensor) else x for x in given.values())
    start, step = 0 if start is None else start, 1 if step is None else step
    t = _arange(start, end, step, dtype if dtype is None and out is None else out_dtype("arange", dtype, out))
    if out is not None and not out.requires_grad and out.numel() not in (0, t.numel()):
        warnings.warn(
            f"The number of elements in the out tensor of shape {list(out.shape)} is {out.numel()} which "
            f"does not match the computed number of elements {t.numel()}. Note that this may occur as a "
            f"result of rounding error. The out tensor will be resized to a tensor of shape ({t.numel()},).",
            UserWarning,
            stacklevel=2,
        )
    return finish(t, out, requires_grad, "arange")


def _refuse_truth(name, dtype):
    if dtype == _core.bool:
        raise NotImplementedError(
            f"\"{name}_cpu\" not implemented for 'Bool'\nCompare numbers, or call .bool()."
        )


def _arange(start, end, step, dtype):
    fractional = any(isinstance(x, (float, np.floating)) for x in (start, end, step))
    if dtype is None:
        dtype = _core.get_default_dtype() if fractional else _core.int64
    _refuse_truth("arange", dtype)
    if step == 0 or step != step:
        raise RuntimeError("step must be nonzero")
    if not all(math.isfinite(x) for x in (start, end)):
        raise RuntimeError(f"unsupported range: {start:g} -> {end:g}")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if dtype.is_floating_point or (fractional and dtype == _core.get_default_dtype()):
        if (end - start) / step >= 2**63:
            raise RuntimeError("invalid size, possible overflow?")
        return _core.arange_float(dtype, float(start), float(end), float(step))
    start, end, step = int(start), int(end), int(step)
    if not all(-(2**63) <= x < 2**63 for x in (start, end, step)):
        raise RuntimeError("value cannot be converted to type int64_t without overflow")
    if step == 0:
        raise ValueError("step must be nonzero\nA step below 1 needs a float dtype.")
    return _core.arange_int(dtype, start, end, step)


def range(start=0, end=None, step=1, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """Like arange(), with the end included and float elements.

    Example   >>> torch.range(1, 3)
              tensor([1., 2., 3.])
    """
    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is "
        "inconsistent with Python's range builtin. Instead, use torch.arange, which produces values in "
        "[start, end).",
        UserWarning,
        stacklevel=2,
    )
    if end is None:
        start, end = 0, start
    dtype = out_dtype("range", dtype, out)
    _refuse_truth("range", dtype)
    count = math.floor((end - start) / step) + 1
    t = _core.arange_float(dtype, float(start), float(start + (count - 0.5) * step), float(step))
    return finish(t, out, requires_grad, "range")


def _spaced(name, start, end, steps, dtype, place, out):
    device_of(name, *place)
    wrong = any(isinstance(x, (str, bytes, list, tuple, type(None))) for x in (start, end))
    if wrong or isinstance(steps, float) or not hasattr(steps, "__index__"):
        found = ", ".join(kind_name(x) for x in (start, end, steps) if x is not None)
        raise TypeError(
            f"{name}() received an invalid combination of arguments - got ({found}), but expected one of:\n"
            " * (Number start, Number end, int steps)"
        )
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    start, end = ends(name, start, end)
    dtype, steps = out_dtype(name, dtype, out), steps.__index__()
    if steps > 1:
        _refuse_truth(name, dtype)
    return dtype, start, end, steps


def linspace(
    start,
    end,
    steps=None,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """`steps` numbers from start to end, both included, evenly spaced.

    Shapes    -> (steps)
    Errors    RuntimeError for a negative number of steps
    Example   >>> import pullback as torch
              >>> torch.linspace(0, 1, 5)
              tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    dtype, start, end, steps = _spaced(
        "linspace", start, end, steps, dtype, (device, layout, pin_memory), out
    )
    return finish(_core.linspace(dtype, start, end, steps), out, requires_grad, "linspace")


def logspace(
    start,
    end,
    steps=None,
    base=10.0,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """base ** start, ..., base ** end, with evenly spaced exponents.

    Shapes    -> (steps)
    Errors    RuntimeError for a negative number of steps
    Example   >>> import pullback as torch
              >>> torch.logspace(0, 2, 3)
              tensor([  1.,  10., 100.])
    """
    dtype, start, end, steps = _spaced(
        "logspace", start, end, steps, dtype, (device, layout, pin_memory), out
    )
    return finish(_core.logspace(dtype, start, end, steps, float(base)), out, requires_grad, "logspace")


def eye(n, m=None, *, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """Ones on the diagonal, zeros elsewhere.

    Shapes    -> (n, m), or (n, n) without m
    Errors    RuntimeError for negative sizes
    Example   >>> import pullback as torch
              >>> torch.eye(2)
              tensor([[1., 0.],
                      [0., 1.]])
    """
    device_of("eye", device, layout, pin_memory)
    n = integer("eye", "n", 1, n)
    m = n if m is None else integer("eye", "m", 2, m)
    if n < 0:
        raise RuntimeError(f"n must be greater or equal to 0, got {n}")
    if m < 0:
        raise RuntimeError(f"m must be greater or equal to 0, got {m}")
    return finish(_core.eye(out_dtype("eye", dtype, out), n, m), out, requires_grad, "eye")


def empty_strided(
    size, stride, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
):
    """An uninitialised tensor with given strides.

    Shapes    size, stride -> (*size)
    Errors    RuntimeError where there are not as many strides as sizes
    Example   >>> import pullback as torch
              >>> torch.empty_strided((2, 3), (1, 2)).stride()
              (1, 2)
    """
    device_of("empty_strided", device, layout, pin_memory)
    if len(size) != len(stride):
        raise RuntimeError(
            f"dimensionality of sizes ({len(size)}) must match dimensionality of strides ({len(stride)})"
        )
    t = _core.empty_strided(list(size), list(stride), dtype_of("empty_strided", dtype))
    return finish(t, None, requires_grad, "empty_strided")


def scalar_tensor(s, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """A 0-dim tensor.

    Shapes    -> ()
    Example   >>> import pullback as torch
              >>> torch.scalar_tensor(2)
              tensor(2.)
    """
    t = _core.empty([], dtype_of("scalar_tensor", dtype))._set_all(number("scalar_tensor", "s", 1, s))
    return finish(t, None, requires_grad, "scalar_tensor")


def _triangle(name, indices, row, col, offset, dtype):
    for position, (side, n) in enumerate({"row": row, "col": col}.items(), 1):
        if integer(name, side, position, n) < 0:
            raise RuntimeError(f"{side} must be non-negative, got{n}\nIt is a number of {side}s.")
    pairs = indices(row, integer(name, "offset", 3, offset), col)
    return _from_array(np.stack(pairs).astype(np.int64)).to(dtype)


def tril_indices(row, col, offset=0, *, dtype=_core.int64, device=None, layout=None):
    """Rows and columns of the elements on and below a diagonal.

    Shapes    -> (2, the number of such elements)
    Example   >>> import pullback as torch
              >>> torch.tril_indices(2, 2)
              tensor([[0, 1, 1],
                      [0, 0, 1]])
    """
    return _triangle("tril_indices", np.tril_indices, row, col, offset, dtype)


def triu_indices(row, col, offset=0, *, dtype=_core.int64, device=None, layout=None):
    """Rows and columns of the elements on and above a diagonal.

    Shapes    -> (2, the number of such elements)
    Example   >>> import pullback as torch
              >>> torch.triu_indices(2, 2)
              tensor([[0, 0, 1],
                      [0, 1, 1]])
    """
    return _triangle("triu_indices", np.triu_indices, row, col, offset, dtype)
