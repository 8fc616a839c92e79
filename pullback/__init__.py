"""pullback: automatic differentiation and training, with PyTorch's eager API.

>>> import pullback as torch
>>> x = torch.tensor([1.0, 2.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4.])

In the examples of all docstrings `torch` is this package, `nn` its nn and `F` its nn.functional.
"""

# The order of these imports matters, and most names are imported to be found here.
# ruff: noqa: E402, F401, I001

from __future__ import annotations

from pullback import _core, _api, errors

globals().update(
    {n: v for n, v in vars(_api).items() if not n.startswith("_") and n not in ("annotations", "os")}
)
from pullback.from_data import tensor
from pullback import autograd, debug, linalg, random, utils
from pullback.compat import as_torch
from pullback import _on_demand
from pullback import overrides

overrides._install()
__version__ = "0.1.0"


def _attribute(name):
    if name.startswith("__"):
        raise AttributeError(f"module 'pullback' has no attribute '{name}'")
    from pullback.compat import attribute

    return attribute(name)


__getattr__, __dir__ = _on_demand.parts(
    __name__, modules=("nn", "optim"), names={"func": ("vmap",)}, otherwise=_attribute
)
__all__ = [n for n in __dir__() if not n.startswith("_")]
