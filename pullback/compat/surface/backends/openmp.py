"""torch.backends.openmp: absent; pullback has a pool of threads of its own."""


def is_available() -> bool:
    """False: pullback has a pool of threads of its own."""
    return False
