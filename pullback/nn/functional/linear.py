"""Products with a weight matrix."""

from __future__ import annotations

from pullback import _api as torch

__all__ = ["bilinear", "linear"]


linear, bilinear = torch.linear, torch.bilinear  # functions of C++ in torch, under both names
