"""What the Python functions that make tensors check in their arguments, with torch's words."""

from __future__ import annotations

import functools
import numbers
import operator

from pullback import _core
from pullback.errors import GradError, ShapeError
from pullback.trace.sizes import Symbolic
from pullback.types import check_device, is_index, strided
from pullback.types import device as device_type
from pullback.types import layout as layout_type

Tensor = _core.Tensor
MISSING = object()  # the default of an argument that a call must give
_PYTHON_TYPES = {float: _core.float64, int: _core.int64, bool: _core.bool}


def kind_name(x) -> str:
    """A type's name as torch writes it."""
    kind = type(x)
    if isinstance(x, Tensor):
        return "Parameter" if kind.__name__ == "Parameter" else "Tensor"
    if isinstance(x, type) and issubclass(x, Tensor):
        return "torch._C._TensorMeta"
    return type_name(kind)


def type_name(kind) -> str:
    """The name of a type itself; those that are written in C there are named in full."""
    home = kind.__module__.partition(".")[0]
    named_in_full = home in ("torch", "numpy") or kind.__module__ == "collections"
    return f"{kind.__module__}.{kind.__name__}" if named_in_full else kind.__name__


def is_int64(x) -> bool:
    """Whether it is an integer that needs no further look."""
    return (isinstance(x, int) and not isinstance(x, bool) and -(1 << 63) <= x < 1 << 63) or isinstance(
        x, Symbolic
    )


def checked(key, *args, **named):
    """Raises torch's error for arguments that do not fit the signatures of its function."""
    from pullback import refusal

    refusal.checked(key, args, named)


def dtype_of(name: str, dtype, default=None):
    """The dtype of a call: torch's own, or one that Python's float, int and bool stand for."""
    if dtype is None:
        return default or _core.get_default_dtype()
    if isinstance(dtype, _core.dtype):
        return dtype
    found = _PYTHON_TYPES.get(dtype) if isinstance(dtype, type) else None
    if found is None:
        raise TypeError(f"{name}(): argument 'dtype' must be torch.dtype, not {type(dtype).__name__}")
    return found


def require_tensors(name: str, **arguments) -> None:
    """Torch's TypeError for the first argument that is no tensor."""
    for position, (argument, x) in enumerate(arguments.items(), 1):
        if not isinstance(x, Tensor):
            raise TypeError(
                f"{name}(): argument '{argument}' (position {position}) must be Tensor, not {kind_name(x)}"
            ) from None


def all_tensors(tensors):
    """The arguments themselves, or torch's TypeError for the first that is no tensor (nor stands for one)."""
    for k, t in enumerate(tensors):
        if not isinstance(t, Tensor) and not hasattr(t, "unsqueeze"):
            raise TypeError(f"expected Tensor as element {k} in argument 0, but got {kind_name(t)}")
    return tensors


def tensor_list(name: str, tensors) -> list:
    """A list of tensors that are to be joined, or torch's errors."""
    if not isinstance(tensors, (tuple, list)):
        found = kind_name(tensors)
        raise TypeError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not {found}")
    if not all_tensors(tensors):
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return list(tensors)


def device_of(name: str, device, layout=strided, pin_memory=False) -> None:
    """Refuses other devices than the CPU, and what torch offers beside it in the same calls."""
    if device is None and layout is None and pin_memory is False:
        return
    if layout is not strided and layout is not None and str(layout) != str(strided):  # torch's own passes
        if not isinstance(layout, layout_type):
            raise TypeError(f"{name}(): argument 'layout' must be torch.layout, not {kind_name(layout)}")
        raise NotImplementedError(
            f"{name}(...) is not implemented for sparse layout\nThere are only dense tensors: leave it out."
        )
    if pin_memory:
        raise RuntimeError(
            "pin_memory=True requires a CUDA or other accelerator backend; no pinned memory allocator is "
            "available on this system.\nLeave it out: there is no other device."
        )
    if device is not None and not (isinstance(device, (str, device_type)) or is_index(device)):
        raise TypeError(f"{name}(): argument 'device' must be torch.device, not {kind_name(device)}")
    check_device(device)


