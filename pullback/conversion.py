"""Tensors of another type or layout: to(), type(), contiguous(), and the classes from before dtypes."""

from __future__ import annotations

from pullback import _core, creation, from_data
from pullback.arguments import kind_name, sizes_of, type_name
from pullback.trace.tracer import functions as f
from pullback.types import check_device, contiguous_format
from pullback.types import memory_format as format_type

Tensor = _core.Tensor
_BY_LEGACY = {d._legacy: d for d in creation._STORED}


def convert(t, dtype, copy=False, memory_format=None):
    """The tensor with another dtype; itself if nothing changes."""
    if dtype != t.dtype:
        if dtype not in creation._STORED:
            raise NotImplementedError(
                f"torch.{dtype._name} tensors are not supported yet; use float32 or float64"
            )
        t = f["_cast"](t, dtype)
    elif copy:
        return clone(t, memory_format=memory_format)
    return t if memory_format is None else contiguous(t, memory_format=memory_format)


def refuse(args, named):
    """Torch's TypeError for arguments that fit no form of to()."""
    found = ", ".join([kind_name(a) for a in args] + [f"{k}={kind_name(v)}" for k, v in named.items()])
    found += ", " if named and not args else ""
    raise TypeError(
        f"to() received an invalid combination of arguments - got ({found}), but expected one of:\n"
        " * (torch.device device = None, torch.dtype dtype = None, bool non_blocking = False, bool copy = "
        "False)\n"
        " * (torch.dtype dtype, bool non_blocking = False, bool copy = False)\n"
        " * (Tensor other, bool non_blocking = False, bool copy = False)"
    )


def to_dtype(dtype, name):
    """The method that converts to one dtype."""

    def method(self, *, memory_format=None):
        return convert(self, dtype, memory_format=memory_format)

    method.__name__ = name
    stored = dtype in creation._STORED
    call = f"torch.tensor([1.0]).{name}()"
    method.__doc__ = (
        f"""The tensor as torch.{dtype._name}; itself if it is already.

    Shapes    (*) -> (*)
    Gradient  g, where both types are floats
    Example   >>> {call}.dtype
              torch.{dtype._name}
    """
        if stored
        else f"""Raises: there are no tensors of torch.{dtype._name} yet.

    Errors    NotImplementedError
    Example   >>> {call}
              Traceback (most recent call last):
              ...
              NotImplementedError: torch.{dtype._name} tensors are not supported yet; use ...
    """
    )
    return method


def type_(self, dtype=None, non_blocking=False, *, memory_format=None):
    """The tensor's type as text, or the tensor converted to a type.

    Example   >>> torch.ones(2).type(), torch.ones(2).type(torch.int64).type()
              ('torch.FloatTensor', 'torch.LongTensor')
    """
    if dtype is None:
        return f"torch.{self.dtype._legacy}"
    if isinstance(dtype, str):
        legacy = dtype.removeprefix("torch.")
        if legacy not in _BY_LEGACY or not dtype.startswith("torch."):
            raise ValueError(f"invalid type: '{dtype}'")
        dtype = _BY_LEGACY[legacy]
    elif isinstance(dtype, LegacyType):
        dtype = dtype.dtype
    elif dtype is Tensor:
        dtype = _core.get_default_dtype()
    elif isinstance(dtype, type):
        raise ValueError(f"invalid type: '{type_name(dtype)}'\nGive a dtype, as torch.float64.")
    elif not isinstance(dtype, _core.dtype):
        raise TypeError("dtype must be a type, str, or dtype object")
    return convert(self, dtype, memory_format=memory_format)


def type_as(self, other):
    """Converted to the type of another tensor.

    Example   >>> torch.ones(2).type_as(torch.arange(2))
              tensor([1, 1])
    """
    return convert(self, other.dtype)


