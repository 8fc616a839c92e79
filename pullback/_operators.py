"""Where the native operator slots look for the public function of an operator.

A table of its own: those written in Python become callables that ask first (pullback/overrides.py).
"""

from pullback.trace.tracer import functions as _known

__all__ = ["functions"]

functions = dict(_known)
