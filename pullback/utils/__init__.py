"""Helpers that belong to no single part of the library."""

import importlib

from pullback.utils import data, hooks

__all__ = ["checkpoint", "data", "hooks"]


def __getattr__(name):
    # Loaded when asked for: it stands on autograd, which itself stands on the hooks.
    if name == "checkpoint":
        return importlib.import_module("pullback.utils.checkpoint")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
