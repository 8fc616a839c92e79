"""What is below the transformations: debug_unwrap, functionalize."""

from __future__ import annotations

import functools

from pullback import _core
from pullback.func import levels

_KINDS = ("mutations", "mutations_and_views")


def functionalize(func, *, remove="mutations"):
    """A function with the same results as func.

    Errors    RuntimeError for another `remove` than torch's two

    Changes in place are recorded as new values, and every transformation takes them, so that there is
    nothing to remove: func runs as it is.

    >>> import pullback as torch
    >>> torch.func.functionalize(lambda x: x.clone().mul_(2))(torch.ones(2))
    tensor([2., 2.])
    """
    if remove not in _KINDS:
        raise RuntimeError(
            f"functionalize(f, remove='mutations'): received invalid argument for remove={remove}. Valid "
            "options are:\n     remove='mutations': all inplace and out= operators will be removed from the "
            "program f, and replaced with their functional equivalents.\n     "
            "remove='mutations_and_views': In addition to the above, all aliasing operators {view} will be "
            "replaced with their functional {view}_copy equivalents."
        )

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        return func(*args, **kwargs)

    return wrapper


def debug_unwrap(tensor, *, recurse=True):
    """What lies under the newest transformation of a tensor, or under all of them: to be looked at.

    Shapes    as the tensor, with the axes of the batches that were taken off
    Gradient  none is promised for what is done with the result

    >>> import pullback as torch
    >>> from pullback.func import debug_unwrap, vmap
    >>> vmap(lambda x: (print(debug_unwrap(x).shape), x)[1])(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    torch.Size([2, 3])
    """
    top = levels.layers(tensor)
    while top is not None:
        tensor = top[1]
        if not recurse:
            return tensor
        top = levels.layers(tensor)
    return tensor.detach() if _core.scopes(tensor) and levels.inside_transform() else tensor
