"""The memory behind a tensor, as torch.storage shows it: bytes, or elements of one type."""

from __future__ import annotations

import warnings

import numpy as np

from pullback import _core, creation
from pullback.types import CPU

__all__ = ["TypedStorage", "UntypedStorage"]


class _Bytes:
    """A storage's address for NumPy; holds a tensor, and so the memory."""

    __slots__ = ("__array_interface__", "tensor")


def _bytes_of(tensor):
    memory = _Bytes()
    memory.__array_interface__ = {
        "shape": (tensor._storage_bytes(),),
        "typestr": "|u1",
        "data": (tensor._storage_ptr(), False),
        "version": 3,
    }
    memory.tensor = tensor.detach()
    return np.asarray(memory)


class _Storage:
    """What both kinds of storage share: an array over the memory."""

    device = CPU
    is_cuda = is_sparse = False

    def nbytes(self):
        """The number of bytes."""
        return self._array.nbytes

    def size(self):
        """The number of elements."""
        return self._array.size

    __len__ = size

    def element_size(self):
        """The bytes of one element."""
        return self._array.itemsize

    def data_ptr(self):
        """The address of the first byte."""
        return self._array.__array_interface__["data"][0]

    def tolist(self):
        """The elements as Python numbers."""
        return self._array.tolist()

    def fill_(self, value):
        """Writes a value into every element."""
        self._array[...] = value
        return self

    def copy_(self, source, non_blocking=None):
        """Takes over the elements of another storage."""
        self._array[...] = source._array
        return self

    def get_device(self):
        """-1: the CPU."""
        return -1

    def cpu(self):
        """The storage itself: it is on the CPU."""
        return self

    def is_pinned(self, device=None):
        """False: there is no device to pin memory for."""
        return False

    def is_shared(self):
        """False: memory is not shared between processes."""
        return False

    def __iter__(self):
        return iter(self.tolist())

    def __sizeof__(self):
        return super().__sizeof__() + self.nbytes()

    def _at(self, index):
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} out of range for storage of size {len(self)}")
        return index

    def _described(self, kind):
        return f"[torch.storage.{kind} of size {len(self)}]"

    def __repr__(self):
        return "".join(f" {v}\n" for v in self) + self._header()


class UntypedStorage(_Storage):
    """The bytes behind a tensor: what `Tensor.untyped_storage()` gives; UntypedStorage(n) are n new bytes.

    Errors    IndexError, TypeError for an index that is out of range or no index
    Example   >>> import pullback as torch
              >>> torch.zeros(3).untyped_storage().nbytes()
              12
    """

    def __init__(self, size=0):
        self._array = _bytes_of(_core.empty((size,), _core.uint8))

    @classmethod
    def _of(cls, array):
        storage = cls.__new__(cls)
        storage._array = array
        return storage

    def __getitem__(self, index):
        if isinstance(index, slice):
            if index.step not in (None, 1):
                raise RuntimeError(
                    f"Trying to slice with a step of {index.step}, but only a step of 1 is supported"
                )
            return self._of(self._array[index])
        if not isinstance(index, int):
            raise TypeError(f"can't index a torch.UntypedStorage with {type(index).__name__}")
        return int(self._array[self._at(index)])

    def __setitem__(self, index, value):
        if not isinstance(index, (int, slice)):
            raise TypeError(f"can't index a torch.UntypedStorage with {type(index).__name__}")
        self._array[self._at(index) if isinstance(index, int) else index] = value

    def __eq__(self, other):
        return isinstance(other, UntypedStorage) and self.data_ptr() == other.data_ptr()

    def __hash__(self):
        return self.data_ptr()

    def untyped(self):
        """The storage itself."""
        return self

    def clone(self):
        """A copy of the bytes."""
        return UntypedStorage(self.nbytes()).copy_(self)

    def _header(self):
        return self._described("UntypedStorage(device=cpu)")


class TypedStorage(_Storage):
    """The memory behind a tensor as elements of its type: what `Tensor.storage()` gives. Deprecated in torch.

    Errors    IndexError, RuntimeError for an index that is out of range or no index
    Example   >>> import pullback as torch
              >>> torch.is_storage(torch.zeros(3).untyped_storage())
              True
    """

    def __init__(self, *, wrap_storage, dtype):
        self.dtype = dtype
        self._untyped = wrap_storage
        kind = creation.TO_NUMPY[dtype]
        whole = wrap_storage.nbytes() // kind.itemsize * kind.itemsize
        self._array = wrap_storage._array[:whole].view(kind)

    def _checked(self, index):
        if isinstance(index, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        if not isinstance(index, int):
            raise RuntimeError(f"can't index a {type(self)} with {type(index)}")
        return self._at(index)

    def __getitem__(self, index):
        return self._array[self._checked(index)].item()

    def __setitem__(self, index, value):
        self._array[self._checked(index)] = value

    def __eq__(self, other):
        return isinstance(other, TypedStorage) and self._untyped == other._untyped

    def __hash__(self):
        return hash(self._untyped)

    def untyped(self):
        """The bytes."""
        return self._untyped

    def clone(self):
        """A copy of the elements."""
        return TypedStorage(wrap_storage=self._untyped.clone(), dtype=self.dtype)

    def _header(self):
        return self._described(f"TypedStorage(dtype={self.dtype}, device=cpu)")


for _class in (TypedStorage, UntypedStorage):
    _class.__module__ = "torch.storage"  # as it is printed


def _untyped_storage(self):
    """The bytes behind the tensor, all of them: views share them.

    Example   >>> import pullback as torch
              >>> x = torch.ones(2, 3)
              >>> x[1].untyped_storage() == x.untyped_storage()
              True
    """
    return UntypedStorage._of(_bytes_of(self))


def require_within(total, itemsize, size, stride, offset):
    """Refuses elements that would lie outside of a storage of `total` bytes."""
    if offset < 0:
        raise RuntimeError(
            f"Tensor: invalid storage offset {offset}\nIt counts elements from the start of the storage."
        )
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True)) + 1 if all(size) else 0
    if last * itemsize > total:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize "
            f"{itemsize} requiring a storage size of {last * itemsize} are out of bounds for storage of size "
            f"{total}"
        )


