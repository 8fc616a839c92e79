"""Operators with NumPy arrays beside tensors, in-place shifts, and calls that give no tensor at all."""

import numpy as np
import pytest

import pullback as torch


def test_equality_with_an_array_is_of_elements():
    t, a = torch.tensor([1.0, 2.0, 3.0]), np.array([1, 5, 3.0], "f4")
    for found in (t == a, a == t, t.requires_grad_() == a):
        assert isinstance(found, torch.Tensor) and found.tolist() == [True, False, True]
    assert (torch.tensor([1, 2]) == np.array(2.0)).tolist() == [False, True]
    with pytest.raises(RuntimeError, match="The size of tensor a"):
        t == np.ones(2)  # noqa: B015
    assert (t == "a") is False and (t == [1, 2, 3]) is False


def test_an_array_divided_by_a_tensor():
    t = torch.tensor([1.0, 2.0, 4.0])
    assert (np.array([1, 5, 3.0], "f4") / t).tolist() == [1.0, 2.5, 0.75]
    assert (np.array(2.0) / t).dtype is torch.float64
    with pytest.raises(TypeError):
        [1, 2, 3] / t


def test_shifts_in_place():
    i = torch.tensor([1, 2, 3])
    same, first = i, i[:2]
    i <<= 2
    i >>= 1
    first <<= torch.tensor([0, 1])
    assert same is i and i.tolist() == [2, 8, 6]
    small = torch.tensor([1, 2], dtype=torch.uint8)
    with pytest.raises(RuntimeError):
        small <<= torch.ones(2, 3, dtype=torch.int64)
    assert small.tolist() == [1, 2]


def test_assigning_under_a_new_axis():
    x = torch.arange(6).reshape(2, 3)
    x[None] = torch.tensor([[1, 2, 3], [4, 5, 6]])
    x[None] += 1
    x[None, None, 0] = 7
    assert x.tolist() == [[7, 7, 7], [5, 6, 7]]
    x[None] = 1
    assert x.sum() == 6


@pytest.mark.parametrize("grad", [False, True])
def test_nothing_to_give(grad):
    row, empty = torch.zeros(0, requires_grad=grad), torch.zeros(2, 0, requires_grad=grad)
    for found in (
        row.split([]),
        empty.split([], 1),
        torch.split_with_sizes(row, []),
        torch.unsafe_split_with_sizes(row, []),
        row.unbind(0),
        torch.atleast_1d(),
        torch.atleast_3d(),
        torch.broadcast_tensors(),
    ):
        assert found == ()


def test_a_false_divisor_is_zero():
    five, truth = torch.tensor([5, 6]), torch.tensor([True, False])
    for call in (
        lambda: five // truth,
        lambda: five % truth,
        lambda: five // False,
        lambda: torch.div(five, truth, rounding_mode="trunc"),
    ):
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            call()
    assert (five // True).tolist() == [5, 6] and (five / truth).tolist() == [5.0, float("inf")]


def test_whole_numbers_beyond_the_signed_ones():
    whole, real = torch.tensor([1]), torch.tensor([1.5], dtype=torch.float64)
    assert (whole + 2**63).tolist() == [1 - 2**63] and (whole * 2**63).tolist() == [-(2**63)]
    assert (whole / 2**63).tolist() == [2.0**-63] and (2**63 - whole).tolist() == [2**63 - 1]
    assert (real * 2**63).tolist() == [1.5 * 2.0**63] and torch.full((1,), 2**63, dtype=torch.bool).item()
    assert torch.full_like(real, 2**64 - 1).item() == 2.0**64
    with pytest.raises(RuntimeError, match=r"^value cannot be converted to type int64_t without overflow"):
        torch.full_like(whole, 2**63)
    for number, text in ((2**64, "int too big to convert"), (-(2**63) - 1, "can't convert negative int to")):
        with pytest.raises(OverflowError, match=f"^{text}"):
            whole + number


def test_powers_of_bools_by_bools_stay_bools():
    b = torch.tensor([True, False])
    for exponent, expected in ((True, [True, False]), (False, [True, True])):
        for power in (b**exponent, b.pow(exponent), torch.pow(b, exponent), b.clone().pow_(exponent)):
            assert power.dtype == torch.bool and power.tolist() == expected
    assert (b**1).dtype == torch.int64


def test_a_result_that_its_place_cannot_take_is_no_missing_implementation():
    whole = torch.tensor([1])
    for change in (lambda: whole.add_(0.5), lambda: whole.__itruediv__(2), lambda: whole.mul_(torch.ones(1))):
        with pytest.raises(RuntimeError) as e:
            change()
        assert str(e.value).split("\n")[0] == (
            "result type Float can't be cast to the desired output type Long"
        )
        assert not isinstance(e.value, NotImplementedError)
    with pytest.raises(RuntimeError, match=r"^output with shape \[1\] doesn't match"):  # before the type
        whole.add_(torch.ones(2))
