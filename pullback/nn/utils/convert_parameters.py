"""All parameters as one vector, and back."""

from __future__ import annotations

from pullback import _api as torch
from pullback.tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters):
    """The elements of all parameters, one after the other.

    Gradient  for every parameter
    Example   >>> import pullback as torch
              >>> layer = torch.nn.Linear(2, 3)
              >>> torch.nn.utils.parameters_to_vector(layer.parameters()).shape
              torch.Size([9])
    """
    return torch.cat([p.view(-1) for p in parameters])


def vector_to_parameters(vec, parameters):
    """Makes the elements of a vector the parameters' data, in the order of parameters_to_vector().

    The parameters share the vector's memory afterwards.

    Errors    TypeError for what is no tensor
    Example   >>> layer = nn.Linear(1, 1)
              >>> nn.utils.vector_to_parameters(torch.tensor([2.0, 0.5]), layer.parameters())
              >>> layer(torch.ones(1))
              tensor([2.5000], grad_fn=<ViewBackward0>)
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {torch.typename(vec)}")
    start = 0
    for p in parameters:
        p.data = vec[start : start + p.numel()].view_as(p).data
        start += p.numel()
