"""Functions of the package that are no ops: comparing whole tensors, settings, questions about types."""

from __future__ import annotations

import numbers

from pullback import _core
from pullback.arguments import kind_name, only_argument, require_tensors
from pullback.errors import DtypeError
from pullback.trace.tracer import functions as f
from pullback.types import CPU, check_device

Tensor = _core.Tensor


def is_tensor(obj):
    """Whether an object is a tensor.

    Example   >>> torch.is_tensor(torch.ones(2)), torch.is_tensor([1, 1])
              (True, False)
    """
    return isinstance(obj, Tensor)


def numel(input):
    """The number of elements.

    Example   >>> torch.numel(torch.ones(2, 3))
              6
    """
    if not isinstance(input, Tensor):
        raise TypeError(f"numel(): argument 'input' (position 1) must be Tensor, not {kind_name(input)}")
    return input.numel()


def is_floating_point(input):
    """Whether the elements are floats.

    Example   >>> torch.is_floating_point(torch.ones(2)), torch.is_floating_point(torch.arange(2))
              (True, False)
    """
    return input.dtype.is_floating_point


def is_complex(input):
    """Whether the elements are complex: never.

    Example   >>> torch.is_complex(torch.ones(2))
              False
    """
    require_tensors("is_complex", input=input)
    return False


def is_nonzero(input):
    """Whether the only element is not zero.

    Errors    RuntimeError for several elements, or none
    Example   >>> torch.is_nonzero(torch.tensor([0.0]))
              False
    """
    require_tensors("is_nonzero", input=input)
    return bool(input)


def is_inference(input):
    """Whether a tensor was made in inference mode: it takes part in no backward pass.

    Example   >>> with torch.inference_mode():
              ...     x = torch.ones(2)
              >>> torch.is_inference(x)
              True
    """
    return input.is_inference()


def is_same_size(input, other):
    """Whether two tensors have the same shape.

    Example   >>> torch.is_same_size(torch.ones(2, 3), torch.ones(3, 2))
              False
    """
    require_tensors("is_same_size", input=input, other=other)
    return _core.same_shape(input, other)


def equal(input, other):
    """Whether two tensors have the same shape and elements.

    >>> import pullback as torch
    >>> torch.equal(torch.ones(2), torch.ones(2))
    True
    """
    for position, (name, x) in enumerate((("input", input), ("other", other)), 1):
        if not isinstance(x, Tensor):
            raise TypeError(
                f"equal(): argument '{name}' (position {position}) must be Tensor, not {kind_name(x)}"
            )
    if tuple(input.shape) != tuple(other.shape):
        return False
    return bool((input.detach() == other.detach()).all())


def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Element by element: |input - other| <= atol + rtol |other|.

    Shapes    input (*a), other (*b) -> broadcast(a, b)
    Gradient  none: the result is bool
    Errors    DtypeError for two types; RuntimeError for a negative tolerance
    Example   >>> torch.isclose(torch.tensor([1.0, 1.0]), torch.tensor([1.0 + 1e-7, 1.1]))
              tensor([ True, False])
    """
    require_tensors("isclose", input=input, other=other)
    a, b = input.detach(), other.detach()
    if a.dtype != b.dtype:
        raise DtypeError(
            "{} did not match {}".format(*(t.dtype._legacy.removesuffix("Tensor") for t in (a, b)))
        )
    for name, value in (("rtol", rtol), ("atol", atol)):
        if value < 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {value:g}")
    close = a == b
    if equal_nan and a.dtype.is_floating_point:
        close = close | (a.isnan() & b.isnan())
    if rtol == 0 and atol == 0:
        return close
    allowed = atol + (rtol * b).abs()
    gap = (a - b).abs()
    return (
        close | (gap.isfinite() & (gap <= allowed)) if a.dtype.is_floating_point else close | (gap <= allowed)
    )


def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether all elements are close.

    Shapes    input (*a), other (*b) -> a bool
    Errors    as of isclose
    Example   >>> torch.allclose(torch.tensor([1.0]), torch.tensor([1.0 + 1e-7]))
              True
    """
    require_tensors("allclose", input=input, other=other)
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def get_default_dtype():
    """The type of new float tensors.

    Example   >>> torch.get_default_dtype()
              torch.float32
    """
    return _core.get_default_dtype()


