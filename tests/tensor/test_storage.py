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
