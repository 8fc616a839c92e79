"""Softmax and its relatives along one axis."""

from __future__ import annotations

from pullback.arguments import dtype_of
from pullback.primitives.family import kernel
from pullback.primitives.registry import methods, public
from pullback.results import EXACT, with_out
from pullback.trace.tracer import functions as f

# ---- gradients as ops of their own, so that a row is read once ----


def _softmax_backward_vjp(h, values, out):
    g, y, dim = values
    along_y = f["sum"](h * y, dim, True)
    along_g = f["sum"](g * y, dim, True)
    return f["_softmax_backward"](h, y, dim), h * g - h * along_g - g * along_y


def _log_softmax_backward_vjp(h, values, out):
    g, y, dim = values
    p = f["exp"](y)
    return h - f["sum"](h * p, dim, True), -(h * p * f["sum"](g, dim, True))


kernel(
    "softmax_backward(Tensor grad, Tensor output, int dim)",
    _softmax_backward_vjp,
    node="SoftmaxBackwardDataBackward0!",
    expose_as="_softmax_backward",
)
kernel(
    "log_softmax_backward(Tensor grad, Tensor output, int dim)",
    _log_softmax_backward_vjp,
    node="LogSoftmaxBackwardDataBackward0!",
    expose_as="_log_softmax_backward",
)
kernel(
    "softmax(Tensor input, int dim)", lambda g, v, y: f["_softmax_backward"](g, y, v[1]), expose_as="_softmax"
)
kernel(
    "log_softmax(Tensor input, int dim)",
    lambda g, v, y: f["_log_softmax_backward"](g, y, v[1]),
    expose_as="_log_softmax",
)


def softmax(input, dim=None, dtype=None, *, axis=None):
    """exp(x) / sum(exp(x)) along an axis.

    Shapes    input (*) -> (*)
    Dtypes    floats; with dtype converted first
    Gradient  out * (g - sum(g * out))

    >>> import pullback as torch
    >>> torch.softmax(torch.zeros(2), 0)
    tensor([0.5000, 0.5000])

    Example   >>> torch.softmax(torch.tensor([1000.0, 1001.0]), 0)
              tensor([0.2689, 0.7311])
    """
    if dtype is not None and input.dtype != dtype:
        input = f["_cast"](input, dtype_of("softmax", dtype))
    dim = axis if dim is None else dim
    if dim is None:
        return f["_softmax"](input)  # refused, in torch's words
    return f["_softmax"](input, dim)


def log_softmax(input, dim=None, dtype=None, *, axis=None):
    """log(softmax(x)) along an axis, without underflow.

    Shapes    input (*) -> (*)
    Dtypes    floats; with dtype converted first
    Gradient  g - softmax(input) * sum(g)
    Example   >>> torch.log_softmax(torch.tensor([0.0, 1000.0]), 0)
              tensor([-1000.,     0.])
    """
    if dtype is not None and input.dtype != dtype:
        input = f["_cast"](input, dtype_of("log_softmax", dtype))
    dim = axis if dim is None else dim
    if dim is None:
        return f["_log_softmax"](input)  # refused, in torch's words
    return f["_log_softmax"](input, dim)


for _function in (softmax, log_softmax):
    _name = _function.__name__
    methods[_name] = f[_name] = _function
    public[_name] = with_out(_function, EXACT.but(name=f"aten::{_name}"))
