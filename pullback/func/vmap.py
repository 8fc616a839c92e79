"""vmap: a function of one sample, run for many at once.

Operations inside see one sample; the core runs each of them for all samples (see native/tape/transform.h).
Where a program looks at values (branches, item(), numbers printed), the samples are grouped by what it would
see and each group is run by itself; where that does not help (in-place changes of a tensor that all samples
share), they are run one by one. So vmap refuses nothing but what torch's ``randomness="error"`` asks it to.
"""

from __future__ import annotations

import functools
import threading
from contextlib import contextmanager

import numpy as np

from pullback import _core, random
from pullback.func import levels
from pullback.func.arguments import function_name
from pullback.trace.tracer import functions as f
from pullback.utils._pytree import (
    broadcast_to_and_flatten,
    tree_flatten,
    tree_unflatten,
)


class _Split(BaseException):
    """The samples of a level differ in a value that the program looked at. Not an Exception: a program that
    catches those must not keep it from vmap."""

    def __init__(self, level, groups):
        self.level, self.groups = level, groups


class _OneByOne(BaseException):
    """The samples cannot run together. `in_turn`: each is to see what those before it changed."""

    def __init__(self, reason, in_turn):
        self.reason, self.in_turn = reason, in_turn


class _State(threading.local):
    def __init__(self):
        self.randomness = []  # of the open vmaps: what they were told, and the level if samples run together
        self.reports = []


_state = _State()


@contextmanager
def not_vectorised():
    """Collects, for the block, what vmap could not run for all samples at once: a list of sentences.

    >>> import pullback as torch
    >>> from pullback.func import not_vectorised
    >>> with not_vectorised() as report:
    ...     torch.func.vmap(lambda x: x if x > 0 else -x)(torch.tensor([1.0, -2.0]))
    tensor([1., 2.])
    >>> report
    ['the samples were run in 2 groups: the program looked at a value that differs between them']
    """
    report: list[str] = []
    _state.reports.append(report)
    try:
        yield report
    finally:
        _state.reports.remove(report)


def note(text):
    """Adds a sentence to the reports that are open."""
    for report in _state.reports:
        report.append(text)


def randomness() -> str:
    """What the innermost vmap was told about random numbers."""
    return _state.randomness[-1][0] if _state.randomness else "error"


# ---- what the core asks ----


def _read(t):
    """The value of a batched tensor where all samples agree on it: what a look from Python sees."""
    level, value, _ = levels.layers(t)
    if not level.is_batch:
        return _read(value)
    rows = _read(value) if _core.is_batched(value) else _core.innermost(value)
    rows = rows.detach()
    flat = rows.reshape(level.size, -1).numpy()
    _, which = np.unique(flat, axis=0, return_inverse=True)
    which = which.reshape(-1)
    if which.max(initial=0) > 0:
        raise _Split(level, [np.flatnonzero(which == k) for k in range(which.max() + 1)])
    return rows[0]


def _refuse(reason, in_turn):
    raise _OneByOne(reason, in_turn)


def _looped(op):
    note(f"{op} was run sample by sample: it has no rule for batches")


_core.set_batch_hooks(_read, _refuse, _looped)


def check_random():
    """Before each random operation: whether all open vmaps allow it."""
    if _state.randomness and any(how == "error" for how, _ in _state.randomness):
        raise RuntimeError(
            "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
            "'different' randomness flags on vmap or perform the randomness operation out of vmap"
        )


def own_numbers(shape, dtype):
    """A tensor of which each sample has memory of its own in every vmap whose random numbers differ, and that
    memory."""
    if not _state.randomness:
        return None
    batches = [level for how, level in _state.randomness if how == "different" and level is not None]
    if not batches:
        return None
    memory = seen = _core.empty([*(b.size for b in batches), *shape], dtype)
    for batch in batches:
        seen = _core.add_batch(batch, seen)
    return seen, memory


