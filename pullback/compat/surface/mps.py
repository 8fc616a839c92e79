"""torch.mps on a machine without it: questions are answered with no."""

from __future__ import annotations

from pullback.compat.surface._absent import missing


def is_available() -> bool:
    """False: pullback runs on CPUs."""
    return False


def device_count() -> int:
    """0: pullback runs on CPUs."""
    return 0


def _is_in_bad_fork() -> bool:
    return False


def manual_seed(seed: int) -> None:
    """No device, no stream of random numbers: nothing to do."""
    int(seed)


def empty_cache() -> None:
    """Nothing to do."""


__getattr__ = missing("torch.mps")
