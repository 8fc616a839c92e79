"""Data sets: things with items, found by index or by iteration."""

from __future__ import annotations

import bisect
import math
import warnings
from collections.abc import Iterable
from itertools import accumulate

from pullback import _api as torch

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]


class Dataset:
    """A data set with ``__getitem__`` and, usually, ``__len__``; ``__getitems__`` may fetch a batch at
    once.

    Example   >>> class Squares(torch.utils.data.Dataset):
              ...     def __len__(self):
              ...         return 4
              ...
              ...     def __getitem__(self, i):
              ...         return i * i
              >>> [batch.tolist() for batch in torch.utils.data.DataLoader(Squares(), batch_size=2)]
              [[0, 1], [4, 9]]
    """

    def __class_getitem__(cls, item):
        return cls

    def __getitem__(self, index):
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other):
        return ConcatDataset([self, other])


class IterableDataset(Dataset, Iterable):
    """A data set that is only iterated over.

    Example   >>> class Stream(torch.utils.data.IterableDataset):
              ...     def __iter__(self):
              ...         return iter(range(3))
              >>> [batch.tolist() for batch in torch.utils.data.DataLoader(Stream(), batch_size=2)]
              [[0, 1], [2]]
    """

    def __add__(self, other):
        return ChainDataset([self, other])


class TensorDataset(Dataset):
    """Item i is the tuple of the tensors' rows i.

    Shapes    tensors (n, *), (n, *), ... -> items (*), (*), ...
    Errors    AssertionError where the first axes differ
    Example   >>> torch.utils.data.TensorDataset(torch.tensor([[1.0], [2.0]]), torch.tensor([0, 1]))[1]
              (tensor([2.]), tensor(1))
    """

    def __init__(self, *tensors):
        if any(tensors[0].size(0) != tensor.size(0) for tensor in tensors):
            raise AssertionError("Size mismatch between tensors")
        self.tensors = tensors

    def __getitem__(self, index):
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self):
        return self.tensors[0].size(0)


def _fetch(dataset, indices):
    """The items at ``indices``, in one call where the data set offers that."""
    if callable(getattr(dataset, "__getitems__", None)):
        items = dataset.__getitems__(indices)
        if len(items) != len(indices):
            raise ValueError(
                f"Nested dataset's output size mismatch. Expected {len(indices)}, got {len(items)}"
            )
        return items
    return [dataset[index] for index in indices]


class StackDataset(Dataset):
    """Item i is the tuple, or with keywords the dictionary, of the data sets' items i.

    Errors    ValueError for data sets of different lengths
    Example   >>> torch.utils.data.StackDataset(x=[1, 2], y=["a", "b"])[1]
              {'x': 2, 'y': 'b'}
    """

    def __init__(self, *args, **kwargs):
        if args and kwargs:
            raise ValueError(
                "Supported either ``tuple``- (via ``args``) or``dict``- (via ``kwargs``) like "
                "input/output, but both types are given."
            )
        if not args and not kwargs:
            raise ValueError("At least one dataset should be passed")
        self.datasets = args or kwargs
        members = list(args or kwargs.values())
        self._length = len(members[0])
        if any(len(member) != self._length for member in members):
            raise ValueError("Size mismatch between datasets")

    def __getitem__(self, index):
        if isinstance(self.datasets, dict):
            return {key: dataset[index] for key, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __getitems__(self, indices):
        if isinstance(self.datasets, dict):
            columns = [_fetch(dataset, indices) for dataset in self.datasets.values()]
            return [dict(zip(self.datasets, row, strict=True)) for row in zip(*columns, strict=True)]
        return list(zip(*(_fetch(dataset, indices) for dataset in self.datasets), strict=True))

    def __len__(self):
        return self._length


class ConcatDataset(Dataset):
    """Several data sets one after the other.

    Errors    AssertionError for none at all, or for one that is only iterated over
    Example   >>> list(torch.utils.data.ConcatDataset([[1, 2], [3]]))
              [1, 2, 3]
    """

    @staticmethod
    def cumsum(sequence):
        """The running sums of the lengths."""
        return list(accumulate(map(len, sequence)))

    def __init__(self, datasets):
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    def __len__(self):
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx):
        if idx < 0:
            if -idx > len(self):
                raise ValueError("absolute value of index should not exceed dataset length")
            idx += len(self)
        which = bisect.bisect_right(self.cumulative_sizes, idx)
        before = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][idx - before]


