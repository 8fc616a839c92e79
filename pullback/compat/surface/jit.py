"""torch.jit for programs that carry its marks: everything runs as the Python that it is.

`script` gives back what it was given, because a scripted function computes what the Python function computes.
`trace`, `save` and `load` would change or lose something and are not offered.
"""

from __future__ import annotations

from typing import Final

from pullback.compat.surface._absent import missing

__all__ = [
    "Final",
    "ScriptFunction",
    "ScriptModule",
    "annotate",
    "export",
    "ignore",
    "is_scripting",
    "is_tracing",
    "script",
    "script_if_tracing",
    "unused",
]


class ScriptModule:
    """The type of a scripted module: a name for `isinstance`, which is False for everything here."""

    def __init__(self, *_args, **_kwargs):
        raise RuntimeError("torch.jit.ScriptModule is not offered\npullback: derive from torch.nn.Module.")


class ScriptFunction:
    """The type of a scripted function: a name for `isinstance`, which is False for everything here."""

    def __init__(self, *_args, **_kwargs):
        raise RuntimeError("torch.jit.ScriptFunction is not offered\npullback: use the Python function.")


RecursiveScriptModule = ScriptModule


def is_scripting() -> bool:
    return False


def is_tracing() -> bool:
    return False


def script(obj, *_args, **_kwargs):
    """The function, class or module itself: it runs as the Python that it is, with the same values."""
    return obj


def script_if_tracing(fn):
    """The function itself: nothing is being traced."""
    return fn


def export(fn):
    """The function itself."""
    return fn


def ignore(drop=False, **_kwargs):
    """The function itself. Also as `@ignore(drop=True)`."""
    return drop if callable(drop) else (lambda fn: fn)


def unused(fn):
    """The function itself."""
    return fn


def annotate(the_type, the_value):
    """The value."""
    return the_value


__getattr__ = missing("torch.jit")
