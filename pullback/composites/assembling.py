"""Other ways of cutting up, turning and joining tensors, all by the ops of shape.py."""

from __future__ import annotations

from pullback.composites.shape import _flat, atleast_2d, function, hstack, tensor_split
from pullback.primitives.registry import public
from pullback.trace.tracer import functions as f


@function
def atleast_3d(*tensors):
    """Tensors with at least three axes."""

    def three(t):
        if t.dim() == 0:
            return t.reshape(1, 1, 1)
        if t.dim() == 1:
            return t.unsqueeze(0).unsqueeze(-1)
        return t.unsqueeze(-1) if t.dim() == 2 else t

    out = tuple(three(t) for t in _flat(tensors))
    return out if len(out) > 1 else out[0]


def dstack(tensors, *, out=None):
    """Puts tensors behind each other, along the third axis."""
    return f["cat"]([atleast_3d(t) for t in tensors], 2)


def column_stack(tensors, *, out=None):
    """Puts tensors side by side as columns."""
    return hstack([t.reshape(t.numel(), 1) if t.dim() <= 1 else t for t in tensors])


def block_diag(*tensors):
    """The matrices along the diagonal of one, zeros elsewhere."""
    rows = [atleast_2d(t) for t in tensors]
    width = sum(t.size(1) for t in rows)
    out, left = [], 0
    for t in rows:
        parts = [t.new_zeros(t.size(0), left), t, t.new_zeros(t.size(0), width - left - t.size(1))]
        out.append(f["cat"]([p for p in parts if p.size(1)] or [t], 1))
        left += t.size(1)
    return f["cat"](out, 0)


def _axis_split(name, axis, least):
    def cut(input, indices_or_sections):
        if input.dim() < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension{'s' if least > 1 else ''}, "
                f"but got a tensor with {input.dim()} dimensions!"
            )
        dim = 0 if name == "hsplit" and input.dim() == 1 else axis
        if isinstance(indices_or_sections, int) and input.size(dim) % max(indices_or_sections, 1):
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension "
                f"{input.size(dim)} is not divisible by the split_size {indices_or_sections}!"
            )
        return tensor_split(input, indices_or_sections, dim)

    cut.__name__ = name
    cut.__doc__ = f"tensor_split() along axis {axis}."
    return function(cut)


hsplit, vsplit, dsplit = _axis_split("hsplit", 1, 1), _axis_split("vsplit", 0, 2), _axis_split("dsplit", 2, 3)


@function
def fliplr(input):
    """Left and right swapped."""
    if input.dim() < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return f["flip"](input, (1,))


@function
def flipud(input):
    """Up and down swapped."""
    if input.dim() < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return f["flip"](input, (0,))


@function
def rot90(input, k=1, dims=(0, 1)):
    """Turned by k quarters in the plane of two axes."""
    a, b = dims
    k %= 4
    if k == 1:
        return f["transpose"](f["flip"](input, (b,)), a, b)
    if k == 2:
        return f["flip"](input, tuple(dims))
    if k == 3:
        return f["transpose"](f["flip"](input, (a,)), a, b)
    return f["_clone"](input)


@function
def diag_embed(input, offset=0, dim1=-2, dim2=-1):
    """Matrices with the last axis along a diagonal."""
    n = input.dim() + 1
    a, b = dim1 % n, dim2 % n
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    size = input.size(-1) + abs(offset)
    sizes = list(input.shape[:-1])
    for axis in sorted((a, b)):
        sizes.insert(axis, size)
    return f["_diagonal_backward"](input, sizes, offset, a, b)


@function
def diag(input, diagonal=0):
    """The diagonal of a matrix, or the matrix that has a vector there."""
    if input.dim() == 1:
        return diag_embed(input, diagonal)
    if input.dim() != 2:
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.dim()}D")
    return f["_clone"](f["diagonal"](input, diagonal))


@function
def unsafe_split(tensor, split_size, dim=0):
    """split() whose results are no views of each other to torch; here the same as split()."""
    return f["split"](tensor, split_size, dim)


@function
def unsafe_chunk(input, chunks, dim=0):
    """chunk() whose results are no views of each other to torch; here the same as chunk()."""
    return f["chunk"](input, chunks, dim)


f.update(atleast_3d=atleast_3d)
public.update(dstack=dstack, column_stack=column_stack, block_diag=block_diag)
