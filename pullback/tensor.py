"""The class Tensor: what its native half leaves to Python."""

from __future__ import annotations

import sys

import numpy as np

from pullback import _core, conversion, creation, from_data, random
from pullback.arguments import (
    device_of,
    dtype_of,
    finish,
    kind_name,
    number,
    require_tensors,
    sized,
    sizes_of,
)
from pullback.conversion import clone, contiguous, is_contiguous, to_dtype, type_, type_as
from pullback.copying import __copy__, __deepcopy__, __reduce_ex__
from pullback.functions import adjoint, allclose, equal, is_nonzero, isclose
from pullback.storage import _typed_storage, _untyped_storage, require_within, set_
from pullback.trace.tracer import functions as f
from pullback.types import CPU, check_device, strided
from pullback.types import device as device_type

Tensor = _core.Tensor
_ABOUT = """Elements of one type along axes, and what is needed to differentiate by them.

Made by tensor(), zeros(), rand() and the like. With requires_grad operations on it are recorded, and
backward() adds the derivatives into its grad.

Example   >>> x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
          >>> (x * x).sum().backward()
          >>> x.grad
          tensor([[2., 4.],
                  [6., 8.]])
"""


def numpy(self, *, force=False):
    """The elements as a NumPy array over the same memory.

    Errors    RuntimeError for a tensor that requires grad (unless force, or where nothing is recorded)
    Example   >>> torch.tensor([1.0, 2.0]).numpy()
              array([1., 2.], dtype=float32)
    """
    if self.requires_grad and not force and _core.is_grad_enabled():
        raise RuntimeError(
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
        )
    return self._numpy_view()


def __array__(self, dtype=None, copy=None):
    a = numpy(self)
    if dtype is not None:
        a = a.astype(dtype, copy=False)
    return np.array(a, copy=True) if copy else a


def __array_wrap__(self, array, context=None, return_scalar=False):
    if array.dtype == bool:
        array = array.astype("uint8")
    return creation.from_numpy(np.asarray(array))


def cpu(self, *, memory_format=None):
    """The tensor itself: it is on the CPU.

    Example   >>> x = torch.ones(2)
              >>> x.cpu() is x
              True
    """
    return self if memory_format is None else conversion.convert(self, self.dtype, False, memory_format)


def cuda(self, device=None, non_blocking=False, memory_format=None):
    """Raises DeviceError: there is no other device.

    Example   >>> torch.ones(2).cuda() if torch.cuda.is_available() else "there is only the CPU"
              'there is only the CPU'
    """
    if device is not None and device_type(device).type != "cuda":
        raise RuntimeError("Invalid device, must be cuda device")
    check_device("cuda")


def __repr__(self, *, tensor_contents=None):
    from pullback import printing

    levels = sys.modules.get("pullback.func.levels")
    text = None if levels is None else levels.describe(self, printing.tensor_repr)
    return printing.tensor_repr(self, tensor_contents=tensor_contents) if text is None else text


def __format__(self, spec):
    from pullback import printing

    return printing.tensor_format(self, spec)


def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    """Adds the gradients of this tensor into `.grad` of the leaves that it depends on (or of `inputs`).

    The graph is freed unless retain_graph (or create_graph, which records the gradients too) is set.

    Shapes    gradient has the tensor's shape; None for a single element means 1
    Errors    GradError where there is no graph, or it was freed, or None stands for several elements
    Example   >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
              >>> (x**2).backward(gradient=torch.tensor([1.0, 10.0]))
              >>> x.grad
              tensor([ 2., 40.])
    """
    if gradient is None and inputs is None and create_graph is False:
        return self._backward_plain(retain_graph)
    from pullback.autograd.backward import backward as run

    run(self, gradient, retain_graph, create_graph, inputs=inputs)


def __dir__(self):
    return sorted(set(dir(type(self))) | set(self.__dict__))


def __reversed__(self):
    return self if self.dim() == 0 else self.flip(0)


def __contains__(self, element):
    if isinstance(element, (Tensor, int, float, bool)):
        return bool((element == self).any())
    raise RuntimeError(
        f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}."
    )


def is_floating_point(self):
    """Whether the elements are floats.

    Example   >>> torch.ones(2).is_floating_point(), torch.arange(2).is_floating_point()
              (True, False)
    """
    return self.dtype.is_floating_point


def is_complex(self):
    """Whether the elements are complex: never.

    Example   >>> torch.ones(2).is_complex()
              False
    """
    return False