random.before_use.append(check_random)
random._own_numbers = own_numbers


# ---- one run ----


class _Plan:
    """One call of a vmapped function, ready to run for any part of its samples."""

    def __init__(self, func, name, leaves, dims, size, spec, kwargs, out_dims, randomness):
        self.func, self.name, self.spec, self.kwargs = func, name, spec, kwargs
        self.dims, self.size, self.out_dims, self.randomness = dims, size, out_dims, randomness
        # None and 0 leave an argument as it is.
        self.leaves = [x.movedim(d, 0) if d else x for x, d in zip(leaves, dims)] if any(dims) else leaves
        self.out_spec = self.flat_dims = None
        self.start = random.get_rng_state() if randomness == "same" else None

    def part(self, index):
        """The leaves for some of the samples: None for all, a slice or positions."""
        if index is None:
            return self.leaves
        if not isinstance(index, slice):
            index = _positions(index)
        return [x if d is None else x[index] for x, d in zip(self.leaves, self.dims)]

    def call(self, leaves):
        if self.randomness == "same":
            random.set_rng_state(self.start)
        return self.func(*tree_unflatten(leaves, self.spec), **self.kwargs)

    def together(self, leaves, size):
        """All samples at once: flat outputs with the samples in front, or None for those that all share."""
        with levels.level(True, size) as level, _using(self.randomness, level):
            out, self.out_spec = tree_flatten(self.call(_core.in_batch(level, leaves, self.dims)))
            self.check(out)
            return _core.parted(out, level)

    def check(self, out):
        self.flat_dims = self.flat_out_dims()
        for y, d in zip(out, self.flat_dims):
            if d is not None and not isinstance(y, _core.Tensor):
                raise ValueError(
                    f"vmap({self.name}, ...): `{self.name}` must only return Tensors, got type {type(y)}. "
                    "Did you mean to set out_dims= to None for output?"
                )

    def flat_out_dims(self):
        if type(self.out_dims) is int:
            return [self.out_dims] * self.out_spec.num_leaves
        one = self.out_spec.is_leaf() and isinstance(self.out_dims, tuple) and len(self.out_dims) == 1
        dims = list(self.out_dims) if one else broadcast_to_and_flatten(self.out_dims, self.out_spec)
        if dims is None or not all(d is None or isinstance(d, int) for d in dims):
            _refuse_out_dims(self.name, self.out_dims, self.out_spec)
        return dims

    def run(self, index=None, size=None):
        """Flat outputs for a part of the samples, split into groups where they part ways."""
        size = self.size if size is None else size
        leaves = self.part(index)
        state = random.get_rng_state() if self.randomness == "different" else None
        groups, why, in_turn = None, "", False
        with _journal() as journal:
            try:
                return self.together(leaves, size)
            except _Split as split:
                if split.level.is_open or split.level.size != size:
                    raise  # another vmap's
                groups = split.groups
            except _OneByOne as refused:
                why, in_turn = refused.reason, refused.in_turn
            journal.undo()
        if state is not None:
            random.set_rng_state(state)
        if groups is not None:
            return self.in_groups(index, groups, size)
        if size == 0:
            raise RuntimeError(f"vmap: {why}: that needs at least one sample")
        note(f"the samples were run one by one: {why}")
        return self.one_by_one(leaves, size, in_turn)

    def in_groups(self, index, groups, size):
        note(
            f"the samples were run in {len(groups)} groups: the program looked at a value that differs "
            "between them"
        )
        positions = np.arange(self.size)[index] if isinstance(index, slice) else index
        positions = np.arange(size) if positions is None else positions
        results = []
        for k, g in enumerate(groups):
            with _journal() as journal:
                results.append([(_copy(y), many) for y, many in self.run(positions[g], len(g))])
                if k < len(groups) - 1:
                    journal.undo()
        order = _positions(np.argsort(np.concatenate(groups), kind="stable"))
        return self.joined(results, [len(g) for g in groups], lambda y: y[order])

    def joined(self, results, sizes, arrange):
        out = []
        for parts in zip(*results, strict=True):
            if not isinstance(parts[0][0], _core.Tensor):
                out.append(parts[0])
                continue
            whole = [y if many else y.expand(n, *y.shape) for (y, many), n in zip(parts, sizes)]
            out.append((arrange(f["cat"](whole)), True))
        return out

    def one_by_one(self, leaves, size, in_turn):
        """Each sample sees captured tensors as they were before the call; `in_turn`: as those before it left
        them."""
        results = []
        for k in range(size):
            with _journal() as journal, _using(self.randomness, None):
                one = [x if d is None else x[k] for x, d in zip(leaves, self.dims)]
                out, self.out_spec = tree_flatten(self.call(one))
                self.check(out)
                results.append([(y[None].clone(), True) if _is_tensor(y) else (y, False) for y in out])
                if k < size - 1 and not in_turn:
                    journal.undo()
        return self.joined(results, [1] * size, lambda y: y)

    def in_chunks(self, chunk):
        parts, sizes = [], []
        for start in range(0, self.size, chunk):
            n = min(chunk, self.size - start)
            parts.append(self.run(slice(start, start + n), n))
            sizes.append(n)
        return self.joined(parts, sizes, lambda y: y)

    def finish(self, out):
        placed = [
            y if many and d == 0 else self.placed(y, many, d) for (y, many), d in zip(out, self.flat_dims)
        ]
        return tree_unflatten(placed, self.out_spec)

    def placed(self, y, many, dim):
        if dim is None:
            if many:
                raise ValueError(
                    f"vmap({self.name}, ...): `{self.name}` can not return a BatchedTensor when out_dim "
                    "is None"
                )
            return y
        if not many:
            y = y.expand(self.size, *y.shape)
        if not -y.dim() <= dim < y.dim():
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-y.dim()}, {y.dim() - 1}], but "
                f"got {dim})"
            )
        return y if dim == 0 else y.movedim(0, dim)


