"""pullback.nn.functional: the functions behind the layers, under torch's names."""

from pullback import overrides as _overrides
from pullback.nn.functional.activation import *  # noqa: F403
from pullback.nn.functional.activation import __all__ as _activation
from pullback.nn.functional.attention import *  # noqa: F403
from pullback.nn.functional.attention import __all__ as _attention
from pullback.nn.functional.dropout import *  # noqa: F403
from pullback.nn.functional.dropout import __all__ as _dropout
from pullback.nn.functional.linear import *  # noqa: F403
from pullback.nn.functional.linear import __all__ as _linear
from pullback.nn.functional.loss import *  # noqa: F403
from pullback.nn.functional.loss import __all__ as _loss
from pullback.nn.functional.norm import *  # noqa: F403
from pullback.nn.functional.norm import __all__ as _norm
from pullback.nn.functional.sparse import *  # noqa: F403
from pullback.nn.functional.sparse import __all__ as _sparse

__all__ = sorted([*_activation, *_attention, *_dropout, *_linear, *_loss, *_norm, *_sparse])

_overrides.ask_first(globals(), called=_overrides.FUNCTIONAL)
