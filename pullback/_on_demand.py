"""Parts of a package that are imported when somebody first asks for them (PEP 562).

Importing pullback costs about a tenth of a millisecond a module, whatever is in it; so what a plain training
program does not use waits here. Only modules that register nothing for others may wait.
"""

from __future__ import annotations

import sys
from importlib import import_module

__all__ = ["on_demand"]


def on_demand(package, modules=(), names=None, otherwise=None):
    """A package's `__getattr__` and `__dir__`, with the parts that wait.

    modules    submodules that are attributes of the package
    names      submodule -> the names that it defines for the package
    otherwise  asked for every other name; without it that is an AttributeError
    """
    homes = {name: f"{package}.{module}" for module, found in (names or {}).items() for name in found}

    def find(name):
        if name in modules:
            return import_module(f"{package}.{name}")
        if name in homes:
            value = getattr(import_module(homes[name]), name)
            setattr(sys.modules[package], name, value)  # found at once from now on
            return value
        if otherwise is not None:
            return otherwise(name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def directory():
        return sorted({*vars(sys.modules[package]), *modules, *homes})

    return find, directory
