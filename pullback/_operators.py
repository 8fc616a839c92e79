"""Where the native operator slots look for the public function of an operator."""

from pullback.trace.tracer import functions

__all__ = ["functions"]
