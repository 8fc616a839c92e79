"""Filling tensors with starting values, in place and outside the graph."""

from __future__ import annotations

import functools
import math
import warnings

import numpy as np

from pullback import _api as torch

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_GAINS = {"tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 3.0 / 4}
_LINEAR = ("linear", "sigmoid", *(f"conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3)))


def calculate_gain(nonlinearity, param=None):
    """The factor that keeps the variance of activations through ``nonlinearity``; ``param`` is a leaky
    slope.

    Errors    ValueError for an unknown name
    Example   >>> nn.init.calculate_gain("tanh")
              1.6666666666666667
    """
    if nonlinearity in _LINEAR:
        return 1
    for name, gain in _GAINS.items():  # compared, not looked up: it may be anything
        if nonlinearity == name:
            return gain
    if nonlinearity != "leaky_relu":
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}")
    if param is None:
        slope = 0.01
    elif isinstance(param, (int, float)) and not isinstance(param, bool):
        slope = param
    else:
        raise ValueError(f"negative_slope {param} not a valid number")
    return math.sqrt(2.0 / (1 + slope**2))


def _calculate_fan_in_and_fan_out(tensor):
    """(inputs, outputs) that meet in one element; axes from the third on are a receptive field."""
    if tensor.dim() < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    field = math.prod(tensor.shape[2:])
    return tensor.size(1) * field, tensor.size(0) * field


def _calculate_correct_fan(tensor, mode):
    mode = mode.lower()
    modes = ["fan_in", "fan_out"]
    if mode not in modes:
        raise ValueError(f"Mode {mode} not supported, please use one of {modes}")
    return _calculate_fan_in_and_fan_out(tensor)[modes.index(mode)]


def uniform_(tensor, a=0.0, b=1.0, generator=None):
    """Uniform values in [a, b).

    Shapes    tensor (*) -> itself; not recorded
    Example   >>> w = nn.init.uniform_(torch.empty(1000), -1.0, 1.0)
              >>> bool(w.min() >= -1.0 and w.max() < 1.0)
              True
    """
    with torch.no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor, mean=0.0, std=1.0, generator=None):
    """Normal values with this mean and standard deviation.

    Shapes    tensor (*) -> itself; not recorded
    Example   >>> nn.init.normal_(torch.empty(2, 3)).shape
              torch.Size([2, 3])
    """
    with torch.no_grad():
        return tensor.normal_(mean, std, generator=generator)


def constant_(tensor, val):
    """``val`` everywhere.

    Shapes    tensor (*) -> itself; not recorded
    Example   >>> nn.init.constant_(torch.empty(2), 0.5)
              tensor([0.5000, 0.5000])
    """
    with torch.no_grad():
        return tensor.fill_(val)


def ones_(tensor):
    """1 everywhere.

    Shapes    tensor (*) -> itself; not recorded
    Example   >>> nn.init.ones_(torch.empty(2))
              tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


def zeros_(tensor):
    """0 everywhere.

    Shapes    tensor (*) -> itself; not recorded
    Example   >>> nn.init.zeros_(torch.empty(2))
              tensor([0., 0.])
    """
    with torch.no_grad():
        return tensor.zero_()


def _normal_cdf(x):
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0


def _redraw_outside(tensor, mean, std, a, b, generator):
    """Normal values; those that fall outside [a, b] are drawn again until none is left."""
    # The limits are compared as the tensor's dtype holds them.
    low, high = tensor.new_tensor(a).item(), tensor.new_tensor(b).item()
    values = tensor.normal_(mean, std, generator=generator)
    outside = (values < low) | (values > high)
    while outside.any():
        values = torch.where(
            outside, torch.empty_like(values).normal_(mean, std, generator=generator), values
        )
        outside = (values < low) | (values > high)
    if values is not tensor:
        tensor.copy_(values)


def _accept_uniform(tensor, mean, std, a, b, generator):
    """Uniform values in [a, b], each kept with the probability density there over the density's maximum."""
    log_peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2
    scratch, chance = torch.empty_like(tensor), torch.empty_like(tensor)

    def refused(candidates):
        log_density = scratch.copy_(candidates).sub_(mean).div_(std).pow_(2).mul_(-0.5).sub_(log_peak)
        return chance.uniform_(generator=generator).log_().gt(log_density)

    values = tensor.uniform_(a, b, generator=generator)
    open_ = refused(values)
    while open_.any():
        values = torch.where(open_, scratch.uniform_(a, b, generator=generator), values)
        open_ = open_ & refused(values)
    if values is not tensor:
        tensor.copy_(values)


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0, generator=None):
    """Normal values cut off outside [a, b], by rejection: torch's draws for the same seed.

    Shapes    tensor (*) -> itself; not recorded
    Example   >>> bool(nn.init.trunc_normal_(torch.empty(1000)).abs().max() <= 2.0)
              True
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of "
            "values may be incorrect.",
            stacklevel=2,
        )
    inside = _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std)
    with torch.no_grad():
        # Where the interval holds little of the distribution, redrawing would take too many rounds.
        fill = _redraw_outside if inside > 0.3 else _accept_uniform
        fill(tensor, mean, std, a, b, generator)
    return tensor


def eye_(tensor):
    """The identity matrix, also for matrices that are not square.

    Shapes    tensor (n, m) -> itself; not recorded
    Errors    ValueError for another rank
    Example   >>> nn.init.eye_(torch.empty(2, 3))
              tensor([[1., 0., 0.],
                      [0., 1., 0.]])
    """
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    with torch.no_grad():
        torch.eye(*tensor.shape, out=tensor, requires_grad=tensor.requires_grad)
    return tensor


def dirac_(tensor, groups=1):
    """The convolution kernel that passes its input on, for as many channels as there are.

    Shapes    tensor (out, in, *kernel) with one to three axes of the kernel -> itself; not recorded
    Errors    ValueError for another rank, or where the groups do not divide the first axis
    Example   >>> nn.init.dirac_(torch.empty(1, 1, 3))
              tensor([[[0., 1., 0.]]])
    """
    dimensions = tensor.ndimension()
    if dimensions not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    channels = tensor.size(0)
    if channels % groups != 0:
        raise ValueError("dim 0 must be divisible by groups")
    per_group = channels // groups
    centre = tuple(size // 2 for size in tensor.shape[2:])
    with torch.no_grad():
        tensor.zero_()
        for group in range(groups):
            for channel in range(min(per_group, tensor.size(1))):
                tensor[(group * per_group + channel, channel, *centre)] = 1
    return tensor


def xavier_uniform_(tensor, gain=1.0, generator=None):
    """Uniform values whose variance is gain^2 * 2 / (fan_in + fan_out) (Glorot & Bengio, AISTATS 2010).

    Shapes    tensor (out, in, *) -> itself; not recorded
    Errors    ValueError for fewer than two axes
    Example   >>> w = nn.init.xavier_uniform_(torch.empty(2, 4))
              >>> bool(w.abs().max() <= 1.0)
              True
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    bound = math.sqrt(3.0) * (gain * math.sqrt(2.0 / float(fan_in + fan_out)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor, gain=1.0, generator=None):
    """Normal values whose variance is gain^2 * 2 / (fan_in + fan_out) (Glorot & Bengio, AISTATS 2010).

    Shapes    tensor (out, in, *) -> itself; not recorded
    Errors    ValueError for fewer than two axes
    Example   >>> nn.init.xavier_normal_(torch.empty(2, 4)).shape
              torch.Size([2, 4])
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / float(fan_in + fan_out)), generator)


def _kaiming_std(tensor, a, mode, nonlinearity):
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _warn_if_empty(tensor):
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return True
    return False


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Uniform values whose variance is gain^2 / fan (He et al., ICCV 2015).

    Shapes    tensor (out, in, *) -> itself; not recorded
    Errors    ValueError for fewer than two axes or an unknown mode
    Example   >>> w = nn.init.kaiming_uniform_(torch.empty(2, 6), nonlinearity="relu")
              >>> bool(w.abs().max() <= 1.0)
              True
    """
    if _warn_if_empty(tensor):
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Normal values whose variance is gain^2 / fan (He et al., ICCV 2015).

    Shapes    tensor (out, in, *) -> itself; not recorded
    Errors    ValueError for fewer than two axes or an unknown mode
    Example   >>> nn.init.kaiming_normal_(torch.empty(2, 6), mode="fan_out").shape
              torch.Size([2, 6])
    """
    if _warn_if_empty(tensor):
        return tensor
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor, gain=1, generator=None):
    """A (semi-)orthogonal matrix, drawn uniformly (Saxe et al., ICLR 2014); later axes count as columns.

    Shapes    tensor (n, *) -> itself; not recorded
    Errors    ValueError for fewer than two axes
    Example   >>> w = nn.init.orthogonal_(torch.empty(2, 3))
              >>> torch.allclose(w @ w.T, torch.eye(2), atol=1e-6)
              True
    """
    if tensor.ndimension() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.size(0)
    columns = tensor.numel() // rows
    with torch.no_grad():
        flat = torch.empty(rows, columns, dtype=tensor.dtype).normal_(0, 1, generator=generator)
        q, r = map(torch.from_numpy, np.linalg.qr((flat.t() if rows < columns else flat).numpy()))
        # The signs of r's diagonal make the draw uniform over orthogonal matrices.
        q = q * torch.diag(r).sign()
        if rows < columns:
            q = q.t()
        tensor.view(rows, columns).copy_(q)
        return tensor.mul_(gain)


def sparse_(tensor, sparsity, std=0.01, generator=None):
    """Normal values with the fraction ``sparsity`` of each column set to zero (Martens, ICML 2010).

    Shapes    tensor (n, m) -> itself; not recorded
    Errors    ValueError for another rank
    Example   >>> (nn.init.sparse_(torch.empty(4, 3), sparsity=0.5) == 0).sum(0)
              tensor([2, 2, 2])
    """
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with torch.no_grad():
        tensor.normal_(0, std, generator=generator)
        for column in range(columns):
            # No generator here: torch draws the positions from the default one.
            tensor[torch.randperm(rows)[:zeros], column] = 0
    return tensor


def _deprecated(function):
    new = function.__name__
    old = new[:-1]

    @functools.wraps(function)
    def call(*args, **kwargs):
        warnings.warn(
            f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.", FutureWarning, stacklevel=2
        )
        return function(*args, **kwargs)

    call.__name__ = old
    call.__doc__ = f"The old name of :func:`{new}`."
    return call


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)
