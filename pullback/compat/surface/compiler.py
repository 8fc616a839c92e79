"""torch.compiler: nothing is being compiled, and its marks on functions change nothing."""

from __future__ import annotations

from pullback.compat.surface._absent import missing


def is_compiling() -> bool:
    return False


is_dynamo_compiling = is_exporting = is_compiling


def disable(fn=None, recursive: bool = True, *, reason: str | None = None):
    """The function itself: it runs eagerly anyway. Also as `@disable()`."""
    return (lambda f: f) if fn is None else fn


def allow_in_graph(fn):
    """The function itself: there is no graph to allow it in."""
    return fn


def reset() -> None:
    """No cache of compiled code, nothing to forget."""


__getattr__ = missing("torch.compiler")
