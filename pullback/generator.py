"""Streams of random numbers: the generator, the default one, and its seed and state."""

from __future__ import annotations

import contextlib

import numpy as np

from pullback import _core
from pullback.arguments import kind_name, only_argument
from pullback.creation import from_numpy
from pullback.types import CPU, check_device
from pullback.types import device as device_type

Tensor = _core.Tensor


class Generator:
    """A stream of random numbers of its own.

    >>> import pullback as torch
    >>> g = torch.Generator().manual_seed(0)
    >>> torch.rand(2, generator=g)
    tensor([0.4963, 0.7682])
    """

    __module__ = "torch._C"

    def __init__(self, /, *args, _native=None, **named):
        if args or named:
            from pullback.refusal import checked

            checked("Generator", args, named)
        device = args[0] if args else named.get("device")
        device = CPU if device is None else device
        if device_type(device).type == "cuda":
            raise RuntimeError(
                "Cannot get CUDA generator without ATen_cuda library.\npullback runs on CPUs only."
            )
        check_device(device)
        self._native = _native if _native is not None else _core._Generator()

    @property
    def device(self):
        """Where it lies: on the CPU.

        Example   >>> torch.Generator().device
                  device(type='cpu')
        """
        return CPU

    @only_argument("Generator.manual_seed", of=1)
    def manual_seed(self, seed):
        """Starts the stream again from a seed, and returns the generator.

        Errors    ValueError for a seed of more than 64 bits; RuntimeError for what is no int
        Example   >>> torch.Generator().manual_seed(3).initial_seed()
                  3
        """
        if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool):
            raise RuntimeError(f"manual_seed expected a long, but got {kind_name(seed)}")
        self._native.manual_seed(_seed(int(seed)))
        return self

    def seed(self):
        """Starts the stream from a seed of the system's, and returns it.

        Example   >>> g = torch.Generator()
                  >>> g.seed() == g.initial_seed()
                  True
        """
        return self._native.seed()

    def initial_seed(self):
        """The seed that the stream was started from.

        Example   >>> torch.Generator().manual_seed(3).initial_seed()
                  3
        """
        return self._native.initial_seed()

    def get_state(self):
        """The state as bytes; torch reads the same.

        Shapes    -> (5056), uint8
        Example   >>> torch.Generator().get_state().shape
                  torch.Size([5056])
        """
        return from_numpy(np.frombuffer(bytearray(self._native.get_state()), dtype=np.uint8))

    @only_argument("Generator.set_state", of=1)
    def set_state(self, new_state):
        """Puts the stream back to a state.

        Errors    TypeError for what is no uint8 tensor; RuntimeError for one of another size
        Example   >>> a, b = torch.Generator().manual_seed(3), torch.Generator()
                  >>> _ = b.set_state(a.get_state())
                  >>> torch.equal(torch.rand(2, generator=a), torch.rand(2, generator=b))
                  True
        """
        if not isinstance(new_state, Tensor):
            raise TypeError(f"expected a torch.ByteTensor, but got {kind_name(new_state)}")
        if new_state.dtype != _core.uint8:
            raise TypeError("RNG state must be a torch.ByteTensor")
        self._native.set_state(new_state.contiguous().numpy().tobytes())
        return self

    def clone_state(self):
        """Another generator at the same place of the stream.

        Example   >>> a = torch.Generator().manual_seed(3)
                  >>> b = a.clone_state()
                  >>> torch.equal(torch.rand(2, generator=a), torch.rand(2, generator=b))
                  True
        """
        g = Generator()
        g._native.set_state(self._native.get_state())
        return g

    def __reduce__(self):
        return (_rebuild_generator, (self._native.get_state(),))


Generator.__module__ = "torch._C"


def _rebuild_generator(state):
    g = Generator()
    g._native.set_state(state)
    return g


default_generator = Generator(_native=_core.default_generator())


def _seed(seed: int) -> int:
    if not -(2**63) <= seed < 2**64:
        raise ValueError("Overflow when unpacking long long")
    return seed % 2**64


def manual_seed(seed) -> Generator:
    """Starts the default stream again from a seed, and returns its generator.

    Errors    ValueError for a seed of more than 64 bits
    Example   >>> import pullback as torch
              >>> torch.manual_seed(7).initial_seed()
              7
    """
    default_generator._native.manual_seed(_seed(int(seed)))
    return default_generator


def seed() -> int:
    """Starts the default stream from a seed of the system's, and returns it.

    Example   >>> g = torch.Generator()
              >>> g.seed() == g.initial_seed()
              True
    """
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default stream was started from.

    Example   >>> _ = torch.manual_seed(7)
              >>> torch.initial_seed()
              7
    """
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The default stream's state; torch reads the same bytes.

    Shapes    -> (5056), uint8
    Example   >>> import pullback as torch
              >>> state = torch.get_rng_state()
              >>> x = torch.rand(2)
              >>> torch.set_rng_state(state)
              >>> torch.equal(x, torch.rand(2))
              True
    """
    return default_generator.get_state()


def set_rng_state(new_state) -> None:
    """Puts the default stream back to a state.

    Errors    TypeError for what is no uint8 tensor; RuntimeError for one of another size
    Example   >>> state = torch.get_rng_state()
              >>> a = torch.rand(2)
              >>> torch.set_rng_state(state)
              >>> torch.equal(a, torch.rand(2))
              True
    """
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(devices=None, enabled=True, **_):
    """Within the block, random numbers leave the default stream as it was.

    Example   >>> _ = torch.manual_seed(0)
              >>> with torch.random.fork_rng():
              ...     _ = torch.rand(5)
              >>> torch.rand(1)
              tensor([0.4963])
    """
    state = get_rng_state() if enabled else None
    try:
        yield
    finally:
        if enabled:
            set_rng_state(state)
