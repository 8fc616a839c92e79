"""torch.cuda on a machine without it: questions are answered with no, demands fail as in its CPU build."""

from __future__ import annotations

from pullback.compat.surface._absent import Unusable, missing, not_compiled

default_generators: tuple = ()
has_half = False


def is_available() -> bool:
    """False: pullback runs on CPUs."""
    return False


def device_count() -> int:
    """0: pullback runs on CPUs."""
    return 0


def is_initialized() -> bool:
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    return False


def _is_compiled() -> bool:
    return False


def _is_in_bad_fork() -> bool:
    return False


def manual_seed(seed: int) -> None:
    """No device, no stream of random numbers: silently nothing, as in torch."""
    int(seed)


manual_seed_all = manual_seed


def seed() -> None:
    """Silently nothing, as in torch."""


def empty_cache() -> None:
    """Silently nothing, as in torch."""


seed_all = seed


def memory_allocated(device=None) -> int:
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def get_arch_list() -> list[str]:
    return []


def get_rng_state_all() -> list:
    return []


class Stream(Unusable):
    """A name for annotations."""


class Event(Unusable):
    """A name for annotations."""


class FloatTensor(Unusable):
    """A name for annotations."""


class DoubleTensor(Unusable):
    """A name for annotations."""


class HalfTensor(Unusable):
    """A name for annotations."""


class LongTensor(Unusable):
    """A name for annotations."""


class ByteTensor(Unusable):
    """A name for annotations."""


class device:
    """Chooses nothing, as `torch.cuda.device` does without a device."""

    def __init__(self, device=None):
        self.device = device

    def __enter__(self):
        return None

    def __exit__(self, *_exception):
        return False


current_device = current_stream = default_stream = init = ipc_collect = synchronize = not_compiled
get_device_capability = get_device_name = get_device_properties = not_compiled
get_rng_state = set_rng_state = initial_seed = mem_get_info = set_device = stream = not_compiled
reset_peak_memory_stats = not_compiled
__getattr__ = missing("torch.cuda")
