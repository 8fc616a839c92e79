"""Sizes and data that the core reads itself: as what Python reads element by element, or left to it."""

import math

import numpy as np
import pytest

import pullback as torch
from pullback import _core
from pullback.from_data import _checked_array, _copy, _Reader

DTYPES = [None, torch.bool, torch.uint8, torch.int32, torch.int64, torch.float32, torch.float64]
DATA = [
    3,
    2.5,
    True,
    [],
    [[], []],
    [1, 2, 3],
    (1.5, -2, True),
    [True, False],
    [[1, 2], (3, 4)],
    [[[1.0], [2.0]], [[3.0], [4.0]]],
    [1e300, -1e300, math.inf, math.nan, 5e-324],
    [2**53 + 1, -(2**63), 2**63 - 1],
    [0.1] * 100,
    torch.Size([2, 3]),
    [[0] * 5 for _ in range(7)],
]


def outcome(make):
    try:
        t = make()
    except Exception as e:
        return type(e), str(e)
    return t.dtype, t.shape, str(t.tolist())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("data", DATA, ids=lambda d: str(d)[:30])
def test_numbers_as_python_reads_them(data, dtype):
    def by_python():
        reader = _Reader()
        plain = reader.read(data)
        kind = dtype or reader.kind or torch.get_default_dtype()
        return _copy(_checked_array(plain, kind), kind)

    assert outcome(lambda: torch.tensor(data, dtype=dtype)) == outcome(by_python)


SCALARS = [np.float32(1.5), np.float64(2.5), np.int32(3), np.int64(-4), np.uint8(5), np.bool_(True)]


def test_scalars_of_numpy():
    for x in SCALARS:
        assert torch.tensor(x).dtype == torch.from_numpy(np.array([x])).dtype
        assert torch.tensor([x, x]).tolist() == [x.item()] * 2
    assert torch.tensor(SCALARS).dtype == torch.float64
    assert torch.tensor([SCALARS[0], 1]).dtype == torch.float32
    assert torch.tensor([SCALARS[4], SCALARS[2]]).dtype == torch.int32


REST = [
    ([1, [2]], None),
    ([[1, 2], [3]], None),
    ([[1], 2], None),
    ([2**63], torch.int64),
    ([256], torch.uint8),
    ([255.5], torch.uint8),
    ([2.0**63], torch.int64),
    ([math.nan], torch.int64),
    ([10**400], torch.float64),
    ([np.float32(1)], None),
    ([torch.tensor(1)], None),
    ("12", None),
    (range(3), None),
    (None, None),
    ([1j], None),
    ([1.0], torch.float16),
    ([1.0], float),
]


@pytest.mark.parametrize(("data", "dtype"), REST, ids=lambda d: str(d)[:30])
def test_the_rest_is_left_to_python(data, dtype):
    assert _core.from_numbers(data, dtype) is None


class Nines(tuple):
    def __iter__(self):
        return iter([9.0] * len(self))


class OfOne(tuple):
    def __len__(self):
        return 1


def test_tuples_with_their_own_ways():
    assert torch.tensor(Nines([1.0, 2.0])).tolist() == [9.0, 9.0]
    assert torch.tensor([[1.0, 2.0], Nines([1.0, 2.0])]).tolist() == [[1.0, 2.0], [9.0, 9.0]]
    assert _core.from_numbers(Nines([1.0]), None) is None and _core.from_numbers(OfOne([1, 2]), None) is None
    assert _core.from_numbers(torch.Size([1, 2]), None).tolist() == [1, 2]


def test_full_of_nothing():
    with pytest.raises(TypeError, match=r"full\(\): argument 'fill_value' \(position 2\) must be Number"):
        torch.full((2,), None)


def test_sizes_are_refused_before_bounds():
    with pytest.raises(TypeError, match="invalid combination"):
        torch.randint(5, 5, (2.0,))


def test_a_new_tensor_was_never_changed():
    for t in (torch.tensor([1.0]), torch.zeros(2), torch.ones(2, 2), torch.full((2,), 3), torch.arange(3)):
        assert t._version == 0 and t.is_leaf and t.is_contiguous()
    assert torch.tensor([1.0, 2.0], requires_grad=True).grad_fn is None


PLAIN_SIZES = [(2, 3), ((2, 3),), ([0, 2],), (torch.Size([1]),), ((),)]
OTHER_SIZES = [(-1,), (True,), (2.0,), (2**62, 8), ((1,), 2), (1,) * 17, (2**70,)]


