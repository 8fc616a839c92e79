"""The names that errors of calls say: of the class that users see, not of one that shares its code."""

from __future__ import annotations

from types import FunctionType


def part_of(name):
    """Has the methods of a class go by the name of the class that it is a part of."""

    def rename(cls):
        for member in vars(cls).values():
            if isinstance(member, FunctionType):
                member.__qualname__ = f"{name}.{member.__name__}"
        return cls

    return rename


class SharedInit:
    """For classes whose subclasses share its __init__: each has it as its own."""

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        for base in cls.__bases__:
            if SharedInit in base.__bases__ and "__init__" not in vars(cls):
                f = base.__init__
                cls.__init__ = FunctionType(
                    f.__code__, f.__globals__, "__init__", f.__defaults__, f.__closure__
                )
                cls.__init__.__qualname__ = f"{cls.__qualname__}.__init__"
