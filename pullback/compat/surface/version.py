"""torch.version: the release whose names and values pullback follows, and no accelerator."""

from __future__ import annotations

import re

from pullback.compat.aliases import TORCH_VERSION

__all__ = ["TorchVersion", "cuda", "debug", "git_version", "hip", "xpu"]


def _release(version: object) -> tuple[int, ...]:
    """(2, 13, 0) of "2.13.0+pullback" or of (2, 13): what versions are compared by; no trailing zeros."""
    if isinstance(version, str):
        match = re.match(r"\s*v?(\d+(?:\.\d+)*)", version)
        if match is None:
            raise ValueError(f"Invalid version: '{version}'")
        numbers = [int(n) for n in match[1].split(".")]
    else:
        numbers = [int(n) for n in version]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


class TorchVersion(str):
    """A version that compares by its numbers: with another, with a text, with a tuple.

    Only the numbers count; what follows them ("+pullback", "rc1") does not.
    """

    __slots__ = ()

    def __eq__(self, other):
        if isinstance(other, str) and str.__eq__(self, other):
            return True
        return self._compare(other, lambda a, b: a == b)

    def __ne__(self, other):
        return not self == other

    def __lt__(self, other):
        return self._compare(other, lambda a, b: a < b)

    def __le__(self, other):
        return self._compare(other, lambda a, b: a <= b)

    def __gt__(self, other):
        return self._compare(other, lambda a, b: a > b)

    def __ge__(self, other):
        return self._compare(other, lambda a, b: a >= b)

    __hash__ = str.__hash__

    def _compare(self, other, holds):
        if not isinstance(other, (str, tuple, list)):
            return NotImplemented
        try:
            return holds(_release(str(self)), _release(other))
        except (TypeError, ValueError):
            return NotImplemented


__version__ = TorchVersion(f"{TORCH_VERSION}+pullback")
debug = False
cuda: str | None = None
hip: str | None = None
xpu: str | None = None
git_version = "Unknown"
