"""Random numbers: torch's stream for the same seed."""

from __future__ import annotations

import warnings

import numpy as np

from pullback import _core
from pullback.creation import empty, empty_like, from_numpy, sizes_of
from pullback.types import CPU, check_device

Tensor = _core.Tensor


class Generator:
    """A stream of random numbers of its own.

    >>> import pullback as torch
    >>> g = torch.Generator().manual_seed(0)
    >>> torch.rand(2, generator=g)
    tensor([0.4963, 0.7682])
    """

    def __init__(self, device="cpu", *, _native=None):
        check_device(device)
        self._native = _native if _native is not None else _core._Generator()

    @property
    def device(self):
        return CPU

    def manual_seed(self, seed):
        if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool):
            raise RuntimeError(f"manual_seed expected a long, but got {type(seed).__name__}")
        self._native.manual_seed(_seed(int(seed)))
        return self

    def seed(self):
        return self._native.seed()

    def initial_seed(self):
        return self._native.initial_seed()

    def get_state(self):
        return from_numpy(np.frombuffer(bytearray(self._native.get_state()), dtype=np.uint8))

    def set_state(self, new_state):
        if not isinstance(new_state, Tensor):
            raise TypeError(f"expected a torch.ByteTensor, but got {type(new_state).__name__}")
        if new_state.dtype != _core.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        self._native.set_state(new_state.contiguous().numpy().tobytes())
        return self

    def clone_state(self):
        g = Generator()
        g._native.set_state(self._native.get_state())
        return g

    def __reduce__(self):
        return (_rebuild_generator, (self._native.get_state(),))


Generator.__module__ = "torch"


def _rebuild_generator(state):
    g = Generator()
    g._native.set_state(state)
    return g


default_generator = Generator(_native=_core.default_generator())


def _seed(seed: int) -> int:
    if not -(2**63) <= seed < 2**64:
        raise ValueError("Overflow when unpacking long long")
    return seed % 2**64


def _of(generator):
    if generator is None:
        return default_generator._native
    if not isinstance(generator, Generator):
        raise TypeError(f"argument 'generator' must be torch.Generator, not {type(generator).__name__}")
    return generator._native


def manual_seed(seed) -> Generator:
    """Starts the default stream again from a seed, and returns its generator."""
    default_generator._native.manual_seed(_seed(int(seed)))
    return default_generator


def seed() -> int:
    """Starts the default stream from a seed of the system's, and returns it."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default stream was started from."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default stream's state; torch reads the same bytes."""
    return default_generator.get_state()


def set_rng_state(new_state) -> None:
    """Puts the default stream back to a state."""
    default_generator.set_state(new_state)


def _made(t, requires_grad):
    return t.requires_grad_() if requires_grad else t