def _rows(size):
    """The strides of a contiguous tensor."""
    strides, step = [], 1
    for n in reversed(size):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def set_(self, source=None, storage_offset=None, size=None, stride=None):
    """The tensor lies from now on in the memory of another tensor, or of a storage: they share elements.

    Without arguments it becomes empty. Within the memory, it begins at an offset and has a size and strides
    of its own; the size alone stands for the rows of a contiguous tensor.

    Errors    RuntimeError for another type of elements, and where the memory is too small
    Example   >>> x, y = torch.zeros(2), torch.tensor([1.0, 2.0, 3.0])
              >>> x.set_(y).mul_(2)
              tensor([2., 4., 6.])
              >>> y
              tensor([2., 4., 6.])
    """
    if (size is None) != (storage_offset is None) or (stride is not None and size is None):
        raise TypeError("set_() received an invalid combination of arguments: an offset needs a size")
    if source is None:
        return self._set_to(_core.empty((0,), self.dtype))
    if isinstance(source, _core.Tensor):
        if source.dtype != self.dtype:
            raise RuntimeError(
                f"Could not set tensor of type {source.dtype._c_name} to a tensor of type "
                f"{self.dtype._c_name}"
            )
        if size is None:
            return self._set_to(source)
        first, total = 0, source._storage_bytes()
    elif isinstance(source, TypedStorage) and source.dtype != self.dtype:
        raise RuntimeError(
            f"Expected a Storage of type {self.dtype._c_name} or an UntypedStorage, but got type "
            f"{source.dtype._legacy.removesuffix('Tensor')} for argument 1 'storage'"
        )
    else:
        source, first, total = _holder(source.untyped()._array)
    item = self.element_size()
    size, storage_offset = ((total // item,), 0) if size is None else (tuple(size), storage_offset)
    if any(n < 0 for n in size):
        raise RuntimeError(f"numel: integer multiplication overflow\nThe sizes are {list(size)}.")
    strides = tuple(stride) if stride else _rows(size)
    if len(strides) != len(size):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(s < 0 for s in strides):
        raise RuntimeError(
            f"Storage size calculation overflowed with sizes={list(size)} and strides={list(strides)}\n"
            "Strides are not negative."
        )
    require_within(total, item, size, strides, storage_offset)
    return self._set_to(source._placed(self.dtype, first // item + storage_offset, size, strides))


def _holder(array):
    """A tensor in the memory that a storage shows, the first byte of it that is shown, and how many are."""
    memory = array
    while not isinstance(memory, _Bytes):
        memory = memory.base
    start = memory.__array_interface__["data"][0]
    return memory.tensor, array.__array_interface__["data"][0] - start, array.nbytes


def _require_whole(name, n, ratio, whole):
    if n % ratio:
        raise RuntimeError(f"self.{name} must be divisible by {ratio} {whole}, but got {n}")


def viewed_as(tensor, dtype):
    """view(dtype): the same bytes as elements of another type. As in torch no gradient flows through it."""
    old, new = tensor.element_size(), dtype.itemsize
    sizes, strides, offset = list(tensor.shape), list(tensor.stride()), tensor.storage_offset()
    if old != new:
        names = [d._legacy.removesuffix("Tensor") for d in (tensor.dtype, dtype)]
        whole = f"to view {names[0]} as {names[1]} (different element sizes)"
        if not sizes:
            raise RuntimeError(f"self.dim() cannot be 0 {whole}")
        ratio = max(old, new) // min(old, new)
        for name, n in (("size(-1)", sizes[-1]), ("storage_offset()", offset)) if new > old else ():
            _require_whole(name, n, ratio, whole)
        if strides[-1] != 1:
            raise RuntimeError(f"self.stride(-1) must be 1 {whole}, but got {strides[-1]}")
        if old > new:
            sizes[-1] *= ratio
            strides, offset = [s * ratio for s in strides[:-1]] + [1], offset * ratio
        else:
            for k, s in enumerate(strides[:-1]):
                _require_whole(f"stride({k})", s, ratio, whole)
            sizes[-1] //= ratio
            strides, offset = [s // ratio for s in strides[:-1]] + [1], offset // ratio
    return tensor._placed(dtype, offset, tuple(sizes), tuple(strides))


def _typed_storage(self):
    """The memory behind the tensor as elements of its type.

    Example   >>> import warnings
              >>> with warnings.catch_warnings():
              ...     warnings.simplefilter("ignore")
              ...     torch.tensor([1.0, 2.0]).storage().tolist()
              [1.0, 2.0]
    """
    warnings.warn(
        "TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be the only "
        "storage class. This should only matter to you if you are using storages directly.  To access "
        "UntypedStorage directly, use tensor.untyped_storage() instead of tensor.storage()",
        UserWarning,
        stacklevel=2,
    )
    return TypedStorage(wrap_storage=_untyped_storage(self), dtype=self.dtype)


def is_storage(obj):
    """Whether an object is a storage.

    Example   >>> torch.is_storage(torch.zeros(2).untyped_storage()), torch.is_storage(torch.zeros(2))
              (True, False)
    """
    return isinstance(obj, (TypedStorage, UntypedStorage))