def set_default_dtype(d):
    """Sets the type of new float tensors.

    Errors    TypeError for what is no float type
    Example   >>> torch.set_default_dtype(torch.float64)
              >>> torch.tensor([1.5]).dtype
              torch.float64
              >>> torch.set_default_dtype(torch.float32)
    """
    if not isinstance(d, _core.dtype):
        raise TypeError(
            "invalid dtype object: only floating-point types are supported as the default type\n"
            f"Got {type(d).__name__}; give torch.float32 or torch.float64."
        )
    if not d.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type\nGot {d}.")
    _core.set_default_dtype(d)
    _core.clear_caches()  # plans hold the dtypes of their results


def set_default_tensor_type(t):
    """The type of new float tensors, by its old class or that one's name.

    Errors    TypeError for what is no float type
    Example   >>> torch.set_default_tensor_type("torch.FloatTensor")
              >>> torch.get_default_dtype()
              torch.float32
    """
    known = (_core.float32, _core.float64, _core.int64, _core.int32, _core.uint8, _core.bool)
    named = {f"torch.{d._legacy}": d for d in known}
    found = named.get(t) if isinstance(t, str) else getattr(t, "dtype", None) if isinstance(t, type) else None
    if found is None:
        raise TypeError(
            "invalid type object: only floating-point types are supported as the default type\n"
            f"Got {t!r}; give torch.FloatTensor or torch.DoubleTensor."
        )
    set_default_dtype(found)


def get_default_device():
    """Where new tensors lie: on the CPU.

    Example   >>> torch.get_default_device()
              device(type='cpu')
    """
    return CPU


def set_default_device(device):
    """Accepts the CPU only.

    Errors    DeviceError for another
    Example   >>> torch.set_default_device("cpu")
    """
    check_device(device)


def vander(x, N=None, increasing=False):
    """The powers of a vector's elements, one power a column.

    Shapes    x (n) -> (n, N); N is n unless given
    Gradient  for x, through its powers
    Example   >>> torch.vander(torch.tensor([1, 2, 3]), increasing=True)
              tensor([[1, 1, 1],
                      [1, 2, 4],
                      [1, 3, 9]])
    """
    n = x.numel() if N is None else N
    result = _core.empty([x.numel(), n], x.dtype if x.dtype.is_floating_point else _core.int64)
    if n > 0:
        result.select(1, 0).fill_(1)
    if n > 1:
        f["narrow"](result, 1, 1, n - 1).copy_(x.unsqueeze(1))
        f["narrow"](result, 1, 1, n - 1).copy_(f["narrow"](result, 1, 1, n - 1).cumprod(1))
    return result if increasing else result.flip((1,))


def get_num_threads():
    """How many threads one operation may use.

    Example   >>> torch.get_num_threads() >= 1
              True
    """
    return _core.get_num_threads()


@only_argument("torch.set_num_threads")
def set_num_threads(n):
    """Sets how many threads one operation may use; results do not depend on it.

    Errors    TypeError, RuntimeError for what is no positive int
    Example   >>> before = torch.get_num_threads()
              >>> torch.set_num_threads(1)
              >>> torch.get_num_threads()
              1
              >>> torch.set_num_threads(before)
    """
    if not isinstance(n, numbers.Integral) or isinstance(n, bool):
        raise RuntimeError(f"set_num_threads expects an int, but got {kind_name(n)}")
    if n <= 0:
        raise RuntimeError("set_num_threads expects a positive integer")
    _core.set_num_threads(int(n))


def get_num_interop_threads():
    """How many operations run at once: always 1.

    Example   >>> torch.get_num_interop_threads()
              1
    """
    return 1


def set_num_interop_threads(n):
    """Accepted and without effect.

    Example   >>> torch.set_num_interop_threads(1)
    """


def promote_types(type1, type2):
    """The common type of two: that of the sum of such tensors.

    Example   >>> torch.promote_types(torch.int64, torch.float32)
              torch.float32
    """
    for position, t in enumerate((type1, type2), 1):
        if not isinstance(t, _core.dtype):
            raise TypeError(
                f"promote_types(): argument 'type{position}' (position {position}) must be torch.dtype, "
                f"not {kind_name(t)}"
            )
    return _core.promote_types(type1, type2)


