"""Samplers: in which order the items of a data set are visited."""

from __future__ import annotations

import itertools

from pullback import _api as torch

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]


def _is_positive_int(value):
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


class Sampler:
    """Base class: iterating gives indices, or lists of them.

    Example   >>> class Backwards(torch.utils.data.Sampler):
              ...     def __init__(self, data):
              ...         self.data = data
              ...
              ...     def __iter__(self):
              ...         return iter(range(len(self.data) - 1, -1, -1))
              >>> loader = torch.utils.data.DataLoader([1, 2, 3], sampler=Backwards([1, 2, 3]))
              >>> [batch.tolist() for batch in loader]
              [[3], [2], [1]]
    """

    def __class_getitem__(cls, item):
        return cls

    def __iter__(self):
        raise NotImplementedError


class SequentialSampler(Sampler):
    """0, 1, 2, ...

    Example   >>> list(torch.utils.data.SequentialSampler("abc"))
              [0, 1, 2]
    """

    def __init__(self, data_source):
        self.data_source = data_source

    def __iter__(self):
        return iter(range(len(self.data_source)))

    def __len__(self):
        return len(self.data_source)


def fresh_generator():
    """A generator of its own, seeded by one draw from the default one: torch's draws for the same
    manual_seed.
    """
    generator = torch.Generator()
    generator.manual_seed(int(torch.empty((), dtype=torch.int64).random_().item()))
    return generator


class RandomSampler(Sampler):
    """All indices in random order, or ``num_samples`` draws ``with replacement``.

    Errors    ValueError for a num_samples that is not positive
    Example   >>> sorted(torch.utils.data.RandomSampler("abc"))
              [0, 1, 2]
    """

    def __init__(self, data_source, replacement=False, num_samples=None, generator=None):
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(self.replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={self.replacement}")
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ValueError(
                f"num_samples should be a positive integer value, but got num_samples={self.num_samples}"
            )

    @property
    def num_samples(self):
        """How many indices one iteration gives; the length may change from epoch to epoch."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self):
        count = len(self.data_source)
        generator = self.generator or fresh_generator()
        if self.replacement:
            # In pieces of 32, as torch draws them.
            for _ in range(self.num_samples // 32):
                yield from torch.randint(
                    high=count, size=(32,), dtype=torch.int64, generator=generator
                ).tolist()
            rest = (self.num_samples % 32,)
            yield from torch.randint(high=count, size=rest, dtype=torch.int64, generator=generator).tolist()
            return
        for _ in range(self.num_samples // count):
            yield from torch.randperm(count, generator=generator).tolist()
        yield from torch.randperm(count, generator=generator).tolist()[: self.num_samples % count]

    def __len__(self):
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """The given indices in random order.

    Example   >>> sorted(torch.utils.data.SubsetRandomSampler([4, 7]))
              [4, 7]
    """

    def __init__(self, indices, generator=None):
        self.indices = indices
        self.generator = generator

    def __iter__(self):
        for i in torch.randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self):
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """``num_samples`` indices drawn with probabilities proportional to ``weights``.

    Errors    ValueError for weights with more than one axis, or a num_samples that is not positive
    Example   >>> list(torch.utils.data.WeightedRandomSampler([0.0, 1.0], 3))
              [1, 1, 1]
    """

    def __init__(self, weights, num_samples, replacement=True, generator=None):
        if not _is_positive_int(num_samples):
            raise ValueError(
                f"num_samples should be a positive integer value, but got num_samples={num_samples}"
            )
        if not isinstance(replacement, bool):
            raise ValueError(f"replacement should be a boolean value, but got replacement={replacement}")
        weights = torch.as_tensor(weights, dtype=torch.double)
        if len(weights.shape) != 1:
            raise ValueError(
                f"weights should be a 1d sequence but given weights have shape {tuple(weights.shape)}"
            )
        self.weights = weights
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self):
        drawn = torch.multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        yield from drawn.tolist()

    def __len__(self):
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of ``batch_size`` indices from another sampler; a shorter last one is left out with
    ``drop_last``.

    Errors    ValueError for a batch_size that is not positive
    Example   >>> list(torch.utils.data.BatchSampler(range(5), 2, drop_last=False))
              [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler, batch_size, drop_last):
        if not _is_positive_int(batch_size):
            raise ValueError(
                f"batch_size should be a positive integer value, but got batch_size={batch_size}"
            )
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self):
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield batch

    def __len__(self):
        full, rest = divmod(len(self.sampler), self.batch_size)
        return full if self.drop_last or not rest else full + 1
