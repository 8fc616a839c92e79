"""Transformations of functions: derivatives, batches, and modules as functions."""

from pullback.func.forward import hessian, jacfwd, jvp, linearize
from pullback.func.modules import functional_call, stack_module_state
from pullback.func.reverse import grad, grad_and_value, jacrev, vjp
from pullback.func.vmap import not_vectorised, vmap

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "not_vectorised",
    "stack_module_state",
    "vjp",
    "vmap",
]
