"""copy.copy() shares memory; what shared memory before deepcopy() shares it afterwards."""

import copy
import warnings

import pytest

import pullback as torch
from pullback import nn

T = torch.tensor


@pytest.mark.parametrize("leaf", [False, True])
def test_a_copy_shares_memory_and_attributes(leaf):
    x = T([1.0, 2.0], requires_grad=leaf)
    x.note = ["kept"]
    y = copy.copy(x)
    with torch.no_grad():
        y[0] = 9
    assert x.tolist() == [9.0, 2.0] and y is not x and y.note is x.note
    assert y.requires_grad == leaf and y.is_leaf and y.grad is None and y._base is None


def test_a_copy_has_the_class_and_layout():
    class Own(torch.Tensor):
        pass

    assert type(copy.copy(torch.ones(2).as_subclass(Own))) is Own
    assert type(copy.copy(nn.Parameter(torch.ones(2)))) is nn.Parameter
    assert copy.copy(torch.arange(6).view(2, 3).t()).stride() == (1, 3)


@pytest.mark.parametrize("turned", [False, True])
def test_deep_copies_of_one_memory_share_one(turned):
    b = T([1, 2, 3])
    given = [b[1:], b] if turned else [b, b[1:]]
    new = copy.deepcopy(given)
    whole, part = reversed(new) if turned else new
    whole[1] = 9
    assert part.tolist() == [9, 3] and b.tolist() == [1, 2, 3]
    assert part._base is None and part.storage_offset() == 1 and part.untyped_storage().nbytes() == 24


def test_a_deep_copy_keeps_strides():
    for x in (torch.arange(6).view(2, 3).t(), T([1.0, 2.0]).expand(3, 2), torch.empty(0, 2), T(5.0)):
        new = copy.deepcopy(x)
        assert new.stride() == x.stride() and new.tolist() == x.tolist() and not new._shares_memory(x)


def test_modules_with_buffers_over_one_memory():
    m = nn.Module()
    m.register_buffer("whole", torch.ones(3))
    m.register_buffer("part", m.whole[1:])
    new = copy.deepcopy(m)
    new.whole[1] = 7
    assert new.part.tolist() == [7.0, 1.0] and m.part.tolist() == [1.0, 1.0]


def test_inside_vmap():
    twice = torch.func.vmap(lambda row: copy.deepcopy([row, row[1:]])[1] * 2 + copy.copy(row)[1:])
    assert twice(torch.arange(6.0).view(2, 3)).tolist() == [[3.0, 6.0], [12.0, 15.0]]


def test_hooks_do_not_go_with_a_copy():
    x = torch.ones(2, requires_grad=True)
    x.register_hook(lambda g: g)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        copy.copy(x)
    assert len(said) == 1
