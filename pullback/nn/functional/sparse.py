"""Look-ups by whole numbers, under the names of torch.nn.functional."""

from __future__ import annotations

from pullback import _api as torch

__all__ = ["embedding", "one_hot"]


def embedding(
    input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False
):
    """The rows of a table, one for each index; the row at padding_idx gets no gradient.

    Shapes    input (*) of integers, weight (n, d) -> (*, d)
    Gradient  weight: g is added into the rows that were read; divided by how often with scale_grad_by_freq
    Errors    IndexError for an index out of range
    Example   >>> F.embedding(torch.tensor([1, 0]), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
              tensor([[3., 4.],
                      [1., 2.]])
    """
    rows = weight.size(0)
    if max_norm is not None:
        raise NotImplementedError("embedding: max_norm is not supported yet; renormalize the weight first")
    if padding_idx is None:
        padding_idx = -1
    elif padding_idx >= 0:
        assert padding_idx < rows, "Padding_idx must be within num_embeddings"
    else:
        assert padding_idx >= -rows, "Padding_idx must be within num_embeddings"
        padding_idx += rows
    return torch.embedding(weight, input, padding_idx, scale_grad_by_freq, sparse)


one_hot = torch.one_hot  # a function of C++ in torch
