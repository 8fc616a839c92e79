"""DataLoader: batches of a data set, in this process."""

from __future__ import annotations

import warnings

from pullback import _api as torch
from pullback.utils.data.collate import default_collate, default_convert
from pullback.utils.data.dataset import IterableDataset
from pullback.utils.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

__all__ = ["DataLoader", "get_worker_info"]


class _InfiniteConstantSampler(Sampler):
    """None for ever: an iterable data set brings its own order and end."""

    def __iter__(self):
        while True:
            yield None


def get_worker_info():
    """None: batches are made in the main process.

    Example   >>> torch.utils.data.get_worker_info() is None
              True
    """
    return None


class _MapFetcher:
    """Items by index; a whole batch in one call where the data set has ``__getitems__``."""

    def __init__(self, loader):
        self.dataset = loader.dataset
        self.batched = loader._auto_collation
        self.collate = loader.collate_fn

    def fetch(self, index):
        if not self.batched:
            return self.collate(self.dataset[index])
        if getattr(self.dataset, "__getitems__", None):
            return self.collate(self.dataset.__getitems__(index))
        return self.collate([self.dataset[i] for i in index])


class _IterableFetcher:
    """Items in the order in which the data set gives them."""

    def __init__(self, loader):
        self.items = iter(loader.dataset)
        self.batched = loader._auto_collation
        self.collate = loader.collate_fn
        self.drop_last = loader.drop_last
        self.ended = False

    def fetch(self, index):
        if not self.batched:
            return self.collate(next(self.items))
        if self.ended:
            raise StopIteration
        batch = []
        for _ in index:
            try:
                batch.append(next(self.items))
            except StopIteration:
                self.ended = True
                break
        if not batch or (self.drop_last and self.ended):
            raise StopIteration
        return self.collate(batch)


class _LoaderIter:
    """One pass over a loader."""

    def __init__(self, loader):
        self._loader = loader
        self._sampler_iter = iter(loader._index_sampler)
        # torch draws a seed for its workers here whether there are any or not; later draws depend on it.
        self._base_seed = torch.empty((), dtype=torch.int64).random_(generator=loader.generator).item()
        iterable = isinstance(loader.dataset, IterableDataset)
        self._fetcher = _IterableFetcher(loader) if iterable else _MapFetcher(loader)
        self._count = 0

    def __iter__(self):
        return self

    def __next__(self):
        data = self._fetcher.fetch(next(self._sampler_iter))
        self._count += 1
        self._check_length()
        return data

    def _check_length(self):
        loader = self._loader
        claimed = loader._IterableDataset_len_called
        if claimed is not None and self._count > claimed:
            warnings.warn(
                f"Length of IterableDataset {loader.dataset} was reported to be {claimed} (when accessing "
                f"len(dataloader)), but {self._count} samples have been fetched. ",
                stacklevel=3,
            )

    def __len__(self):
        return len(self._loader._index_sampler)


def _check_iterable(shuffle, sampler, batch_sampler):
    if shuffle not in (False, None):
        raise ValueError(
            f"DataLoader with IterableDataset: expected unspecified shuffle option, but got shuffle={shuffle}"
        )
    if sampler is not None:
        raise ValueError(
            f"DataLoader with IterableDataset: expected unspecified sampler option, but got sampler={sampler}"
        )
    if batch_sampler is not None:
        raise ValueError(
            "DataLoader with IterableDataset: expected unspecified batch_sampler option, "
            f"but got batch_sampler={batch_sampler}"
        )


def _check_workers(num_workers, timeout, prefetch_factor, persistent_workers):
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable multiprocessing."
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing."
            "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if num_workers > 0 and prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")
    if num_workers > 0:
        warnings.warn(
            f"DataLoader: num_workers={num_workers} was asked for; pullback loads batches in this process. "
            "Pass num_workers=0 to silence this warning.",
            stacklevel=3,
        )


class DataLoader:
    """Iterating gives batches of ``dataset``: items chosen by a sampler, put together by ``collate_fn``.

    ``shuffle`` visits the items in torch's order for the same seed. ``batch_size=None`` gives single items.
    Batches are made in this process; ``num_workers``, ``pin_memory`` and the like are accepted and change
    nothing.

    Errors    ValueError for options that exclude each other
    Example   >>> data = torch.utils.data.TensorDataset(torch.arange(5.0), torch.arange(5) % 2)
              >>> loader = torch.utils.data.DataLoader(data, batch_size=2)
              >>> for x, y in loader:
              ...     print(x, y)
              tensor([0., 1.]) tensor([0, 1])
              tensor([2., 3.]) tensor([0, 1])
              tensor([4.]) tensor([0])
    """

    _IterableDataset_len_called = None
    _initialized = False
    _FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")

    def __init__(
        self,
        dataset,
        batch_size=1,
        shuffle=None,
        sampler=None,
        batch_sampler=None,
        num_workers=0,
        collate_fn=None,
        pin_memory=False,
        drop_last=False,
        timeout=0,
        worker_init_fn=None,
        multiprocessing_context=None,
        generator=None,
        *,
        prefetch_factor=None,
        persistent_workers=False,
        pin_memory_device="",
        in_order=True,
    ):
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        if multiprocessing_context is not None and num_workers == 0:
            raise ValueError(
                "multiprocessing_context can only be used with multi-process loading (num_workers > 0), "
                f"but got num_workers={num_workers}"
            )
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers > 0 and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        if isinstance(dataset, IterableDataset):
            _check_iterable(shuffle, sampler, batch_sampler)
        shuffle = bool(shuffle)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        self._choose_samplers(batch_size, shuffle, sampler, batch_sampler, drop_last)
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.collate_fn = collate_fn
        self._initialized = True

    def __class_getitem__(cls, item):
        return cls

    def _choose_samplers(self, batch_size, shuffle, sampler, batch_sampler, drop_last):
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
                    "and drop_last"
                )
            batch_size = None
            drop_last = False
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
            )
        if sampler is None:
            if isinstance(self.dataset, IterableDataset):
                sampler = _InfiniteConstantSampler()
            elif shuffle:
                sampler = RandomSampler(self.dataset, generator=self.generator)
            else:
                sampler = SequentialSampler(self.dataset)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler

    def __setattr__(self, name, value):
        if self._initialized and name in self._FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    @property
    def _auto_collation(self):
        return self.batch_sampler is not None

    @property
    def _index_sampler(self):
        return self.batch_sampler if self._auto_collation else self.sampler

    def __iter__(self):
        return _LoaderIter(self)

    def __len__(self):
        if not isinstance(self.dataset, IterableDataset):
            return len(self._index_sampler)
        length = self._IterableDataset_len_called = len(self.dataset)
        if self.batch_size is None:
            return length
        full, rest = divmod(length, self.batch_size)
        return full if self.drop_last or not rest else full + 1