@pytest.mark.parametrize(
    ("sizes", "plain"), [(s, True) for s in PLAIN_SIZES] + [(s, False) for s in OTHER_SIZES], ids=str
)
def test_sizes(sizes, plain):
    t = _core.new_tensor(sizes, torch.int64, 7)
    assert (t is not None) == plain
    if plain:
        assert t.tolist() == np.full(sizes if isinstance(sizes[0], int) else tuple(sizes[0]), 7).tolist()


def test_like():
    x = torch.zeros(2, 3, 4).permute(2, 0, 1)
    for t in (_core.new_like(x, None, 1), torch.ones_like(x)):
        assert t.stride() == x.stride() and t.tolist() == torch.ones(4, 2, 3).tolist()
    assert torch.ones_like(torch.zeros(1).expand(3, 2)).stride() == (2, 1)
    assert _core.new_like(x, float, 1) is None and _core.new_like(x, torch.float16, 1) is None


@pytest.mark.parametrize("bounds", [(5,), (5.0,), (1, 7, 2), (7, 1, -2), (0, 1, 0.25), (3, 3), (0.5, 3)])
@pytest.mark.parametrize("dtype", [None, torch.int32, torch.float32, torch.float64])
def test_ranges(bounds, dtype):
    named = dict(zip(("start", "end", "step"), bounds if len(bounds) > 1 else (0, *bounds), strict=False))
    assert outcome(lambda: torch.arange(*bounds, dtype=dtype)) == outcome(
        lambda: torch.arange(**named, dtype=dtype)
    )


@pytest.mark.parametrize(
    "bounds",
    [(), (1, 2, 0), (2, 1), (1, 2, -1), (math.inf,), (math.nan,), (2**60,), (np.int64(3),), (1,) * 4],
)
def test_ranges_that_are_left_to_python(bounds):
    assert _core.range_of(bounds, None) is None


def test_arrays_share_their_memory():
    a = np.arange(24.0).reshape(2, 3, 4)
    for view in (a, a.T, a[:, 1:, ::2], a[0, 0, 0:0], a[1, 2, 3]):
        view = np.asarray(view)
        t = torch.from_numpy(view)
        assert t.tolist() == view.tolist() and t.stride() == tuple(s // 8 for s in view.strides)
    t = torch.from_numpy(a)
    a[0, 0, 0] = 99
    t[1, 2, 3] = -1
    assert t[0, 0, 0] == 99 and a[1, 2, 3] == -1
    for kind in (bool, np.uint8, np.int32, np.int64, np.longlong, np.float32, np.float64):
        assert torch.from_numpy(np.ones(2, kind)).tolist() == np.ones(2, kind).tolist()


def test_arrays_keep_the_strides_of_short_axes():
    for view in (
        np.ones((4, 6))[:1, ::2][:, :1],
        np.ones((4, 6))[:, 2:3],
        np.ones((4, 6))[:0, ::3],
        np.ones(6)[::3][:1],
    ):
        assert torch.from_numpy(view).stride() == tuple(s // 8 for s in view.strides)
    with pytest.raises(ValueError, match="At least one stride in the given numpy array is negative"):
        torch.from_numpy(np.ones(6)[::-1][:1])


def test_arrays_that_are_left_to_python():
    read_only = np.ones(2)
    read_only.setflags(write=False)
    odd = np.zeros(3, dtype=[("a", np.uint8), ("b", np.float32)])["b"]  # 5 bytes apart
    for a in (
        np.ones(2)[::-1],
        np.ones(2, ">f8"),
        np.ones(2, np.float16),
        np.ones(2, complex),
        read_only,
        odd,
    ):
        assert _core.from_array(a, False) is None
    assert _core.from_array(read_only, True).tolist() == [1, 1]
    assert torch.tensor(read_only).tolist() == [1, 1]  # a copy, without a warning
    assert torch.tensor(np.ones((2, 2), np.float32).T).is_contiguous()


def test_wrong_use():
    for call in (_core.new_tensor, _core.new_like, _core.range_of, _core.from_array, _core.from_numbers):
        with pytest.raises(TypeError):
            call(1, 2, 3, 4)
    with pytest.raises(RuntimeError, match="overflow"):
        _core.new_tensor((2,), torch.uint8, 300)
    with pytest.raises(RuntimeError, match="overflow"):
        torch.full_like(torch.zeros(2, dtype=torch.uint8), 300)