def is_same_size(self, other):
    """Whether two tensors have the same shape.

    Example   >>> torch.ones(2, 3).is_same_size(torch.zeros(2, 3))
              True
    """
    return tuple(self.shape) == tuple(other.shape)


def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
    """A new tensor of this one's type.

    Example   >>> torch.ones(1, dtype=torch.float64).new_tensor([1, 2])
              tensor([1., 2.], dtype=torch.float64)
    """
    device_of("new_tensor", device)
    return from_data.tensor(
        data, dtype=dtype_of("new_tensor", dtype, self.dtype), requires_grad=requires_grad
    )


def new(self, *args, device=None):
    """A tensor of this one's type, by the constructor from before torch.tensor().

    Example   >>> torch.ones(1, dtype=torch.int64).new([1, 2])
              tensor([1, 2])
    """
    check_device(device)
    return conversion.new(f"torch.{self.dtype._legacy}", self.dtype, args)


def _new(name):
    def method(
        self, *size, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False, **named
    ):
        name_new = f"new_{name}"
        t = sized(name_new, size, named, dtype_of(name_new, dtype, self.dtype), (device, layout, pin_memory))
        if name != "empty":
            t._set_all(1 if name == "ones" else 0)
        return finish(t, None, requires_grad, name_new)

    method.__name__ = f"new_{name}"
    method.__doc__ = f"""{name}() with this tensor's type.

    Shapes    *size, or one tuple of them -> (*size)
    Errors    TypeError for sizes that are no integers, ShapeError for negative ones
    Example   >>> x = torch.tensor([7.0], dtype=torch.float64).new_{name}(2, 3)
              >>> x.shape, x.dtype
              (torch.Size([2, 3]), torch.float64)
    """
    return method


def new_full(
    self, size, fill_value, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False
):
    """full() with this tensor's type.

    Example   >>> torch.ones(1, dtype=torch.float64).new_full((2,), 7)
              tensor([7., 7.], dtype=torch.float64)
    """
    fill_value = number("new_full", "fill_value", 2, fill_value)
    dtype, place = dtype_of("new_full", dtype, self.dtype), {"device": device, "pin_memory": pin_memory}
    return creation.full(size, fill_value, dtype=dtype, layout=layout, requires_grad=requires_grad, **place)


def is_signed(self):
    """Whether the elements can be negative.

    Example   >>> torch.ones(1).is_signed(), torch.ones(1, dtype=torch.uint8).is_signed()
              (True, False)
    """
    return self.dtype.is_signed


def __complex__(self):
    return complex(float(self))


def is_set_to(self, tensor):
    """Whether two tensors are the same view of the same memory.

    Example   >>> x = torch.ones(2)
              >>> x.is_set_to(x.view(2)), x.is_set_to(x.clone())
              (True, False)
    """
    require_tensors("is_set_to", tensor=tensor)
    same = self._shares_memory(tensor) and self.storage_offset() == tensor.storage_offset()
    return same and tuple(self.shape) == tuple(tensor.shape) and self.stride() == tensor.stride()


def resize_(self, *size, memory_format=None):
    """Another shape in place; the elements that fit stay.

    Errors    RuntimeError for a tensor that requires a gradient
    Example   >>> torch.tensor([1.0, 2.0, 3.0]).resize_(2)
              tensor([1., 2.])
    """
    if not size:
        raise TypeError('resize_() missing 1 required positional arguments: "size"')
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    size = sizes_of(size, "resize_")
    count, old = 1, self.numel()
    for s in size:
        count *= s
    t = _core.empty(size, self.dtype)
    if old and count:
        kept = min(old, count)
        t.reshape(-1)[:kept]._take_elements(self.detach().reshape(-1)[:kept])
    self.data = t
    return self


def apply_(self, callable):
    """Every element becomes what a Python function makes of it: slow.

    Example   >>> torch.tensor([1.0, 2.0]).apply_(lambda v: v + 10)
              tensor([11., 12.])
    """
    return _changed_by(self, "apply_", callable)


def map_(self, tensor, callable):
    """Every element becomes what a Python function makes of it and of another tensor's: slow.

    Example   >>> torch.tensor([1.0, 2.0]).map_(torch.tensor([3.0, 4.0]), lambda a, b: a * b)
              tensor([3., 8.])
    """
    return _changed_by(self, "map_", callable, other=tensor)


