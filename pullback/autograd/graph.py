"""The graph as Python sees it."""

from pullback._core import Node

__all__ = ["Node"]
