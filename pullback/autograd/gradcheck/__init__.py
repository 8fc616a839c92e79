"""gradcheck and gradgradcheck: derivatives held against differences of the function."""

from pullback._on_demand import on_demand

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

__getattr__, __dir__ = on_demand(__name__, names={"checks": __all__})
