"""Tensors brought to a common shape."""

from __future__ import annotations

import warnings

from pullback.arguments import all_tensors
from pullback.composites.shape import flat, function
from pullback.errors import ShapeError
from pullback.primitives.registry import public
from pullback.trace.tracer import functions as f
from pullback.types import Size


@function
def expand_as(input, other):
    """Expanded to the shape of another tensor.

    Shapes    input (a, 1), other (a, n) -> (a, n): a view
    Gradient  summed over the repeated axes
    Errors    ShapeError where an axis that is not 1 would change
    Example   >>> torch.ones(2, 1).expand_as(torch.zeros(2, 3)).shape
              torch.Size([2, 3])
    """
    return f["expand"](input, tuple(other.shape))


@function
def view_as(input, other):
    """Under the shape of another tensor.

    Shapes    input (*), other (*o) -> (*o), with as many elements: a view
    Gradient  g in the shape of the input
    Errors    ShapeError where the number of elements differs
    Example   >>> torch.arange(4).view_as(torch.ones(2, 2))
              tensor([[0, 1],
                      [2, 3]])
    """
    return f["_view"](input, tuple(other.shape))


@function
def reshape_as(input, other):
    """Reshaped to the shape of another tensor.

    Shapes    input (*), other (*o) -> (*o), with as many elements
    Gradient  g in the shape of the input
    Errors    ShapeError where the number of elements differs
    Example   >>> torch.arange(4).reshape_as(torch.ones(2, 2))
              tensor([[0, 1],
                      [2, 3]])
    """
    return f["reshape"](input, tuple(other.shape))


@function
def broadcast_to(input, *sizes, size=None):
    """Expanded to a shape.

    Shapes    input (a, 1), size (a, n) -> (a, n): a view
    Gradient  summed over the repeated axes
    Errors    ShapeError where an axis that is not 1 would change
    Example   >>> torch.broadcast_to(torch.tensor([1, 2]), (2, 2))
              tensor([[1, 2],
                      [1, 2]])
    """
    return f["expand"](input, *sizes) if size is None else f["expand"](input, size)


def broadcast_shapes(*shapes):
    """The shape that results from broadcasting shapes together.

    Shapes    a, b, ... -> broadcast(a, b, ...)
    Gradient  none: it takes shapes, not tensors
    Errors    ShapeError where they do not broadcast
    Example   >>> torch.broadcast_shapes((2, 1), (3,))
              torch.Size([2, 3])
    """
    out = []
    for given in shapes:
        shape = [given] if isinstance(given, int) else list(given)
        while len(out) < len(shape):
            out.insert(0, 1)
        for k in range(1, len(shape) + 1):
            if shape[-k] != 1 and shape[-k] != out[-k]:
                if out[-k] != 1:
                    at = next(i for i, s in enumerate(shapes) if s is given)
                    raise ShapeError(
                        f"Attempting to broadcast a dimension of length {shape[-k]} at {-k}! Mismatching "
                        f"argument at index {at} had {given}; but expected shape should be broadcastable to "
                        f"{out}"
                    )
                out[-k] = shape[-k]
    return Size(out)


def pair_shape(a, b):
    """The common shape of two shapes, or the error that the sum of such tensors would give."""
    x, y = tuple(a), tuple(b)
    for k in range(1, min(len(x), len(y)) + 1):
        if x[-k] != y[-k] and 1 not in (x[-k], y[-k]):
            raise ShapeError(
                f"The size of tensor a ({int(x[-k])}) must match the size of tensor b ({int(y[-k])}) at "
                f"non-singleton dimension {max(len(x), len(y)) - k}"
            )
    return broadcast_shapes(x, y)


def broadcast_tensors(*tensors):
    """All tensors expanded to their common shape.

    Shapes    (*a), (*b), ... -> all broadcast(a, b, ...): views
    Gradient  summed over the repeated axes
    Errors    ShapeError where they do not broadcast
    Example   >>> torch.broadcast_tensors(torch.ones(2, 1), torch.ones(3))[1].shape
              torch.Size([2, 3])
    """
    if not tensors:
        return ()
    all_tensors(tensors)
    shape = (
        pair_shape(*(t.shape for t in tensors))
        if len(tensors) == 2
        else broadcast_shapes(*(tuple(t.shape) for t in tensors))
    )
    return tuple(t if tuple(t.shape) == tuple(shape) else f["expand"](t, shape) for t in tensors)


def meshgrid(*tensors, indexing=None):
    """Coordinate grids of several 1-dim tensors.

    Shapes    (a), (b), ... -> all (a, b, ...); (b, a, ...) with indexing="xy": views
    Gradient  summed over the repeated axes
    Errors    RuntimeError for another indexing, or no tensors
    Example   >>> torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")[1]
              tensor([[0, 1, 2],
                      [0, 1, 2]])
    """
    tensors = all_tensors(flat(tensors))
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList\nGive one tensor for each axis.")
    if indexing is None:
        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.",
            UserWarning,
            stacklevel=2,
        )
    elif indexing not in ("xy", "ij"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    swap = indexing == "xy" and len(tensors) > 1
    if swap:
        tensors = (tensors[1], tensors[0], *tensors[2:])
    shape = tuple(t.numel() for t in tensors)
    out = []
    for k, x in enumerate(tensors):
        view = [1] * len(shape)
        view[k] = shape[k]
        out.append(x.reshape(view).expand(shape))
    if swap:
        out = [out[1], out[0], *out[2:]]
    return tuple(out)


public.update(broadcast_shapes=broadcast_shapes, broadcast_tensors=broadcast_tensors, meshgrid=meshgrid)
f["broadcast_tensors"] = broadcast_tensors
