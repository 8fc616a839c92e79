"""Transformations of functions: derivatives, batches, and modules as functions."""

from pullback.func.forward import hessian, jacfwd, jvp, linearize
from pullback.func.modules import functional_call, replace_all_batch_norm_modules_, stack_module_state
from pullback.func.plain import debug_unwrap, functionalize
from pullback.func.reverse import grad, grad_and_value, jacrev, vjp
from pullback.func.vmap import not_vectorised, vmap

__all__ = [
    "debug_unwrap",
    "functional_call",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "not_vectorised",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "vjp",
    "vmap",
]