def map2_(self, x, y, callable):
    """Every element becomes what a Python function makes of it and of those of two tensors: slow.

    Example   >>> torch.ones(2).map2_(torch.ones(2), torch.tensor([3.0, 4.0]), lambda a, b, c: a + b * c)
              tensor([4., 5.])
    """
    return _changed_by(self, "map2_", callable, x=x, y=y)


def _changed_by(self, name, callable, **others):
    for position, (argument, other) in enumerate(others.items(), 1):
        if not isinstance(other, Tensor):
            where = f"{name}(): argument '{argument}' (position {position})"
            raise TypeError(f"{where} must be Tensor, not {kind_name(other)}")
    if any(t.requires_grad for t in (self, *others.values())):
        raise RuntimeError(
            f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() instead."
        )
    word = "argument " if len(others) > 1 else ""
    for argument, other in others.items():
        if other.dtype != self.dtype:
            raise TypeError(
                f"{name}: expected {self.type()} for {word}'{argument}' (got {other.type()})\n"
                f"Convert it with .to({self.dtype})."
            )
    columns = [t.expand(self.shape).reshape(-1).tolist() for t in (self, *others.values())]
    values = [callable(*row) for row in zip(*columns, strict=True)]
    self._take_elements(from_data.tensor(values, dtype=self.dtype).reshape(self.shape))
    return self


def set_data(self, other):
    self.data = other


def is_shared(self):
    """Whether the memory is shared between processes: never.

    Example   >>> torch.ones(2).is_shared()
              False
    """
    return False


def share_memory_(self):
    """Raises NotImplementedError: memory is not shared between processes.

    Example   >>> import pickle
              >>> pickle.loads(pickle.dumps(torch.ones(2)))
              tensor([1., 1.])
    """
    raise NotImplementedError("share_memory_() is not supported: send tensors by pickle instead")


def get_device(self):
    """-1: the CPU.

    Example   >>> torch.ones(2).get_device()
              -1
    """
    return -1


def as_strided(self, size, stride, storage_offset=None):
    """A view with sizes and strides of one's own, within the storage.

    Shapes    input (*), size, stride (one number an axis) -> size
    Gradient  g is added where the elements came from, for overlapping ones too
    Errors    RuntimeError where an element would lie outside of the storage
    Example   >>> torch.arange(6.0).as_strided((2, 2), (3, 1))
              tensor([[0., 1.],
                      [3., 4.]])
    """
    offset = self.storage_offset() if storage_offset is None else storage_offset
    size, stride = tuple(size), tuple(stride)
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    require_within(self._storage_bytes(), self.element_size(), size, stride, offset)
    return f["_as_strided_of_base"](self, size, stride, offset - self.storage_offset(), self.stride())


def conj(self):
    """The tensor itself: its elements are real.

    Example   >>> x = torch.ones(2)
              >>> x.conj() is x
              True
    """
    return self


def is_conj(self):
    """Whether elements are to be conjugated or negated when they are read: never.

    Example   >>> torch.ones(2).is_conj(), torch.ones(2).is_neg()
              (False, False)
    """
    return False


def is_pinned(self, device=None):
    """Whether the memory is held in place for another device: never.

    Example   >>> torch.ones(2).is_pinned()
              False
    """
    return False


def pin_memory(self, device=None):
    """Raises RuntimeError: there is no other device to hold memory in place for.

    Errors    RuntimeError
    Example   >>> x = torch.ones(2)
              >>> x.pin_memory() if torch.cuda.is_available() else x
              tensor([1., 1.])
    """
    raise RuntimeError(
        "Cannot access accelerator device when none is available.\n"
        "Leave pin_memory() out, or ask torch.cuda.is_available() first: it says False."
    )


def _constant(value, about, example, shown):
    """A property that is the same for all tensors."""
    text = f"{about}\n\nExample   >>> torch.ones(2).{example}\n          {shown}\n"
    return property(value, doc=text)


def _make_subclass(cls, data, require_grad=False, **options):
    """A leaf of class `cls` over the elements of `data`."""
    if not isinstance(require_grad, bool):
        found = kind_name(require_grad)
        raise TypeError(f"_make_subclass(): argument 'require_grad' (position 3) must be bool, not {found}")
    return finish(data._detached_as(cls), None, require_grad)


def _legacy_new(cls, *args, **kwargs):
    """Tensor(...), or an instance of a subclass."""
    check_device(kwargs.pop("device", None))
    t = conversion.new(None, _core.get_default_dtype(), args)
    return t if cls is Tensor else t._detached_as(cls)


