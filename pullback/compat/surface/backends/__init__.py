"""torch.backends: switches that programs set without asking. They keep their values and change nothing."""

from __future__ import annotations

from pullback.compat.surface._absent import missing
from pullback.compat.surface.backends import cuda, cudnn, mkl, mkldnn, mps, openmp

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]
__getattr__ = missing("torch.backends")
