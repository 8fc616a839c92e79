"""torch.nn.utils.stateless: the older home of functional_call."""

from __future__ import annotations

import warnings

from pullback import func
from pullback.func.modules import swapped

__all__ = ["functional_call"]


def _reparametrize_module(
    module, parameters_and_buffers, tie_weights=False, strict=False, stack_weights=False
):
    """A context: the module with other tensors in the places of its parameters and buffers."""
    return swapped(module, parameters_and_buffers, tie_weights, strict)


def _functional_call(
    module, parameters_and_buffers, args=None, kwargs=None, *, tie_weights=True, strict=False
):
    return func.functional_call(
        module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict
    )


def functional_call(
    module, parameters_and_buffers, args=None, kwargs=None, *, tie_weights=True, strict=False
):
    """torch.func.functional_call(), under its deprecated name.

    Gradient  flows to the given tensors
    Errors    as torch.func.functional_call(); a FutureWarning

    >>> import pullback as torch
    >>> from pullback.nn.utils import stateless
    >>> m = torch.nn.Linear(2, 1, bias=False)
    >>> stateless.functional_call(m, {"weight": torch.ones(1, 2)}, torch.ones(2))
    tensor([2.])
    """
    warnings.warn(
        "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 "
        "and will be removed in a future version of PyTorch. "
        "Please use `torch.func.functional_call` instead which is a drop-in replacement.",
        FutureWarning,
        stacklevel=2,
    )
    return _functional_call(
        module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict
    )
