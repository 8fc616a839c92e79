"""Helpers that belong to no single part of the library."""

from pullback.utils import data, hooks

__all__ = ["data", "hooks"]
