"""torch.backends.mkl: absent; products come from OpenBLAS or pullback's own kernels."""


def is_available() -> bool:
    """False: products come from OpenBLAS or pullback's own kernels."""
    return False
