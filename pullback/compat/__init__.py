"""What torch has besides tensors and mathematics, and the way to run torch programs on pullback.

`as_torch()` makes `import torch` mean pullback in this process; `attribute(name)` finds the parts of torch's
surface that only say "CPU" (`cuda`, `backends`, `jit`, `version`, ...). Nothing here is imported before it is
asked for.
"""

from __future__ import annotations

__all__ = ["as_torch", "attribute"]


def as_torch():
    """Presents pullback as `torch` in this process, and returns that module.

    Errors    ImportError if the real torch was imported before: half a program on each would mix two kinds of
              tensors
    Example   >>> import pullback
              >>> torch = pullback.as_torch()
              >>> torch.__version__
              '2.13.0+pullback'
    """
    from pullback.compat.runner import install

    return install()


def attribute(name: str):
    """`pullback.<name>` for a name that pullback itself does not define: part of torch's surface or an error.

    The error is torch's, followed by the way round where there is one.
    """
    from importlib import import_module

    from pullback.compat import aliases

    if name in aliases.SURFACE:
        return import_module(f"pullback.compat.surface.{name}")
    if name in aliases.RENAMED:
        return import_module(aliases.RENAMED[name])
    raise AttributeError(aliases.missing_attribute("torch", name))
