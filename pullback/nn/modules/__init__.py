"""torch.nn.modules: the layers and losses under the names of the modules where torch keeps them.

The modules of that name are those that hold the code; where that is several, one that has what all of them
do.
"""

import sys
from importlib import import_module
from types import ModuleType

from pullback import nn
from pullback.nn import *  # noqa: F403
from pullback.nn import container, loss, module
from pullback.nn.layers import activation, attention, batchnorm, dropout, linear, normalization, shape, sparse

__all__ = list(nn.__all__)

_HOMES = {
    "activation": (activation, attention),
    "batchnorm": (batchnorm,),
    "container": (container,),
    "dropout": (dropout,),
    "flatten": (shape,),
    "instancenorm": (batchnorm,),
    "linear": (linear,),
    "loss": (loss,),
    "module": (module,),
    "normalization": (normalization,),
    "sparse": (sparse,),
    "utils": (import_module(f"{__name__}.utils"),),  # not nn.utils
}


def _together(name, homes):
    if len(homes) == 1:
        return homes[0]
    found = ModuleType(f"{__name__}.{name}", f"torch.nn.modules.{name}.")
    for home in homes:
        found.__dict__.update((k, v) for k, v in vars(home).items() if not k.startswith("__"))
    return found


for _name, _modules in _HOMES.items():
    globals()[_name] = sys.modules[f"{__name__}.{_name}"] = _together(_name, _modules)
