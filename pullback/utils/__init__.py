"""Helpers that belong to no single part of the library."""

from pullback._on_demand import on_demand
from pullback.utils import hooks

__all__ = ["checkpoint", "data", "hooks"]

# checkpoint also stands on autograd, which itself stands on the hooks.
__getattr__, __dir__ = on_demand(__name__, modules=("checkpoint", "data"))