def result_type(tensor1, tensor2):
    """The type of an arithmetic result; numbers and tensors without axes give way to tensors with axes.

    Example   >>> torch.result_type(torch.tensor([1, 2]), 1.0)
              torch.float32
    """
    return _core.result_type(tensor1, tensor2)


def can_cast(from_, to):
    """Whether a conversion keeps the kind of number: floats may not become integers, but the other way round.

    Example   >>> torch.can_cast(torch.float64, torch.int64), torch.can_cast(torch.int64, torch.float32)
              (False, True)
    """

    for position, (name, d) in enumerate({"from_": from_, "to": to}.items(), 1):
        if not isinstance(d, _core.dtype):
            raise TypeError(
                f"can_cast(): argument '{name}' (position {position}) must be torch.dtype, not {kind_name(d)}"
            )

    def rank(d):
        return 2 if d.is_floating_point else (0 if d == _core.bool else 1)

    if from_.is_signed and not to.is_signed and to != _core.bool:
        return False
    return rank(from_) <= rank(to)


def typename(obj):
    """The name of an object's type.

    Example   >>> torch.typename(torch.ones(2)), torch.typename(1.0)
              ('torch.FloatTensor', 'float')
    """
    if isinstance(obj, Tensor):
        return obj.type()
    if getattr(obj, "__qualname__", None):
        module, name = getattr(obj, "__module__", None) or "", obj.__qualname__
    else:
        module, name = type(obj).__module__, type(obj).__qualname__
    return name if module in ("", "builtins") else f"{module}.{name}"


def clone(input, *, memory_format=None):
    """A copy, recorded like any operation.

    Shapes    input (*) -> (*)
    Gradient  g
    Example   >>> torch.clone(torch.tensor([1.0, 2.0]))
              tensor([1., 2.])
    """
    return input.clone(memory_format=memory_format)


def detach(input):
    """The same elements, off the tape: what is computed from it gives the original no gradient.

    Shapes    input (*) -> (*), over the same memory
    Gradient  none
    Example   >>> x = torch.ones(2, requires_grad=True)
              >>> torch.detach(x).requires_grad
              False
    """
    return input.detach()


def as_strided(input, size, stride, storage_offset=None):
    """A view with sizes and strides of one's own.

    Shapes    input (*), size, stride (one number an axis) -> size
    Gradient  g is added where the elements came from
    Errors    RuntimeError where an element would lie outside of the storage
    Example   >>> torch.as_strided(torch.arange(6.0), (2, 2), (3, 1))
              tensor([[0., 1.],
                      [3., 4.]])
    """
    return input.as_strided(size, stride, storage_offset)


def adjoint(input):
    """The last two axes swapped.

    Shapes    input (*, n, m) -> (*, m, n)
    Gradient  g with the axes swapped back
    Example   >>> torch.adjoint(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
              tensor([[1., 3.],
                      [2., 4.]])
    """
    return input._adjoint


def use_deterministic_algorithms(mode, *, warn_only=False):
    """Accepted: results never depend on the number of threads.

    Example   >>> torch.use_deterministic_algorithms(True)
    """


def are_deterministic_algorithms_enabled():
    """True: results never depend on the number of threads.

    Example   >>> torch.are_deterministic_algorithms_enabled()
              True
    """
    return True


def set_float32_matmul_precision(precision):
    """Accepted: products are always in full float32.

    Example   >>> torch.set_float32_matmul_precision("high")
    """


def dropout(input, p, train):
    """Each element zero with probability p and otherwise divided by 1 - p, if train; F.dropout() by another
    name.

    Shapes    input (*) -> (*)
    Gradient  g scaled where the element was kept, 0 elsewhere
    Errors    RuntimeError for p outside [0, 1]
    Example   >>> torch.dropout(torch.ones(2), 0.5, train=False)
              tensor([1., 1.])
    """
    return _dropped(input, p, train, False)


def dropout_(input, p, train):
    """In-place form of dropout().

    Shapes    (*) -> itself
    Gradient  as of dropout
    Errors    as of dropout
    Example   >>> torch.dropout_(torch.ones(2), 1.0, train=True)
              tensor([0., 0.])
    """
    return _dropped(input, p, train, True)


def _dropped(input, p, train, inplace):
    from pullback.nn.functional.dropout import zero_some  # made of functions of the package

    return zero_some(input, p, train, inplace)