def __torch_function__(cls, func, types, args=(), kwargs=None):
    """What a call with this class among its arguments does: run it, and give results the class."""
    from pullback.overrides import get_default_nowrap_functions

    kwargs = kwargs or {}
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    before = _core.set_subclass_dispatch(False)
    try:
        result = func(*args, **kwargs)
    finally:
        _core.set_subclass_dispatch(before)
    return result if func in get_default_nowrap_functions() else _in_class(result, cls)


def _in_class(result, cls):
    """The plain tensors of a result as instances of a class."""
    if isinstance(result, Tensor):
        return result if isinstance(result, cls) or cls is Tensor else result._as_class(cls)
    if isinstance(result, (tuple, list)):
        parts = [_in_class(r, cls) for r in result]
        return type(result)(parts) if not hasattr(result, "_fields") else type(result)(*parts)
    return result


def _disabled_torch_function_impl(cls, func, types, args=(), kwargs=None):
    """For classes whose results are plain tensors."""
    return func(*args, **(kwargs or {}))


def _install():
    from pullback.autograd.hooks import register_hook, register_post_accumulate_grad_hook
    from pullback.primitives.registry import methods

    for name, function in methods.items():
        native = isinstance(function, _core.OpFunction)
        setattr(Tensor, name, _core.as_method(function) if native else function)
    Tensor._is_contiguous = Tensor.is_contiguous
    Tensor.__name__ = Tensor.__qualname__ = "Tensor"
    Tensor.__doc__ = _ABOUT
    own = [
        numpy,
        __array__,
        __array_wrap__,
        type_as,
        cpu,
        cuda,
        clone,
        contiguous,
        __repr__,
        __format__,
        backward,
        __copy__,
        __deepcopy__,
        __reduce_ex__,
        __dir__,
        __reversed__,
        __contains__,
        adjoint,
        is_floating_point,
        is_complex,
        is_nonzero,
        is_same_size,
        new_tensor,
        new_full,
        new,
        is_signed,
        __complex__,
        is_set_to,
        resize_,
        equal,
        isclose,
        allclose,
        apply_,
        map_,
        map2_,
        set_,
        is_contiguous,
        is_shared,
        share_memory_,
        get_device,
        as_strided,
        register_hook,
        register_post_accumulate_grad_hook,
    ]
    for function in own + random.in_place:
        setattr(Tensor, function.__name__, function)
    Tensor.__str__ = lambda self: self.__repr__()
    Tensor.type = type_
    Tensor.storage, Tensor.untyped_storage = _typed_storage, _untyped_storage
    for name in ("empty", "zeros", "ones"):
        setattr(Tensor, f"new_{name}", _new(name))
    for name, d in {
        "float": _core.float32,
        "double": _core.float64,
        "int": _core.int32,
        "long": _core.int64,
        "bool": _core.bool,
        "byte": _core.uint8,
        "half": _core.float16,
        "bfloat16": _core.bfloat16,
        "short": _core.int16,
        "char": _core.int8,
    }.items():
        setattr(Tensor, name, to_dtype(d, name))
    Tensor._make_subclass = staticmethod(_make_subclass)
    Tensor._legacy_new = staticmethod(_legacy_new)
    Tensor.__torch_function__ = classmethod(__torch_function__)
    Tensor.device = _constant(lambda self: CPU, "Where it lies: on the CPU.", "device", "device(type='cpu')")
    Tensor.layout = _constant(lambda self: strided, "How it is stored.", "layout", "torch.strided")
    Tensor.is_cuda = Tensor.is_sparse = Tensor.is_quantized = Tensor.is_meta = Tensor.is_mps = False
    Tensor.is_cpu = True
    Tensor.real = _constant(lambda self: self, "The tensor itself.", "real", "tensor([1., 1.])")
    no_names = lambda self: (None,) * self.dim()  # noqa: E731
    Tensor.names = _constant(no_names, "Axes have no names.", "names", "(None,)")
    Tensor._is_view = lambda self: self._base is not None
    Tensor.is_pinned, Tensor.pin_memory = is_pinned, pin_memory
    Tensor.__array_priority__ = 1000
    Tensor.is_neg = Tensor.is_conj = is_conj
    Tensor.resolve_conj = Tensor.resolve_neg = Tensor.conj = conj
    Tensor.__module__ = "torch"
