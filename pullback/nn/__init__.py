"""pullback.nn: modules, layers and losses under torch's names."""

from pullback import _on_demand
from pullback.nn import functional, init, parameter, utils
from pullback.nn.container import *  # noqa: F403
from pullback.nn.layers.activation import *  # noqa: F403
from pullback.nn.layers.attention import *  # noqa: F403
from pullback.nn.layers.batchnorm import *  # noqa: F403
from pullback.nn.layers.dropout import *  # noqa: F403
from pullback.nn.layers.linear import *  # noqa: F403
from pullback.nn.layers.normalization import *  # noqa: F403
from pullback.nn.layers.shape import *  # noqa: F403
from pullback.nn.layers.sparse import *  # noqa: F403
from pullback.nn.loss import *  # noqa: F403
from pullback.nn.module import Module
from pullback.nn.parameter import Buffer, Parameter

__all__ = ["Buffer", "Module", "Parameter", "functional", "init", "parameter", "utils"]
__all__ += [name for name in dir() if name[0].isupper() and name not in __all__]

__getattr__, __dir__ = _on_demand.parts(__name__, modules=("modules",))  # where torch keeps its layers
