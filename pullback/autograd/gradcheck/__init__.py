"""gradcheck and gradgradcheck: derivatives held against differences of the function."""

from pullback import _on_demand

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

__getattr__, __dir__ = _on_demand.parts(__name__, names={"checks": __all__})
