"""Normalization under the names of torch.nn.functional."""

from __future__ import annotations

from pullback import _api as torch
from pullback.errors import DtypeError, ShapeError
from pullback.trace.tracer import functions as f

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "normalize", "rms_norm"]


def _check_normalized(input, normalized_shape, star):
    shape, rank = tuple(normalized_shape), input.dim()
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, "
            "but got normalized_shape = []"
        )
    if rank < len(shape) or input.shape[rank - len(shape) :] != shape:
        sizes = ", ".join(map(str, shape))
        raise ShapeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*{star}{sizes}], "
            f"but got input of size{list(input.shape)}\n"
            "The last axes of the input must have the sizes that are normalized over."
        )
    return shape


def _check_like_normalized(name, tensor, shape):
    if tensor is not None and tensor.shape != shape:
        raise ShapeError(
            f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
            f"{list(tensor.shape)} and normalized_shape = {list(shape)}"
        )


def _check_types(input, weight, kernel):
    if not input.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"{kernel}\" not implemented for '{input.dtype._legacy.removesuffix('Tensor').title()}'\n"
            "Convert the input with .float()."
        )
    if weight is not None and weight.dtype != input.dtype:
        raise DtypeError(
            "mixed dtype (CPU): all inputs must share same datatype.\n"
            f"The input is {input.dtype}, the weight {weight.dtype}."
        )


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-05):
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axes (Ba, Kiros & Hinton, 2016).

    Shapes    input (*, normalized_shape), weight and bias normalized_shape  ->  input's
    Gradient  for input, weight and bias
    Errors    ShapeError, RuntimeError for shapes that do not fit; NotImplementedError for whole numbers,
              DtypeError for mixed ones
    Example   >>> import pullback as torch
              >>> torch.nn.functional.layer_norm(torch.tensor([1.0, 3.0]), (2,))
              tensor([-1.0000,  1.0000])
    """
    shape = _check_normalized(input, normalized_shape, ", ")
    _check_like_normalized("weight", weight, shape)
    _check_like_normalized("bias", bias, shape)
    _check_types(input, weight, "LayerNormKernelImpl")
    return f["_layer_norm"](input, len(shape), weight, bias, float(eps))


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """x / sqrt(mean(x^2) + eps) * weight over the last axes (Zhang & Sennrich, NeurIPS 2019).

    `eps` is the smallest step of the type, unless given.

    Shapes    input (*, normalized_shape), weight normalized_shape -> input's
    Gradient  for input and weight
    Errors    ShapeError, RuntimeError for shapes that do not fit
    Example   >>> F.rms_norm(torch.tensor([3.0, 4.0]), (2,))
              tensor([0.8485, 1.1314])
    """
    shape = _check_normalized(input, normalized_shape, "")
    _check_like_normalized("weight", weight, shape)
    eps = torch.finfo(input.dtype).eps if eps is None else eps
    dims = tuple(range(input.dim() - len(shape), input.dim()))
    out = input * (input.pow(2).mean(dims, keepdim=True) + eps).rsqrt()
    return out if weight is None else out * weight


def _check_values(size, message="value per channel"):
    count = size[0]
    for s in size[2:]:
        count *= s
    if count == 1:
        raise ValueError(f"Expected more than 1 {message} when training, got input size {size}")


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-05):
    """Normalizes each group of channels of each sample (Wu & He, 2018).

    Shapes    input (N, C, *), weight and bias (C)  ->  input's
    Errors    RuntimeError, ShapeError for channels that the groups do not divide, and other weights
    Gradient  for input, weight and bias
    Example   >>> F.group_norm(torch.tensor([[1.0, 3.0, 10.0, 30.0]]), 2)
              tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """
    if input.dim() < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.dim()}")
    n, channels = input.shape[:2]
    per_group = [n * channels // num_groups, num_groups, *input.shape[2:]]
    if per_group[0] * _count(per_group[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {list(input.shape)}"
        )
    if channels % num_groups:
        raise ShapeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} and num_groups={num_groups}"
        )
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and (tensor.dim() != 1 or tensor.numel() != channels):
            raise ShapeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, but got "
                f"{name} of shape {list(tensor.shape)} and input of shape {list(input.shape)}"
            )
    _check_types(input, weight, "GroupNormKernelImpl")
    return f["_group_norm"](input, num_groups, weight, bias, float(eps))


def _count(sizes):
    n = 1
    for s in sizes:
        n *= s
    return n


def _check_channels(channels, **tensors):
    for name, tensor in tensors.items():
        if tensor is not None and tensor.numel() != channels:
            raise ShapeError(f"{name} should contain {channels} elements not {tensor.numel()}")


def batch_norm(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-05
):
    """Normalizes each channel over the batch (Ioffe & Szegedy, ICML 2015), or by running statistics.

    While training, the running statistics (where given) move towards the batch's by ``momentum``, in place.

    Shapes    input (N, C, *), the others (C)  ->  input's
    Gradient  for input, weight and bias
    Errors    ValueError for one value a channel; RuntimeError, ShapeError for missing or other statistics
    Example   >>> F.batch_norm(torch.tensor([[1.0], [3.0]]), None, None, training=True)
              tensor([[-1.0000],
                      [ 1.0000]])
    """
    if training:
        size = input.shape
        if size[0] * _count(size[2:]) == 1:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {size}")
    else:
        for name, tensor in (("running_mean", running_mean), ("running_var", running_var)):
            if tensor is None:
                raise RuntimeError(f"{name} must be defined in evaluation mode")
    if input.numel() == 0:
        return input.clone()
    _check_channels(
        input.size(1), running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    if not training:
        return f["_batch_norm_eval"](input, running_mean, running_var, weight, bias, float(eps))
    out, mean, variance = f["_batch_norm_train"](input, weight, bias, float(eps))
    count = input.numel() // max(input.size(1), 1)
    with torch.no_grad():
        if running_mean is not None:
            running_mean.mul_(1 - momentum).add_(mean.detach(), alpha=momentum)
        if running_var is not None:
            unbiased = variance.detach() * (count / (count - 1))
            running_var.mul_(1 - momentum).add_(unbiased, alpha=momentum)
    return out


def instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-05,
):
    """Normalizes each channel of each sample (Ulyanov, Vedaldi & Lempitsky, 2016).

    Shapes    input (N, C, *), the others (C)  ->  input's
    Errors    ValueError for one value a channel; RuntimeError for missing statistics
    Gradient  for input, weight and bias
    Example   >>> F.instance_norm(torch.tensor([[[1.0, 3.0]]]))
              tensor([[[-1.0000,  1.0000]]])
    """
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError(
            "Expected running_mean and running_var to be defined when use_input_stats is false"
        )
    if use_input_stats and _count(input.shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    n, channels, *rest = input.shape
    _check_channels(channels, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    means, variances, weights, biases = (
        None if t is None else t.repeat(n) for t in (running_mean, running_var, weight, bias)
    )
    samples = input.contiguous().view(1, n * channels, *rest)
    out = batch_norm(samples, means, variances, weights, biases, use_input_stats, momentum, eps)
    with torch.no_grad():
        for running, own in ((running_mean, means), (running_var, variances)):
            if use_input_stats and running is not None:
                running.copy_(own.view(n, channels).mean(0))
    return out.view(n, channels, *rest)


def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    """x / max(norm of x, eps) along an axis.

    Shapes    input (*) -> (*)
    Gradient  for input
    Example   >>> import pullback as torch
              >>> torch.nn.functional.normalize(torch.tensor([[3.0, 4.0]]))
              tensor([[0.6000, 0.8000]])
    """
    length = input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    return torch.div(input, length, out=out) if out is not None else input / length