def rand(*size, generator=None, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Uniform in [0, 1)."""
    t = empty(*size, dtype=dtype, device=device)
    _core.fill_uniform(t, _of(generator), 0.0, 1.0)
    return _made(t, requires_grad)


def randn(*size, generator=None, out=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Standard normal."""
    t = empty(*size, dtype=dtype, device=device)
    _core.fill_normal(t, _of(generator), 0.0, 1.0)
    return _made(t, requires_grad)


def rand_like(input, *, generator=None, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None):
    """Uniform in [0, 1), in the shape of another tensor."""
    t = empty_like(input, dtype=dtype, memory_format=memory_format)
    _core.fill_uniform(t, _of(generator), 0.0, 1.0)
    return _made(t, requires_grad)


def randn_like(input, *, generator=None, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None):
    """Standard normal, in the shape of another tensor."""
    t = empty_like(input, dtype=dtype, memory_format=memory_format)
    _core.fill_normal(t, _of(generator), 0.0, 1.0)
    return _made(t, requires_grad)


def randint(low, high=None, size=None, *, generator=None, out=None, dtype=None, layout=None, device=None,
            requires_grad=False):  # fmt: skip
    """Integers in [low, high)."""
    if size is None:
        low, high, size = 0, low, high
    check_device(device)
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    t = empty(tuple(size), dtype=dtype or _core.int64)
    _core.fill_randint(t, _of(generator), low, high)
    return _made(t, requires_grad)


def randint_like(input, low, high=None, *, dtype=None, **options):
    """Integers in [low, high), in the shape of another tensor."""
    if high is None:
        low, high = 0, low
    return randint(low, high, tuple(input.shape), dtype=dtype or input.dtype, **options)


def randperm(n, *, generator=None, out=None, dtype=None, layout=None, device=None, requires_grad=False,
             pin_memory=False):  # fmt: skip
    """A random order of 0 .. n-1."""
    if n < 0:
        raise RuntimeError("n must be non-negative, got", n)
    t = empty(n, dtype=dtype or _core.int64)
    _core.fill_randperm(t, _of(generator))
    return _made(t, requires_grad)


def normal(mean=0.0, std=1.0, size=None, *, generator=None, out=None, dtype=None, device=None, requires_grad=False):
    """Normal with given means and standard deviations (numbers or tensors)."""
    if size is not None:
        t = empty(tuple(size), dtype=dtype, device=device)
        _core.fill_normal(t, _of(generator), float(mean), float(std))
        return _made(t, requires_grad)
    if isinstance(std, Tensor) and bool((std < 0).any()):
        raise RuntimeError("normal expects all elements of std >= 0.0")
    if isinstance(mean, Tensor) and isinstance(std, Tensor):
        t = empty((mean + std).shape, dtype=mean.dtype)
    else:
        t = empty_like(mean if isinstance(mean, Tensor) else std)
    if isinstance(std, Tensor):
        _core.fill_normal(t, _of(generator), 0.0, 1.0)
        t = t * std.detach() + (mean.detach() if isinstance(mean, Tensor) else mean)
        return t
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    _core.fill_normal(t, _of(generator), 0.0, float(std))
    return t + mean.detach()


def bernoulli(input, p=None, *, generator=None, out=None):
    """Ones with the probabilities in `input` (or p everywhere)."""
    t = empty_like(input)
    return bernoulli_(t, input if p is None else p, generator=generator)


def multinomial(input, num_samples, replacement=False, *, generator=None, out=None):
    """Indices drawn with the weights in each row."""
    if input.dim() not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > input.shape[-1]:
        raise RuntimeError("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    return _core.multinomial(input.detach().contiguous(), _of(generator), num_samples, replacement)


# ---- in place ----


def _fill(self, fill, generator, *args):
    self._check_writable()
    if self.is_non_overlapping_and_dense():
        fill(self.detach(), _of(generator), *args)
    else:
        t = _core.empty(list(self.shape), self.dtype)
        fill(t, _of(generator), *args)
        self._take_elements(t)
    return self


def uniform_(self, from_=0, to=1, *, generator=None, **named):
    from_ = named.get("from", from_)
    if from_ > to:
        raise RuntimeError(f"uniform_ expects to return a [from, to) range, but found from={from_} > to={to}")
    return _fill(self, _core.fill_uniform, generator, float(from_), float(to))


def normal_(self, mean=0, std=1, *, generator=None):
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    return _fill(self, _core.fill_normal, generator, float(mean), float(std))


def random_(self, from_=None, to=None, *, generator=None, **named):
    from_ = named.get("from", from_)
    if from_ is None and to is None:
        return _fill(self, _core.fill_random, generator)
    if to is None:
        from_, to = 0, from_
    if from_ >= to:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={from_} >= to={to}")
    if not _core.randint_is_exact(self.dtype, from_, to):
        warnings.warn(f"to - 1 is out of bounds for {self.dtype}", UserWarning, stacklevel=2)
    return _fill(self, _core.fill_randint, generator, from_, to)


def bernoulli_(self, p=0.5, *, generator=None):
    if isinstance(p, Tensor):
        p = p.detach()
        if bool(((p < 0) | (p > 1)).any()):
            raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
        if self.is_contiguous():
            return _fill(self, _core.fill_bernoulli_tensor, generator, p.expand(self.shape).contiguous())
        t = _core.empty(list(self.shape), self.dtype)
        _core.fill_bernoulli_tensor(t, _of(generator), p.expand(self.shape).contiguous())
        return self._take_elements(t)
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p}")
    return _fill(self, _core.fill_bernoulli, generator, float(p))


def exponential_(self, lambd=1, *, generator=None):
    if lambd <= 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
    return _fill(self, _core.fill_exponential, generator, float(lambd))


def geometric_(self, p, *, generator=None):
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    return _fill(self, _core.fill_geometric, generator, float(p))


def cauchy_(self, median=0, sigma=1, *, generator=None):
    return _fill(self, _core.fill_cauchy, generator, float(median), float(sigma))


def log_normal_(self, mean=1, std=2, *, generator=None):
    return _fill(self, _core.fill_log_normal, generator, float(mean), float(std))


in_place = [uniform_, normal_, random_, bernoulli_, exponential_, geometric_, cauchy_, log_normal_]
