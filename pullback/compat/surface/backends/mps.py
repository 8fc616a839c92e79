"""torch.backends.mps: absent."""


def is_available() -> bool:
    """False: pullback runs on CPUs."""
    return False


def is_built() -> bool:
    """False: pullback runs on CPUs."""
    return False