def integer(name: str, argument: str, position: int, x) -> int:
    """A whole number, or torch's TypeError."""
    try:
        if not isinstance(x, bool):
            return operator.index(x)
    except TypeError:  # also from tensors and arrays that are no single number
        pass
    raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be int, not {kind_name(x)}")


def real(name: str, argument: str, position: int, x) -> float:
    """A number as a float, also out of a tensor without axes, of which no gradient is asked."""
    if isinstance(x, numbers.Real) or (isinstance(x, Tensor) and x.ndim == 0 and not x.requires_grad):
        return float(x)
    raise TypeError(
        f"{name}(): argument '{argument}' (position {position}) must be float, not {kind_name(x)}"
    )


def within_64_bits(x):
    """A number; Python's OverflowError, which is torch's, for an int that no type holds."""
    if isinstance(x, int) and not -(2**63) <= x < 2**64:
        x.to_bytes(8, "little")
    return x


def ends(name: str, start, end) -> tuple[float, float]:
    """The two numbers between which others are to lie, from tensors too."""
    if not (isinstance(start, Tensor) or isinstance(end, Tensor)):
        return float(within_64_bits(start)), float(within_64_bits(end))
    axes = [f"{k} with {x.dim()}" for k, x in (("start", start), ("end", end)) if isinstance(x, Tensor)]
    if any(isinstance(x, Tensor) and x.dim() for x in (start, end)):
        raise RuntimeError(
            f"{name} only supports 0-dimensional start and end tensors, but got "
            f"{' dimension(s) and '.join(axes)} dimension(s)."
        )
    start, end = (x.item() if isinstance(x, Tensor) else within_64_bits(x) for x in (start, end))
    return float(start), float(end)


def number(name: str, argument: str, position: int, x):
    """A number, also out of a tensor without axes, of which no gradient is asked: it would be lost."""
    if isinstance(x, Tensor) and x.ndim == 0 and not x.requires_grad:
        return x.item()
    if isinstance(x, (Tensor, str, bytes, list, tuple, dict, type(None))) or not hasattr(x, "__float__"):
        raise TypeError(
            f"{name}(): argument '{argument}' (position {position}) must be Number, not {kind_name(x)}"
        )
    return within_64_bits(x)


def randint_bounds(args, low, high, size):
    """low, high, size, and at which place the size was given."""
    bounds = args
    if size is None and args and isinstance(args[-1], (tuple, list)):
        *bounds, size = args
    if len(bounds) == 1 and high is None and low is None:
        high = integer("randint", "high", 1, bounds[0])
    elif len(bounds) <= 2:
        for k, x in enumerate(bounds, 1):
            value = integer("randint", "low" if k == 1 else "high", k, x)
            low, high = (value, high) if k == 1 else (low, value)
    if high is None or size is None or len(bounds) > 2:
        found = ", ".join(map(kind_name, args))
        raise TypeError(
            f"randint() received an invalid combination of arguments - got ({found}), but expected one of:\n"
            " * (int high, tuple of ints size)\n * (int low, int high, tuple of ints size)"
        )
    return low or 0, high, size, len(bounds) + 1


def sizes_of(size, name="empty", argument="size", position=1) -> list[int]:
    """The sizes of a call like zeros(2, 3) or zeros((2, 3))."""
    listed = len(size) >= 1 and isinstance(size[0], (tuple, list))
    if listed:
        if len(size) > 1:
            raise TypeError(f"{name}() takes 1 positional argument but {len(size)} were given")
        size = size[0]
    out = []
    for k, s in enumerate(size):
        whole = hasattr(s, "__index__") and not isinstance(s, float)
        if isinstance(s, Tensor):
            whole = s.numel() == 1 and not s.dtype.is_floating_point
        if k == 0 and (not whole or isinstance(s, bool)):
            where = f"'{argument}' (position {position}) must be tuple of ints, "
            found = f"but found element of type {kind_name(s)} at pos 0" if listed else f"not {kind_name(s)}"
            raise TypeError(f"{name}(): argument {where}{found}")
        if not whole:
            raise TypeError(
                f"{name}(): argument '{argument}' failed to unpack the object at pos {k + 1} with error "
                f'"type must be tuple of ints,but got {kind_name(s)}"'
            )
        s = s.__index__()
        if not -(2**63) <= s < 2**63:
            raise TypeError(
                f"{name}(): argument '{argument}' failed to unpack the object at pos {k + 1} with error "
                '"Overflow when unpacking long long\nSizes must fit into 64 bits."'
            )
        out.append(s)
    return out


