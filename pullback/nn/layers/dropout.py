"""Dropout layers: random zeros while training, nothing in evaluation."""

from __future__ import annotations

from pullback.nn import functional as F
from pullback.nn.module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _DropoutNd(Module):
    __constants__ = ["p", "inplace"]

    def __init__(self, p=0.5, inplace=False):
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self):
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """Zeroes each element with probability p and scales the others by 1 / (1 - p).

    Shapes    (*) -> (*)
    Errors    ValueError for p outside [0, 1]
    Source    Srivastava et al., JMLR 2014
    Example   >>> layer = nn.Dropout(0.5)
              >>> set(layer(torch.ones(100)).tolist()) == {0.0, 2.0}
              True
              >>> layer.eval()(torch.ones(3))
              tensor([1., 1., 1.])
    """

    def forward(self, input):
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """Dropout of whole channels of (N, C, L).

    Shapes    (N, C, L) or (C, L) -> the same
    Example   >>> nn.Dropout1d().eval()(torch.ones(1, 2, 3)).shape
              torch.Size([1, 2, 3])
    """

    def forward(self, input):
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """Dropout of whole channels of (N, C, H, W).

    Shapes    (N, C, H, W) -> the same
    Example   >>> out = nn.Dropout2d()(torch.ones(1, 8, 2, 2))
              >>> (out == out[:, :, :1, :1]).all()
              tensor(True)
    """

    def forward(self, input):
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """Dropout of whole channels of (N, C, D, H, W).

    Shapes    (N, C, D, H, W) or (C, D, H, W) -> the same
    Example   >>> nn.Dropout3d()(torch.ones(1, 2, 3, 3, 3)).shape
              torch.Size([1, 2, 3, 3, 3])
    """

    def forward(self, input):
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """Dropout that keeps the mean and variance of selu networks.

    Shapes    (*) -> (*)
    Source    Klambauer et al., NeurIPS 2017
    Example   >>> nn.AlphaDropout().eval()(torch.ones(3))
              tensor([1., 1., 1.])
    """

    def forward(self, input):
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_DropoutNd):
    """AlphaDropout of whole channels.

    Shapes    (N, C, *) -> the same
    Example   >>> nn.FeatureAlphaDropout()(torch.ones(1, 2, 3)).shape
              torch.Size([1, 2, 3])
    """

    def forward(self, input):
        return F.feature_alpha_dropout(input, self.p, self.training)