def _in_format(t, memory_format):
    """A copy whose axes lie in the order of a memory format; recorded like a permuted contiguous copy."""
    axes = memory_format._axes
    if t.dim() != len(axes):
        raise RuntimeError(f"required rank {len(axes)} tensor to use {memory_format._name} format")
    inverse = [axes.index(k) for k in range(len(axes))]
    return f["_contiguous"](t.permute(axes)).permute(inverse)


def is_contiguous(self, *, memory_format=contiguous_format):
    """Whether the elements lie row by row, or in the order of a memory format.

    Example   >>> torch.ones(2, 3).is_contiguous(), torch.ones(2, 3).T.is_contiguous()
              (True, False)
    """
    if not isinstance(memory_format, format_type):
        raise TypeError("is_contiguous(): memory_format must be a torch.memory_format")
    axes = getattr(memory_format, "_axes", None)
    if axes is None:
        return self._is_contiguous()
    return self.dim() == len(axes) and self.detach().permute(axes)._is_contiguous()


def clone(self, *, memory_format=None):
    """A copy, recorded like any operation.

    Shapes    input (*) -> (*)
    Gradient  g
    Example   >>> x = torch.ones(2)
              >>> y = x.clone()
              >>> y += 1
              >>> x
              tensor([1., 1.])
    """
    if memory_format is None or memory_format._name == "preserve_format":
        return f["_clone"](self)
    if memory_format._axes is not None:
        return _in_format(self, memory_format)
    return f["_clone"](self) if self._is_contiguous() else f["_contiguous"](self)


def contiguous(self, *, memory_format=None):
    """The tensor itself if its elements lie row by row, else such a copy.

    Shapes    input (*) -> (*)
    Gradient  g
    Example   >>> torch.ones(2, 3).T.contiguous().stride()
              (2, 1)
    """
    if not (memory_format is None or isinstance(memory_format, format_type)):
        raise TypeError(
            "contiguous(): argument 'memory_format' must be torch.memory_format, not "
            f"{kind_name(memory_format)}"
        )
    if is_contiguous(self, memory_format=memory_format or contiguous_format):
        return self
    axes = getattr(memory_format, "_axes", None)
    return f["_contiguous"](self) if axes is None else _in_format(self, memory_format)


def _is_size(x):
    return type(x).__name__ == "Size" or (hasattr(x, "__index__") and not hasattr(x, "__len__"))


def new(cls, dtype, args):
    """Tensor(2, 3), Tensor([1., 2.]), Tensor(t): the constructor from before torch.tensor()."""
    if not args:
        return _core.empty([0], dtype)
    data = args[0]
    if len(args) == 1 and isinstance(data, Tensor):
        if data.dtype != dtype and cls is not None:
            raise TypeError(f"expected {cls} (got {type_(data)})")
        return data.detach()
    if len(args) == 1 and isinstance(data, str):
        raise TypeError("new(): invalid data type 'str'")
    if len(args) == 1 and not _is_size(data):
        if not hasattr(data, "__len__"):
            raise TypeError(f"new(): data must be a sequence (got {type(data).__name__})")
        return from_data.tensor(data, dtype=dtype)
    return _core.empty(sizes_of(args, "new"), dtype)


class LegacyType(type):
    """torch.FloatTensor and its kin: constructors, and classes that tensors of one dtype are instances of."""

    def __instancecheck__(cls, obj):
        return isinstance(obj, Tensor) and obj.dtype == cls.dtype

    def __call__(cls, *args, device=None):
        check_device(device)
        return new(f"torch.{cls.__name__}", cls.dtype, args)


_ABOUT = """Tensors of {d}: a constructor from before torch.tensor(), and a class for isinstance().

Example   >>> torch.{name}([1, 0]).dtype, isinstance(torch.{name}(2), torch.{name})
          ({d}, True)
"""
legacy_types = {
    d._legacy: LegacyType(
        d._legacy, (), {"dtype": d, "__module__": "torch", "__doc__": _ABOUT.format(name=d._legacy, d=d)}
    )
    for d in sorted(creation._STORED, key=str)
}
