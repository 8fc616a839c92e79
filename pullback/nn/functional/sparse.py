"""Look-ups by whole numbers, under the names of torch.nn.functional."""

from __future__ import annotations

from pullback import _api as torch

__all__ = ["embedding", "one_hot"]


def embedding(
    input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False
):
    """The rows of a table, one for each index; the row at padding_idx gets no gradient."""
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


def one_hot(tensor, num_classes=-1):
    """Zeros with a one at each index, along a new last axis."""
    return torch.one_hot(tensor, num_classes)
