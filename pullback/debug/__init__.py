"""Finding faults: which line saved or changed a tensor, and which operation made the first nan."""

from pullback.debug.watches import locations, nonfinite

__all__ = ["locations", "nonfinite"]
