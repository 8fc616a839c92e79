"""torch.backends.cudnn: absent; its switches keep what they are given and change nothing."""

from __future__ import annotations

from contextlib import contextmanager

enabled = True
benchmark = False
benchmark_limit: int | None = None
deterministic = False
allow_tf32 = True


def is_available() -> bool:
    """False: pullback runs on CPUs."""
    return False


def version() -> None:
    """None: not there."""


@contextmanager
def flags(
    enabled=False,
    benchmark=False,
    benchmark_limit=10,
    deterministic=False,
    allow_tf32=True,
    fp32_precision="none",
):
    """Accepted and without effect."""
    yield
