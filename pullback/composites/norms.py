"""Normalization over axes, groups of channels, and batches."""

from __future__ import annotations

from pullback.composites.shape import wrap
from pullback.primitives.family import composite
from pullback.results import EXACT
from pullback.trace.tracer import functions as f


def _product(sizes):
    n = 1
    for s in sizes:
        n = s * n
    return n


def _affine(x, weight, bias, shape):
    if weight is not None:
        x = x * f["reshape"](weight, shape)
    return x if bias is None else x + f["reshape"](bias, shape)


def _centered(x, dims, eps):
    variance, mean = f["_var_mean"](x, dims, 0.0, True, False)
    return (x - mean) * f["rsqrt"](variance + eps), mean, variance


def _layer_norm(x, n, weight, bias, eps):
    out, _, _ = _centered(x, tuple(range(x.ndim - n, x.ndim)), eps)
    return _affine(out, weight, bias, x.shape[x.ndim - n :])


composite(
    "layer_norm(Tensor input, int axes, Tensor? weight, Tensor? bias, float eps)",
    _layer_norm,
    node="NativeLayerNormBackward0!",
    expose_as="_layer_norm",
)


def _group_norm(x, groups, weight, bias, eps):
    n, channels, *rest = x.shape
    size = _product(rest)
    grouped = f["reshape"](x, (n, groups, channels // groups * size))
    out, _, _ = _centered(grouped, (2,), eps)
    out = f["reshape"](out, (n, channels, size))
    return f["reshape"](_affine(out, weight, bias, (1, channels, 1)), x.shape)


composite(
    "group_norm(Tensor input, int num_groups, Tensor? weight, Tensor? bias, float eps)",
    _group_norm,
    node="NativeGroupNormBackward0!",
    expose_as="_group_norm",
)


def _of_channels(x, v):
    return f["reshape"](v, (1, x.shape[1], *(1,) * (x.ndim - 2)))


def _batch_norm_train(x, weight, bias, eps):
    """The result, and the mean and (uncorrected) variance of each channel."""
    out, mean, variance = _centered(x, tuple(d for d in range(x.ndim) if d != 1), eps)
    out = _affine(out, weight, bias, (1, x.shape[1], *(1,) * (x.ndim - 2)))
    return out, f["reshape"](mean, (x.shape[1],)), f["reshape"](variance, (x.shape[1],))


composite(
    "batch_norm(Tensor input, Tensor? weight, Tensor? bias, float eps)",
    _batch_norm_train,
    name="batch_norm_train",
    node="NativeBatchNormBackward0!",
    expose_as="_batch_norm_train",
    outputs=3,
)


def _batch_norm_eval(x, mean, variance, weight, bias, eps):
    out = (x - _of_channels(x, mean)) * f["rsqrt"](_of_channels(x, variance) + eps)
    return _affine(out, weight, bias, (1, x.shape[1], *(1,) * (x.ndim - 2)))


composite(
    "batch_norm(Tensor input, Tensor running_mean, Tensor running_var, Tensor? weight, Tensor? bias, "
    "float eps)",
    _batch_norm_eval,
    name="batch_norm_eval",
    node="NativeBatchNormBackward0!",
    expose_as="_batch_norm_eval",
)


def _renorm(x, p, dim, maxnorm):
    if x.ndim < 2:
        raise RuntimeError(
            f"renorm: input needs at least 2 dimensions, got {x.ndim} dimensions\n"
            "The norms are those of its slices along one of them."
        )
    if p <= 0:
        raise RuntimeError(f"renorm: non-positive-norm not supported\np is {p:g}.")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm:g}")
    dim = wrap(dim, x.ndim)
    norm = f["_vector_norm"](x, p, tuple(d for d in range(x.ndim) if d != dim), True)
    return x * f["where"](norm > maxnorm, maxnorm / (norm + 1e-7), 1.0)  # torch's guard, which is felt


composite(
    "renorm(Tensor input, float p, int dim, float maxnorm)",
    _renorm,
    in_place=True,
    out=EXACT.but(apart="part"),
)
