"""torch.accelerator: there is none."""

from __future__ import annotations

from pullback.compat.surface._absent import missing


def is_available() -> bool:
    """False: pullback runs on CPUs."""
    return False


def device_count() -> int:
    """0: pullback runs on CPUs."""
    return 0


def current_accelerator(check_available: bool = False) -> None:
    """None: pullback runs on CPUs."""


__getattr__ = missing("torch.accelerator")
