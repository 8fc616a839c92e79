"""Changes in place and saved values: letting both live together, and telling of changes made elsewhere."""

from __future__ import annotations

import weakref
from contextlib import contextmanager

from pullback import _core
from pullback.autograd.saved import saved_tensors_hooks

__all__ = ["allow_mutation_on_saved_tensors", "increment_version"]


def increment_version(tensor):
    """Tells that the elements of a tensor (or of several) were changed in a way that pullback could not see.

    >>> import pullback as torch
    >>> x = torch.ones(2)
    >>> torch.autograd.graph.increment_version(x)
    >>> x._version
    1
    """
    if isinstance(tensor, _core.Tensor):
        tensor = (tensor,)
    try:
        tensors = tuple(tensor)
    except TypeError:
        raise RuntimeError("increment_version expect a Iterable[Tensor] as input") from None
    if not all(isinstance(t, _core.Tensor) for t in tensors):
        raise RuntimeError("increment_version expects each element of the iterable to be a tensor")
    for t in tensors:
        t._bump_version()


class _Slot:
    """One saved value: the tensor itself until it is about to change, then a clone."""

    __slots__ = ("__weakref__", "context", "slots")

    def __init__(self, context, slots):
        self.context = context
        self.slots = slots


class _Slots(weakref.WeakValueDictionary):
    """The unchanged values over one storage, by where they lie in it. Each of them keeps it alive."""


class _MutationContext:
    """What the context keeps: by slot, the saved tensors, and the clones of those that were changed."""

    def __init__(self):
        self.original = weakref.WeakKeyDictionary()
        self.cloned = weakref.WeakKeyDictionary()
        self._by_storage = weakref.WeakValueDictionary()

    def clear(self):
        """Forget all values: backward is refused from now on."""
        for table in (self.original, self.cloned, self._by_storage):
            table.clear()

    def pack(self, tensor):
        storage = _core.storage_id(tensor)
        slots = self._by_storage.get(storage)
        if slots is None:
            slots = self._by_storage[storage] = _Slots()
        place = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        slot = slots.get(place)
        if slot is None:
            slot = slots[place] = _Slot(self, slots)
            self.original[slot] = tensor.detach()
        return slot

    def before_change(self, storage):
        """Called by the core: the elements of a storage are about to be overwritten."""
        slots = self._by_storage.pop(storage, None)
        for slot in list(slots.values()) if slots else ():
            self.cloned[slot] = self.original.pop(slot).clone()


def _unpack(slot):
    for table in (slot.context.cloned, slot.context.original):
        if slot in table:
            return table[slot]
    raise AssertionError(
        "Trying to backward outside of the 'allow_mutation_on_saved_tensors' context"
        "in which the graph was originally recorded.\n"
        "Call backward() inside the same context as the forward."
    )


_active = False


@contextmanager
def allow_mutation_on_saved_tensors():
    """Inside, tensors that were saved for backward may be changed in place: the old value is cloned before.

    Forward and backward both belong inside. Yields the object that keeps the values, for debugging.

    Errors    RuntimeError where contexts are nested, AssertionError for a backward outside

    >>> import pullback as torch
    >>> a = torch.ones(2, requires_grad=True)
    >>> with torch.autograd.graph.allow_mutation_on_saved_tensors():
    ...     b = a.clone()
    ...     out = (b**2).sum()
    ...     _ = b.zero_()
    ...     out.backward()
    >>> a.grad
    tensor([2., 2.])
    """
    global _active
    if _active:
        raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
    context = _MutationContext()
    with saved_tensors_hooks(context.pack, _unpack):
        _core.watch_changes(context.before_change)
        _active = True
        try:
            yield context
        finally:
            _active = False
            _core.watch_changes(None)
            context.clear()
