"""Helpers that belong to no single part of the library."""

from pullback import _on_demand
from pullback.utils import hooks

__all__ = ["checkpoint", "data", "hooks"]

# checkpoint also stands on autograd, which itself stands on the hooks.
__getattr__, __dir__ = _on_demand.parts(__name__, modules=("checkpoint", "data"))
