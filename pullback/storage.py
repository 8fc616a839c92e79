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
