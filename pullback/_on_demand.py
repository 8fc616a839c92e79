"""Parts of a package that are imported when somebody first asks for them (PEP 562).

A module costs a tenth of a millisecond or more to import; a program should pay for those that it uses.
Only what others can do without may wait: a module that fills a table which is read elsewhere is imported at
once, or brought by the first reader of the table.
"""

from __future__ import annotations

import sys
from importlib import import_module

__all__ = ["parts"]


def parts(package, modules=(), names=None, otherwise=None):
    """A package's `__getattr__` and `__dir__`, with the parts that wait.

    modules    submodules that are attributes of the package
    names      submodule, an attribute too -> the names that it defines for the package
    otherwise  asked for every other name; without it that is an AttributeError
    """
    names = names or {}
    homes = {name: f"{package}.{module}" for module, found in names.items() for name in found}
    modules = {*modules, *names} - homes.keys()  # a function hides the module of its name

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