def _positions(positions):
    from pullback.from_data import from_numpy

    return from_numpy(np.ascontiguousarray(positions, dtype=np.int64))


def _is_tensor(y):
    return isinstance(y, _core.Tensor)


def _copy(y):
    """A result that later changes of captured tensors do not reach."""
    return y.clone() if _is_tensor(y) else y


class _journal:
    """What is changed in place within the block can be undone."""

    __slots__ = ("_journal",)

    def __enter__(self):
        self._journal = _core.Journal()
        return self._journal

    def __exit__(self, *error):
        self._journal.close()


class _using:
    __slots__ = ("_entry",)

    def __init__(self, randomness, level):
        self._entry = (randomness, level)

    def __enter__(self):
        _state.randomness.append(self._entry)

    def __exit__(self, *error):
        _state.randomness.pop()


# ---- arguments ----


def _refuse_out_dims(name, out_dims, spec):
    flat, structure = tree_flatten(out_dims)
    if any(d is not None and not isinstance(d, int) for d in flat):
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims}): `out_dims` must be an int, None or a python "
            "collection of ints representing where in the outputs the vmapped dimension should appear."
        )
    raise ValueError(
        f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the structure of "
        f"`outputs`. out_dims has structure {structure} but outputs has structure {spec}."
    )


def _checked_dims(name, in_dims, leaves, spec, args):
    def call():
        return f"vmap({name}, in_dims={in_dims}, ...)(<inputs>)"

    if not isinstance(in_dims, (int, tuple)):
        raise ValueError(
            f"{call()}: expected `in_dims` to be int or a (potentially nested) tuple matching the structure "
            f"of inputs, got: {type(in_dims)}.\nGive a tuple with an entry for each argument."
        )
    if not args:
        raise ValueError(
            f"vmap({name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to "
            "vmap over a function with no inputs. The latter is unsupported."
        )
    dims = broadcast_to_and_flatten(in_dims, spec)
    if dims is None:
        raise ValueError(
            f"{call()}: in_dims is not compatible with the structure of `inputs`. in_dims has structure "
            f"{tree_flatten(in_dims)[1]} but inputs has structure {spec}."
        )
    return [None if d is None else _checked_dim(call, x, d) for x, d in zip(leaves, dims)]


