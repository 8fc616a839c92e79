"""Whose memory a tensor uses: NumPy arrays without copies, views, versions, and what keeps what alive."""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
import weakref

import numpy as np
import pytest

import pullback as torch


def test_from_numpy_shares_memory_both_ways():
    a = np.arange(6.0).reshape(2, 3)
    t = torch.from_numpy(a)
    assert t.data_ptr() == a.ctypes.data and t.stride() == (3, 1)
    a[0, 1] = 10
    t[1, 2] = 20
    assert t[0, 1].item() == 10 and a[1, 2] == 20


def test_numpy_shares_memory_both_ways():
    t = torch.zeros(2, 3).t()
    a = t.numpy()
    assert a.ctypes.data == t.data_ptr() and a.strides == (4, 12) and a.dtype == np.float32
    a[2, 1] = 5
    t.add_(1)
    assert t[2, 1].item() == 6 and a[0, 0] == 1
    assert np.asarray(t).ctypes.data == t.data_ptr()
    assert np.array(t).ctypes.data != t.data_ptr()


def test_an_array_keeps_the_memory_of_its_tensor():
    a = torch.full((1000,), 3.0).numpy()
    gc.collect()
    torch.zeros(1000)
    assert a.sum() == 3000


def test_a_tensor_keeps_its_array():
    class Array(np.ndarray):
        pass

    a = np.ones(4).view(Array)
    gone = weakref.ref(a)
    t = torch.from_numpy(a)
    del a
    gc.collect()
    assert gone() is not None and t.sum().item() == 4
    del t
    gc.collect()
    assert gone() is None


def test_as_tensor_copies_only_when_it_must():
    a = np.ones(3, np.float32)
    assert torch.as_tensor(a).data_ptr() == a.ctypes.data
    assert torch.as_tensor(a, dtype=torch.float64).data_ptr() != a.ctypes.data
    assert torch.tensor(a).data_ptr() != a.ctypes.data
    t = torch.ones(2)
    assert torch.as_tensor(t) is t
    assert torch.asarray(a, copy=True).data_ptr() != a.ctypes.data


def test_empty_and_zero_dim_arrays():
    assert torch.from_numpy(np.zeros((0, 3))).shape == (0, 3)
    assert torch.zeros(0, 3).numpy().shape == (0, 3)
    a = np.array(2.5)
    t = torch.from_numpy(a)
    a[...] = 4
    assert t.item() == 4 and t.numpy().shape == ()


def test_strides_that_broadcast():
    t = torch.from_numpy(np.lib.stride_tricks.as_strided(np.array([1.0, 2.0]), (3, 2), (0, 8)))
    assert t.stride() == (0, 1) and t.sum().item() == 9


def test_a_read_only_array_warns_once_in_a_program():
    program = """
        import warnings, numpy as np, pullback as torch
        a = np.ones(2); a.flags.writeable = False
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            torch.from_numpy(a); torch.from_numpy(a)
        assert len(seen) == 1 and seen[0].category is UserWarning, seen
        assert str(seen[0].message).startswith("The given NumPy array is not writable, and PyTorch does not ")
    """
    done = subprocess.run(
        [sys.executable, "-c", "if True:" + program], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["bool", "uint8", "int32", "int64", "float32", "float64"])
def test_every_dtype_goes_there_and_back(name):
    a = np.array([0, 1, 1, 0], dtype=name)
    t = torch.from_numpy(a)
    assert t.dtype == getattr(torch, name) and t.numpy().dtype == a.dtype
    assert pickle.loads(pickle.dumps(t)).tolist() == t.tolist() == copy.deepcopy(t).tolist() == a.tolist()


def test_detach_and_data_share_memory_but_not_history():
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    for t in (y.detach(), y.data):
        assert t.data_ptr() == y.data_ptr() and not t.requires_grad and t.grad_fn is None
    y.detach().zero_()
    assert y.tolist() == [0, 0, 0]


def test_versions_count_changes_also_through_views_and_detach():
    x = torch.zeros(4)
    x.add_(1)
    x[0] = 2
    x.detach().add_(1)
    assert x._version == 3
    x.data.add_(1)
    assert x._version == 3


def test_deepcopy_copies_memory_once_for_a_tensor_that_occurs_twice():
    x = torch.ones(2, requires_grad=True)
    x.grad = torch.zeros(2)
    x.note = ["kept"]
    one, two = copy.deepcopy([x, x])
    assert one is two and one.data_ptr() != x.data_ptr()
    assert one.requires_grad and one.grad is not x.grad and one.note == ["kept"] and one.note is not x.note


def test_pickles_keep_layout_gradient_flag_and_attributes():
    x = torch.arange(6.0).reshape(2, 3).t().requires_grad_()
    x.note = 3
    y = pickle.loads(pickle.dumps(x))
    assert (
        y.stride() == x.stride() == (1, 3)
        and torch.equal(x, y)
        and y.requires_grad
        and y.is_leaf
        and y.note == 3
    )


class Labelled(torch.Tensor):
    """A class whose calls go through super(), as torch's documentation shows."""

    calls: list = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.calls.append(func.__name__)
        return super().__torch_function__(func, types, args, kwargs)


def test_subclasses_that_override_torch_function():
    Labelled.calls.clear()
    x = torch.ones(2).as_subclass(Labelled)
    y = torch.exp(x) + 1
    assert type(y) is Labelled and Labelled.calls == ["exp", "add"]
    assert type((x * 2).sum()) is Labelled and Labelled.calls[2:] == ["mul", "sum"]


def test_dispatch_works_again_after_an_error_in_an_override():
    x = torch.ones(2).as_subclass(Labelled)
    with pytest.raises(RuntimeError):
        x + torch.ones(3)
    Labelled.calls.clear()
    assert type(x + 1) is Labelled and Labelled.calls == ["add"]
