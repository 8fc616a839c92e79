"""Data sets, samplers and the loader. Expected orders and texts are PyTorch's for the same seeds."""

from collections import namedtuple

import pytest

import pullback as torch
from pullback.utils import data

ITEMS = list(range(10))
Pair = namedtuple("Pair", "a b")


class Counting(data.IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))

    def __len__(self):
        return self.n


def batches(loader):
    return [batch.tolist() for batch in loader]


def test_shuffled_order():
    torch.manual_seed(7)
    loader = data.DataLoader(ITEMS, 3, shuffle=True)
    assert batches(loader) == [[3, 2, 7], [8, 6, 1], [5, 9, 0], [4]]
    assert batches(loader) == [[1, 3, 5], [2, 8, 9], [6, 7, 4], [0]]
    assert torch.rand(1).item() == 0.36531615257263184
    generator = torch.Generator().manual_seed(3)
    loader = data.DataLoader(ITEMS, 4, shuffle=True, generator=generator)
    assert batches(loader) == [[7, 4, 2, 9], [1, 5, 0, 8], [6, 3]]


def test_samplers():
    torch.manual_seed(7)
    assert list(data.RandomSampler(ITEMS, replacement=True, num_samples=40)) == [
        3,
        5,
        7,
        1,
        0,
        2,
        3,
        6,
        1,
        1,
        6,
        6,
        0,
        6,
        0,
        7,
        4,
        8,
        6,
        8,
        0,
        2,
        4,
        9,
        6,
        0,
        4,
        4,
        1,
        2,
        7,
        8,
        8,
        8,
        1,
        5,
        8,
        1,
        9,
        3,
    ]
    assert list(data.RandomSampler(ITEMS, num_samples=13)) == [3, 2, 7, 8, 6, 1, 5, 9, 0, 4, 5, 9, 2]
    assert list(data.SubsetRandomSampler([3, 1, 5, 7])) == [7, 1, 3, 5]
    assert list(data.BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(data.BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]


def test_weighted_sampler():
    torch.manual_seed(7)
    assert list(data.WeightedRandomSampler([0.1, 0.5, 2.0, 0.3], 9)) == [2, 2, 2, 2, 3, 2, 2, 2, 2]


def test_random_split():
    torch.manual_seed(0)
    assert [s.indices for s in data.random_split(ITEMS, [3, 7])] == [[4, 1, 7], [5, 3, 9, 0, 8, 6, 2]]
    split = data.random_split(ITEMS, [0.33, 0.33, 0.34], generator=torch.Generator().manual_seed(42))
    assert [s.indices for s in split] == [[2, 6, 1, 8], [4, 5, 0], [9, 3, 7]]


def test_data_sets():
    rows = data.TensorDataset(torch.arange(4), torch.arange(4) * 2.0)
    assert [x.item() for x in rows[3]] == [3, 6.0]
    both = rows + data.Subset(rows, [1])
    assert len(both) == 5
    assert both[-1][0].item() == both[4][0].item() == 1
    assert list(Counting(2) + Counting(3)) == [0, 1, 0, 1, 2]
    assert data.StackDataset(a=ITEMS, b=ITEMS).__getitems__([1, 2]) == [{"a": 1, "b": 1}, {"a": 2, "b": 2}]


def test_loading():
    assert batches(data.DataLoader(ITEMS, 4, drop_last=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert batches(data.DataLoader(Counting(5), 2)) == [[0, 1], [2, 3], [4]]
    assert batches(data.DataLoader(Counting(5), 2, drop_last=True)) == [[0, 1], [2, 3]]
    assert list(data.DataLoader(Counting(3), batch_size=None)) == [0, 1, 2]
    assert list(data.DataLoader(ITEMS, 4, collate_fn=sum)) == [6, 22, 17]
    assert batches(data.DataLoader(ITEMS, batch_sampler=[[1, 2], [7]])) == [[1, 2], [7]]
    assert len(data.DataLoader(ITEMS, 3)) == 4
    assert len(data.DataLoader(ITEMS, 3, drop_last=True)) == 3
    assert len(data.DataLoader(Counting(7), 2)) == 4
    with pytest.warns(UserWarning, match="num_workers=2"):
        assert len(batches(data.DataLoader(ITEMS, 5, num_workers=2))) == 2


def test_collate():
    numpy = pytest.importorskip("numpy")
    items = [
        {"t": torch.ones(2), "f": 0.5, "i": i, "s": str(i), "p": Pair(i, [i, (i,)]), "n": numpy.arange(2) + i}
        for i in range(2)
    ]
    batch = data.default_collate(items)
    assert batch["t"].tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert batch["f"].dtype == torch.float64
    assert batch["i"].dtype == torch.int64
    assert batch["s"] == ["0", "1"]
    assert type(batch["p"]) is Pair
    assert batch["p"].b[1][0].tolist() == [0, 1]
    assert batch["n"].tolist() == [[0, 1], [1, 2]]
    assert type(data.default_convert({"a": (numpy.ones(2), "x")})["a"][0]) is torch.Tensor


ERRORS = [
    (
        lambda: data.DataLoader(ITEMS, 0),
        ValueError,
        "batch_size should be a positive integer value, but got batch_size=0",
    ),
    (
        lambda: data.DataLoader(ITEMS, num_workers=-1),
        ValueError,
        "num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.",
    ),
    (
        lambda: data.DataLoader(ITEMS, sampler=[1], shuffle=True),
        ValueError,
        "sampler option is mutually exclusive with shuffle",
    ),
    (
        lambda: data.DataLoader(Counting(3), shuffle=True),
        ValueError,
        "DataLoader with IterableDataset: expected unspecified shuffle option, but got shuffle=True",
    ),
    (
        lambda: setattr(data.DataLoader(ITEMS), "batch_size", 3),
        ValueError,
        "batch_size attribute should not be set after DataLoader is initialized",
    ),
    (
        lambda: data.RandomSampler([]),
        ValueError,
        "num_samples should be a positive integer value, but got num_samples=0",
    ),
    (
        lambda: data.TensorDataset(torch.ones(2), torch.ones(3)),
        AssertionError,
        "Size mismatch between tensors",
    ),
    (
        lambda: data.random_split(ITEMS, [3, 3]),
        ValueError,
        "Sum of input lengths does not equal the length of the input dataset!",
    ),
    (
        lambda: data.default_collate([None]),
        TypeError,
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        "found <class 'NoneType'>",
    ),
    (
        lambda: data.default_collate([[1, 2], [3]]),
        RuntimeError,
        "each element in list of batch should be of equal size",
    ),
    (lambda: data.Dataset()[0], NotImplementedError, "Subclasses of Dataset should implement __getitem__."),
]


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS, ids=range(len(ERRORS)))
def test_errors(call, kind, text):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value).startswith(text)