def _checked_dim(call, x, dim):
    if not isinstance(dim, int):
        raise ValueError(
            f"{call()}: Got in_dim={dim} for an input but in_dim must be either an integer dimension or None."
        )
    if not isinstance(x, _core.Tensor):
        raise ValueError(
            f"{call()}: Got in_dim={dim} for an input but the input is of type {type(x)}. We cannot vmap "
            "over non-Tensor arguments, please use None as the respective in_dim"
        )
    if isinstance(dim, bool):
        raise TypeError(
            f"size(): argument 'dim' (position 1) must be int, not bool\nGot in_dim={dim}; give 0 or 1."
        )
    ndim = x.dim()
    if not -ndim <= dim < ndim:
        raise ValueError(
            f"{call()}: Got in_dim={dim} for some input, but that input is a Tensor of dimensionality "
            f"{ndim} so expected in_dim to satisfy -{ndim} <= in_dim < {ndim}."
        )
    return dim % ndim


def _checked_size(leaves, dims):
    sizes = [x.shape[d] for x, d in zip(leaves, dims) if d is not None]
    if not sizes:
        raise ValueError(
            "vmap: Expected at least one Tensor to vmap over\nAll in_dims are None: nothing is mapped."
        )
    if len(set(sizes)) > 1:
        raise ValueError(
            f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} "
            "for the mapped dimension"
        )
    return sizes[0]


def check_randomness(how):
    """Raises unless this is something that vmap can be told about random numbers."""
    if how not in ("error", "different", "same"):
        raise RuntimeError(
            f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {how}"
        )


def vmap(func, in_dims=0, out_dims=0, randomness="error", *, chunk_size=None):
    """The function that runs `func`, written for one sample, for all samples along an axis of its arguments.

    in_dims     which axis of each argument holds the samples: an int, None (for all), or a structure of
                them
    out_dims    where the samples' axis goes in each result
    randomness  'error', 'same' (the same numbers for each sample) or 'different'
    chunk_size  how many samples are run at once; None: all
    Gradient    through vmap and inside it, to any order
    Errors      ValueError where in_dims, sizes or outputs do not fit; RuntimeError for random numbers under
                'error'

    Where a function cannot be run for all samples at once, it is run in groups or one by one:
    ``pullback.func.not_vectorised()`` tells.

    >>> import pullback as torch
    >>> torch.func.vmap(torch.dot)(torch.ones(3, 2), torch.ones(3, 2))
    tensor([2., 2., 2.])
    """
    check_randomness(randomness)
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")
    name = function_name(func)

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        return run_batched(func, args, kwargs, name, in_dims, out_dims, randomness, chunk_size)

    return wrapper


def run_batched(func, args, kwargs, name, in_dims=0, out_dims=0, randomness="error", chunk_size=None):
    """What the function that vmap() makes of `func` does."""
    leaves, spec = tree_flatten(args)
    dims = broadcast_to_and_flatten(in_dims, spec) if isinstance(in_dims, (int, tuple)) else None
    size = -1 if dims is None else _core.sample_count(leaves, dims)
    if size < 0:
        dims = _checked_dims(name, in_dims, leaves, spec, args)
        size = _checked_size(leaves, dims)
    plan = _Plan(func, name, leaves, dims, size, spec, kwargs, out_dims, randomness)
    if chunk_size is None or chunk_size >= plan.size:
        return plan.finish(plan.run())
    return plan.finish(plan.in_chunks(chunk_size))
