"""pullback.nn.utils: clipping gradients, parameters as one vector."""

from pullback import _on_demand
from pullback.nn.utils import clip_grad, convert_parameters
from pullback.nn.utils.clip_grad import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from pullback.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad",
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "convert_parameters",
    "get_total_norm",
    "parameters_to_vector",
    "vector_to_parameters",
]

__getattr__, __dir__ = _on_demand.parts(__name__, modules=("stateless",))  # it stands on func
