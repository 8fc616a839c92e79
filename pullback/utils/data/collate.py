"""Making one batch out of a list of items."""

from __future__ import annotations

import collections.abc
import copy
import re

from pullback import _api as torch
from pullback.tensor import Tensor

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]

_STRING_ARRAY = re.compile(r"[SaUO]")

_UNKNOWN = "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"


def default_convert(data):
    """NumPy arrays in ``data`` as tensors; the rest, at any depth, as it is.

    Example   >>> import numpy as np
              >>> torch.utils.data.default_convert({"a": np.zeros(2), "b": "text"})
              {'a': tensor([0., 0.], dtype=torch.float64), 'b': 'text'}
    """
    kind = type(data)
    if isinstance(data, Tensor):
        return data
    if kind.__module__ == "numpy" and kind.__name__ not in ("str_", "string_", "bytes_"):
        if kind.__name__ == "ndarray" and _STRING_ARRAY.search(data.dtype.str):
            return data
        return torch.as_tensor(data)
    if isinstance(data, collections.abc.Mapping):
        return _like_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return kind(*(default_convert(item) for item in data))
    if isinstance(data, tuple):
        return [default_convert(item) for item in data]
    if isinstance(data, collections.abc.Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(item) for item in data])
    return data


def _like_mapping(example, values):
    """A mapping of the example's type with these values; a dict where the type cannot be built."""
    try:
        if isinstance(example, collections.abc.MutableMapping):
            # A copy keeps what else the type holds, such as a default factory.
            result = copy.copy(example)
            result.update(values)
            return result
        return type(example)(values)
    except TypeError:
        return values


def _like_sequence(example, values):
    """A sequence of the example's type with these values; a list where the type cannot be built."""
    try:
        if isinstance(example, collections.abc.MutableSequence):
            result = copy.copy(example)
            for i, value in enumerate(values):
                result[i] = value
            return result
        return type(example)(values)
    except TypeError:
        return values


def _find(kind, collate_fn_map):
    if collate_fn_map is None:
        return None
    if kind in collate_fn_map:
        return collate_fn_map[kind]
    for known, function in collate_fn_map.items():
        if issubclass(kind, known):
            return function
    return None


def collate(batch, *, collate_fn_map=None):
    """One batch of a list of items: leaves by the function for their type, containers item by item."""
    first = batch[0]
    kind = type(first)
    function = _find(kind, collate_fn_map)
    if function is not None:
        return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, collections.abc.Mapping):
        values = {key: collate([item[key] for item in batch], collate_fn_map=collate_fn_map) for key in first}
        return _like_mapping(first, values)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return kind(*(collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch, strict=True)))
    if isinstance(first, collections.abc.Sequence):
        if any(len(item) != len(first) for item in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch, strict=True)]
        # Tuples come out as lists, as in torch.
        return columns if isinstance(first, tuple) else _like_sequence(first, columns)
    raise TypeError(_UNKNOWN.format(kind))


def _collate_tensors(batch, *, collate_fn_map=None):
    return torch.stack(list(batch), 0)


def _collate_arrays(batch, *, collate_fn_map=None):
    if _STRING_ARRAY.search(batch[0].dtype.str):
        raise TypeError(_UNKNOWN.format(batch[0].dtype))
    return collate([torch.as_tensor(item) for item in batch], collate_fn_map=collate_fn_map)


def _collate_numpy_scalars(batch, *, collate_fn_map=None):
    return torch.as_tensor(batch)


def _collate_floats(batch, *, collate_fn_map=None):
    return torch.tensor(batch, dtype=torch.float64)


def _collate_ints(batch, *, collate_fn_map=None):
    return torch.tensor(batch)


def _collate_strings(batch, *, collate_fn_map=None):
    return batch


default_collate_fn_map = {
    Tensor: _collate_tensors,
    float: _collate_floats,
    int: _collate_ints,
    str: _collate_strings,
    bytes: _collate_strings,
}


def _add_numpy():
    try:
        import numpy
    except ImportError:
        return
    default_collate_fn_map[numpy.ndarray] = _collate_arrays
    default_collate_fn_map[(numpy.bool_, numpy.number, numpy.object_)] = _collate_numpy_scalars


_add_numpy()


def default_collate(batch):
    """Tensors, arrays and numbers become tensors with a new first axis; dicts, lists and tuples keep their
    form.

    Shapes    n items (*) -> (n, *)
    Errors    RuntimeError for items of different shapes; TypeError for a type that it does not know
    Example   >>> torch.utils.data.default_collate([(torch.zeros(2), 1), (torch.ones(2), 2)])
              [tensor([[0., 0.],
                      [1., 1.]]), tensor([1, 2])]
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
