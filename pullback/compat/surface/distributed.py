"""torch.distributed: not offered, and says so to programs that ask first."""

from __future__ import annotations

from pullback.compat.surface._absent import missing


def is_available() -> bool:
    """False: there is one process."""
    return False


def is_initialized() -> bool:
    """False: there is one process."""
    return False


__getattr__ = missing("torch.distributed")
