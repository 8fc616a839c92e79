"""Layers that normalize channels over a batch or a sample, and keep running statistics."""

from __future__ import annotations

from pullback import _api as torch
from pullback.nn import functional as F
from pullback.nn import init
from pullback.nn.module import Module
from pullback.nn.parameter import Parameter

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
]


class _NormBase(Module):
    """Parameters and running statistics of channels."""

    _version = 2  # of the state: since 2 it counts batches
    __constants__ = ["track_running_stats", "momentum", "eps", "num_features", "affine"]
    ranks: tuple = ()

    def __init__(self, num_features, eps, momentum, affine, track_running_stats, bias, options):
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            self.register_parameter(name, Parameter(torch.empty(num_features, **options)) if wanted else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", torch.zeros(num_features, **options) if tracked else None)
        self.register_buffer("running_var", torch.ones(num_features, **options) if tracked else None)
        self.register_buffer("num_batches_tracked", torch.tensor(0, dtype=torch.long) if tracked else None)
        self.reset_parameters()

    def reset_running_stats(self):
        """Statistics of no batch: means of zero, variances of one."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self):
        """Weights of one, biases of zero, statistics of no batch."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input_dim(self, input):
        if input.dim() not in self.ranks:
            expected = " or ".join(f"{n}D" for n in self.ranks)
            raise ValueError(f"expected {expected} input (got {input.dim()}D input)")

    def extra_repr(self):
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
        version = local_metadata.get("version")
        key = prefix + "num_batches_tracked"
        if (version is None or version < 2) and self.track_running_stats and key not in state_dict:
            state_dict[key] = self.num_batches_tracked
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class _BatchNorm(_NormBase):
    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        options = {"device": device, "dtype": dtype}
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias, options)

    def forward(self, input):
        self._check_input_dim(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the plain average of all batches
                momentum = 1.0 / float(self.num_batches_tracked)
        by_batch = self.training or (self.running_mean is None and self.running_var is None)
        kept = not self.training or self.track_running_stats
        return F.batch_norm(
            input,
            self.running_mean if kept else None,
            self.running_var if kept else None,
            self.weight,
            self.bias,
            by_batch,
            momentum,
            self.eps,
        )


class BatchNorm1d(_BatchNorm):
    """Normalizes each channel over the batch; in evaluation mode by running statistics.

    Shapes    (N, C) or (N, C, L)  ->  the same
    Errors    ValueError for inputs of another rank, or of one value a channel while training
    Source    Ioffe & Szegedy, ICML 2015
    Example   >>> layer = nn.BatchNorm1d(1)
              >>> layer(torch.tensor([[1.0], [3.0]])).flatten()
              tensor([-1.0000,  1.0000], grad_fn=<ViewBackward0>)
              >>> layer.running_mean, layer.running_var
              (tensor([0.2000]), tensor([1.1000]))
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """BatchNorm1d for inputs (N, C, H, W).

    Shapes    (N, C, H, W) -> the same
    Errors    ValueError for inputs of another rank
    Example   >>> nn.BatchNorm2d(3)(torch.ones(2, 3, 4, 4)).shape
              torch.Size([2, 3, 4, 4])
    """

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """BatchNorm1d for inputs (N, C, D, H, W).

    Shapes    (N, C, D, H, W) -> the same
    Errors    ValueError for inputs of another rank
    Example   >>> nn.BatchNorm3d(3)(torch.ones(2, 3, 4, 4, 4)).shape
              torch.Size([2, 3, 4, 4, 4])
    """

    ranks = (5,)


class _InstanceNorm(_NormBase):
    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=False,
        track_running_stats=False,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        options = {"device": device, "dtype": dtype}
        super().__init__(num_features, eps, momentum, affine, track_running_stats, bias, options)

    def forward(self, input):
        self._check_input_dim(input)
        alone = input.dim() == self.ranks[0]
        batch = input.unsqueeze(0) if alone else input
        out = F.instance_norm(
            batch,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return out.squeeze(0) if alone else out


class InstanceNorm1d(_InstanceNorm):
    """Normalizes each channel of each sample.

    Shapes    (N, C, L) or (C, L)  ->  the same
    Errors    ValueError for inputs of another rank
    Source    Ulyanov, Vedaldi & Lempitsky, 2016
    Example   >>> nn.InstanceNorm1d(1)(torch.tensor([[[1.0, 3.0]]]))
              tensor([[[-1.0000,  1.0000]]])
    """

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """InstanceNorm1d for inputs (N, C, H, W) or (C, H, W).

    Shapes    (N, C, H, W) or (C, H, W) -> the same
    Errors    ValueError for inputs of another rank
    Example   >>> nn.InstanceNorm2d(3)(torch.ones(2, 3, 4, 4)).shape
              torch.Size([2, 3, 4, 4])
    """

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """InstanceNorm1d for inputs (N, C, D, H, W) or (C, D, H, W).

    Shapes    (N, C, D, H, W) or (C, D, H, W) -> the same
    Errors    ValueError for inputs of another rank
    Example   >>> nn.InstanceNorm3d(3)(torch.ones(2, 3, 4, 4, 4)).shape
              torch.Size([2, 3, 4, 4, 4])
    """

    ranks = (4, 5)
