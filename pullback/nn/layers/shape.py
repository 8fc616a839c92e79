"""Layers that change the shape only."""

from __future__ import annotations

from pullback.nn.module import Module

__all__ = ["Flatten", "Unflatten"]


class Flatten(Module):
    """Joins the axes from start_dim to end_dim into one.

    Shapes    (N, a, b) -> (N, a b)
    Example   >>> nn.Flatten()(torch.ones(2, 3, 4)).shape
              torch.Size([2, 12])
    """

    __constants__ = ["start_dim", "end_dim"]

    def __init__(self, start_dim=1, end_dim=-1):
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input):
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Splits the axis ``dim`` into axes of these sizes.

    Shapes    (N, a b) -> (N, a, b), for dim=1
    Errors    TypeError for sizes that are no integers
    Example   >>> nn.Unflatten(1, (3, 4))(torch.ones(2, 12)).shape
              torch.Size([2, 3, 4])
    """

    __constants__ = ["dim", "unflattened_size"]

    def __init__(self, dim, unflattened_size):
        super().__init__()
        if not isinstance(unflattened_size, (tuple, list)):
            raise TypeError(
                f"unflattened_size must be a tuple of ints, but found type {type(unflattened_size).__name__}"
            )
        for position, size in enumerate(unflattened_size):
            if not isinstance(size, int):
                raise TypeError(
                    "unflattened_size must be tuple of ints, but found element of type "
                    f"{type(size).__name__} at pos {position}"
                )
        self.dim = dim
        self.unflattened_size = unflattened_size

    def forward(self, input):
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self):
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
