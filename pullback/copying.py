"""Copies of tensors, shallow and deep, and their pickles: what Tensor's __copy__ and the like do."""

from __future__ import annotations

import copy as _copy

import numpy as np

from pullback import _core, creation

Tensor = _core.Tensor


def __copy__(self):
    """A leaf of the same class over the same memory, with the same attributes."""
    from pullback.utils.hooks import warn_if_has_hooks

    warn_if_has_hooks(self)
    new = self.detach() if type(self) is Tensor else self._detached_as(type(self))
    if self.requires_grad:
        new.requires_grad_()
    if self.__dict__:
        new.__dict__.update(self.__dict__)
    return new


def _copied_memory(self, memo):
    """The same places of a copy of the whole storage, which all tensors of one deepcopy() share."""
    count = self._storage_bytes() // self.element_size()
    if not count or not self.numel():
        return self.detach().clone()
    key = ("storage", self._storage_ptr(), self.dtype)
    if key not in memo and self.numel() == count and self.is_non_overlapping_and_dense():
        memo[key] = self.detach().clone()  # all of it, laid out alike: the usual case
        return memo[key]
    if key not in memo:
        memo[key] = self.detach().as_strided((count,), (1,), 0).clone()
    place = memo[key].as_strided(self.shape, self.stride(), self.storage_offset())
    return place._detached_as(Tensor)  # no view: the storage is nobody's more than its own


def __deepcopy__(self, memo):
    if id(self) in memo:
        return memo[id(self)]
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the "
            "moment.  If you were attempting to deepcopy a module, this may be because of a "
            "torch.nn.utils.weight_norm usage, see https://github.com/pytorch/pytorch/pull/103001"
        )
    new = _copied_memory(self, memo)
    if type(self) is not Tensor:
        new = new.as_subclass(type(self))
    if self.requires_grad:
        new.requires_grad_()
    memo[id(self)] = new
    if self.grad is not None:
        new.grad = _copy.deepcopy(self.grad, memo)
    if self.__dict__:
        new.__dict__.update(_copy.deepcopy(self.__dict__, memo))
    return new


def _rebuild(data, shape, order, dtype_name, requires_grad, cls, state):
    stored = [shape[k] for k in order]
    a = (
        np.frombuffer(bytearray(data), dtype=dtype_name).reshape(stored)
        if len(data)
        else np.empty(stored, dtype_name)
    )
    t = creation._from_array(a).clone().permute([order.index(k) for k in range(len(order))])
    t = t.as_subclass(cls) if cls is not None else t.detach()
    if requires_grad:
        t.requires_grad_()
    if state:
        t.__dict__.update(state)
    return t


def __reduce_ex__(self, protocol):
    from pullback.utils.hooks import warn_if_has_hooks

    warn_if_has_hooks(self)
    # Dense memory keeps the order of its axes; the bytes are written in that order.
    order = list(range(self.dim()))
    if self.is_non_overlapping_and_dense():
        order.sort(key=lambda k: -self.stride(k))
    data = self.detach().numpy().transpose(order).tobytes()
    cls = None if type(self) is Tensor else type(self)
    state = dict(self.__dict__) or None
    return (_rebuild, (data, tuple(self.shape), order, self.dtype._name, self.requires_grad, cls, state))
