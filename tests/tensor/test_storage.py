"""The memory behind tensors: Tensor.untyped_storage() and storage()."""

import sys
import warnings

import pytest

import pullback as torch


def typed(t):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return t.storage()


def test_is_the_whole_memory_and_shared_by_views():
    x = torch.arange(6.0).reshape(2, 3)
    s = x[1].untyped_storage()
    assert (s.nbytes(), s.size(), len(s), s.element_size()) == (24, 24, 24, 1)
    assert s == x.untyped_storage() and hash(s) == hash(x.untyped_storage())
    assert s != x.clone().untyped_storage()
    assert s.data_ptr() == x.data_ptr() == x[1].data_ptr() - 12
    assert s.tolist()[4:8] == [0, 0, 128, 63] and s[7] == 63 and s[4:8].tolist() == [0, 0, 128, 63]
    assert sys.getsizeof(s) > 24
    assert torch.is_storage(s) and torch.is_storage(typed(x)) and not torch.is_storage(x)


def test_outlives_its_tensor():
    s = torch.arange(1000.0).untyped_storage()
    assert torch.ones(1000).sum() == 1000
    assert s[3999] == 68 and s.nbytes() == 4000


def test_typed_elements_are_those_of_the_tensor():
    x = torch.arange(6.0).reshape(2, 3)
    s = typed(x[1])
    assert (len(s), s.nbytes(), s.element_size(), s.dtype, s[1]) == (6, 24, 4, torch.float32, 1.0)
    s[3] = 9.0
    assert x[1, 0] == 9 and list(s) == [0, 1, 2, 9, 4, 5]
    s.fill_(2)
    assert x.tolist() == [[2, 2, 2], [2, 2, 2]]
    y = typed(torch.arange(6.0)).clone()
    assert typed(x).copy_(y) == typed(x) != y and x[1].tolist() == [3, 4, 5]
    assert s.untyped() == x.untyped_storage()


def test_text():
    assert repr(typed(torch.arange(2))) == (
        " 0\n 1\n[torch.storage.TypedStorage(dtype=torch.int64, device=cpu) of size 2]"
    )
    s = torch.UntypedStorage(2).fill_(7)
    assert repr(s) == " 7\n 7\n[torch.storage.UntypedStorage(device=cpu) of size 2]"
    with pytest.warns(UserWarning, match="TypedStorage is deprecated. It will be removed in the future"):
        torch.ones(1).storage()


@pytest.mark.parametrize(
    ("kind", "text", "call"),
    [
        (IndexError, "index 100 out of range for storage of size 4", lambda s, t: s[100]),
        (TypeError, "can't index a torch.UntypedStorage with str", lambda s, t: s["a"]),
        (TypeError, "can't index a torch.UntypedStorage with str", lambda s, t: s.__setitem__("a", 1)),
        (RuntimeError, "Trying to slice with a step of 2, but only a step of 1", lambda s, t: s[::2]),
        (IndexError, "index -2 out of range for storage of size 1", lambda s, t: t[-2]),
        (RuntimeError, "can't index a <class 'torch.storage.TypedStorage'>", lambda s, t: t["a"]),
        (RuntimeError, "slices are only supported in UntypedStorage.__getitem__", lambda s, t: t[:1]),
    ],
)
def test_bad_index(kind, text, call):
    x = torch.ones(1)
    with pytest.raises(kind) as error:
        call(x.untyped_storage(), typed(x))
    assert str(error.value).startswith(text)


# ---- other types and places over the same bytes ----


def test_view_as_another_type_shares_the_bytes():
    x = torch.tensor([[1.0, -2.0, 0.5, 0.0]])
    whole = x.view(torch.int32)
    assert whole.tolist() == [[1065353216, -1073741824, 1056964608, 0]] and whole.dtype == torch.int32
    whole[0, 3] = 1065353216
    assert x[0, 3] == 1 and x._version == 1
    assert x.view(dtype=torch.uint8).shape == (1, 16) and x.view(torch.uint8)[0, 3] == 63
    assert x.view(torch.int64).tolist() == [
        [1065353216 - (1073741824 << 32), 1056964608 + (1065353216 << 32)]
    ]
    assert x[:, 2:].view(torch.float64).storage_offset() == 1
    assert x.t().view(torch.int32).stride() == (1, 4)
    assert torch.ones(0, 4).view(torch.float64).shape == (0, 2)
    assert torch.tensor([True, False]).view(torch.uint8).tolist() == [1, 0]


def test_no_gradient_flows_through_another_type():
    x = torch.ones(2, requires_grad=True)
    for y in (x.view(torch.float32), x.view(torch.int32)):
        assert not y.requires_grad and y._base is None
    x.view(torch.float32).add_(1)
    assert x.tolist() == [2, 2]
    with pytest.raises(NotImplementedError, match=r"^.view. not implemented for 'Short'"):
        x.view(torch.int16)


def test_set():
    x, y = torch.zeros(2, 3), torch.arange(6.0)
    assert x.set_(y) is x and x.shape == (6,) and x.data_ptr() == y.data_ptr() and x._version == 1
    x[0] = 7
    assert y[0] == 7
    assert x.set_(y, 1, (2, 2)).tolist() == [[1, 2], [3, 4]]
    assert x.set_(y, 1, (2, 2), (1, 1)).tolist() == [[1, 2], [2, 3]]
    assert x.set_(source=y[2:]).tolist() == [2, 3, 4, 5]
    assert x.set_(y.untyped_storage()).tolist() == [7, 1, 2, 3, 4, 5]
    assert x.set_(typed(y), 4, torch.Size([2])).tolist() == [4, 5]
    assert x.set_(y.untyped_storage()[8:16]).tolist() == [2, 3]
    assert torch.zeros(1, dtype=torch.int64).set_(y.untyped_storage()).shape == (3,)
    assert x.set_().shape == (0,) and x.dtype == torch.float32 and y.shape == (6,)
    view = y[:2]
    assert view.set_(torch.ones(3)).tolist() == [1, 1, 1] and view._base is None and y[0] == 7


def test_set_refuses_what_it_cannot_hold():
    x, y = torch.zeros(2), torch.arange(3.0)
    with pytest.raises(
        RuntimeError, match=r"^setStorage: sizes \[4\], strides \[1\], storage offset 0, and "
    ):
        x.set_(y, 0, (4,))
    with pytest.raises(RuntimeError, match=r"^mismatch in length of strides and shape"):
        x.set_(y, 0, (2,), (1, 1))
    with pytest.raises(TypeError, match=r"^set_\(\) received an invalid combination of arguments"):
        x.set_(y, 1)
    with pytest.raises(NotImplementedError, match=r"^set_\(\): of the result of a recorded operation"):
        (torch.ones(2, requires_grad=True) * 2).set_(y)
    assert x.tolist() == [0, 0] and x._version == 0