def sized(name: str, size, named, dtype, place, out=None):
    """An empty tensor for zeros(2, 3), zeros((2, 3)) and zeros(size=(2, 3)); `place` is device_of's."""
    return filled(name, size, named, dtype, place, out, None)


NOWHERE = (None, None, False)


def filled(name: str, size, named, dtype, place, out, value):
    """The same with all elements `value`."""
    if out is None and size and not named:
        if place != NOWHERE:
            device_of(name, *place)
        t = _core.new_tensor(size, dtype, value)
        if t is not None:
            return t
    if named:
        other = next((k for k in named if k != "size"), None)
        if other is not None:
            raise TypeError(f"{name}() got an unexpected keyword argument '{other}'")
        if size:
            raise TypeError(f"{name}() got multiple values for argument 'size'")
        size = (named["size"],)
    elif not size:
        raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
    device_of(name, *place)
    size = sizes_of(size, name)
    if name == "zeros" and any(s < 0 for s in size):
        raise ShapeError(f"zeros: Dimension size must be non-negative.\nThe sizes were {size}.")
    t = _core.empty(size, out_dtype(name, dtype, out))
    return t if value is None else t._set_all(value)


def out_dtype(name: str, dtype, out):
    """The dtype of a new tensor: that of `out`, if there is one."""
    if out is None:
        return dtype_of(name, dtype)
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {kind_name(out)}")
    if dtype is not None and dtype_of(name, dtype) != out.dtype:
        wanted, given = (d._legacy.removesuffix("Tensor") for d in (dtype_of(name, dtype), out.dtype))
        raise RuntimeError(f"dtype {wanted} does not match dtype of out parameter ({given})")
    return out.dtype


def finish(t, out=None, requires_grad=False, name="tensor", whose="aten::"):
    """The new tensor as asked for: put into `out`, or as a leaf that requires a gradient. `whose` is what
    errors of `out` put before the name."""
    if requires_grad is False and out is None:  # nearly always
        t._count_from_zero()
        return t
    requires_grad = False if requires_grad is None else requires_grad
    if requires_grad is not False:
        if not isinstance(requires_grad, bool):
            raise TypeError(
                f"{name}(): argument 'requires_grad' must be bool, not {kind_name(requires_grad)}"
            )
        if not t.dtype.is_floating_point:
            raise GradError(
                "Only Tensors of floating point and complex dtype can require gradients\n"
                f"This one would be of {t.dtype}; give it a float dtype."
            )
    if out is not None:
        require_no_gradient(whose + name, t, out)
        t = put(t, out)
    else:
        t._count_from_zero()
    return t.requires_grad_() if requires_grad else t


def require_no_gradient(name, result, out):
    """Torch's error for an `out` that would take part in a graph."""
    if result.requires_grad or (out.requires_grad and _core.is_grad_enabled()):
        raise GradError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of "
            "the arguments requires grad.\n"
            "Leave out=... away, or call it under torch.no_grad()."
        )


def only_argument(name, of=0):
    """For a function of one argument that has no name, as torch's are that are written in C, or for a method
    (`of=1`): its errors."""

    def decorate(function):
        @functools.wraps(function)
        def called(*args, **named):
            if named:
                raise TypeError(f"{name}() takes no keyword arguments")
            if len(args) != 1 + of:
                raise TypeError(f"{name}() takes exactly one argument ({len(args) - of} given)")
            return function(*args)

        return called

    return decorate


def resizable(out):
    """What torch gives another size before it fills it, which a tensor that requires a gradient refuses."""
    if out is not None and getattr(out, "requires_grad", False):
        raise GradError(
            "cannot resize variables that require grad\nGive out.detach(), or leave out=... away."
        )
    return out


def put(result, out):
    """The elements of a result in `out`, which takes its shape."""
    if tuple(out.shape) != tuple(result.shape):
        out.data = _core.empty(list(result.shape), out.dtype)
    return out._take_elements(result)