class ChainDataset(IterableDataset):
    """Several iterable data sets one after the other.

    Example   >>> class Count(torch.utils.data.IterableDataset):
              ...     def __iter__(self):
              ...         return iter(range(2))
              >>> list(torch.utils.data.ChainDataset([Count(), Count()]))
              [0, 1, 0, 1]
    """

    def __init__(self, datasets):
        super().__init__()
        self.datasets = datasets

    def _members(self):
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError("ChainDataset only supports IterableDataset")
            yield dataset

    def __iter__(self):
        for dataset in self._members():
            yield from dataset

    def __len__(self):
        return sum(len(dataset) for dataset in self._members())


class Subset(Dataset):
    """The items of a data set at given indices.

    Example   >>> list(torch.utils.data.Subset("abc", [2, 0]))
              ['c', 'a']
    """

    def __init__(self, dataset, indices):
        kind = type(self)
        if kind.__getitem__ is not Subset.__getitem__ and kind.__getitems__ is Subset.__getitems__:
            raise NotImplementedError(
                f"{kind.__name__} overrides __getitem__ but not __getitems__. When subclassing Subset and "
                "overriding __getitem__, you must also override __getitems__ to ensure DataLoader works "
                "correctly with your custom logic. A simple implementation:\n"
                "\n"
                "def __getitems__(self, indices):\n"
                "    return [self.__getitem__(idx) for idx in indices]"
            )
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, idx):
        if isinstance(idx, list):
            return self.dataset[[self.indices[i] for i in idx]]
        return self.dataset[self.indices[idx]]

    def __getitems__(self, indices):
        chosen = [self.indices[index] for index in indices]
        if callable(getattr(self.dataset, "__getitems__", None)):
            return self.dataset.__getitems__(chosen)
        return [self.dataset[index] for index in chosen]

    def __len__(self):
        return len(self.indices)


def _lengths_of_fractions(fractions, total):
    """Whole lengths for fractions that sum to 1 (or less): what rounding leaves goes round robin from the
    first.
    """
    lengths = []
    for i, fraction in enumerate(fractions):
        if fraction < 0 or fraction > 1:
            raise ValueError(f"Fraction at index {i} is not between 0 and 1")
        lengths.append(math.floor(total * fraction))
    for i in range(total - sum(lengths)):
        lengths[i % len(lengths)] += 1
    for i, length in enumerate(lengths):
        if length == 0:
            warnings.warn(
                f"Length of split at index {i} is 0. This might result in an empty dataset.", stacklevel=3
            )
    return lengths


def random_split(dataset, lengths, generator=None):
    """Random subsets without overlap, of these lengths or, if they sum to at most 1, fractions.

    Errors    ValueError for lengths that do not sum to the data set's
    Example   >>> a, b = torch.utils.data.random_split(range(10), [7, 3])
              >>> len(a), len(b), sorted([*a, *b]) == list(range(10))
              (7, 3, True)
    """
    total = len(dataset)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        lengths = _lengths_of_fractions(lengths, total)
    if sum(lengths) != total:
        raise ValueError("Sum of input lengths does not equal the length of the input dataset!")
    order = torch.randperm(sum(lengths), generator=generator or torch.default_generator).tolist()
    ends = accumulate(lengths)
    return [Subset(dataset, order[end - length : end]) for end, length in zip(ends, lengths, strict=True)]
