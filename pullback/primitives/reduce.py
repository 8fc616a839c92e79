"""Reductions along axes. `dim` empty means all of them."""

from __future__ import annotations

import math

from pullback.primitives.family import composite, kernel, linear
from pullback.primitives.registry import ANY, expose, ops
from pullback.trace.tracer import functions as f


def spread(g, x, dim, keepdim):
    """A reduced value back over the shape of x: the transpose of summing."""
    n = x.ndim
    if dim is not None and not isinstance(dim, (tuple, list)):
        dim = (dim,)
    if n and dim and not keepdim:
        for axis in sorted(d % n for d in dim):
            g = f["unsqueeze"](g, axis)
    elif n and not dim and keepdim is False:
        for _ in range(n):
            g = f["unsqueeze"](g, 0)
    return f["expand"](g, x.shape)


def count(x, dim):
    """How many elements are reduced to one."""
    if not dim or not x.ndim:
        return x.numel()
    n = 1
    for d in dim if isinstance(dim, (tuple, list)) else (dim,):
        n = x.size(d) * n
    return n


linear("sum(Tensor input, int[] dim, bool keepdim, dtype? dtype)",
       lambda g, x, dim, keepdim, dtype: spread(g, x, dim, keepdim), expose_as="_sum", dtypes=ANY)  # fmt: skip
linear("sum_to(Tensor input, size[] size)", lambda g, x, size: f["expand"](g, x.shape), expose_as="_sum_to")


def _sum(x, dim, keepdim, dtype):
    if dtype is not None and x.dtype != dtype:
        x = f["_cast"](x, dtype)
    return f["_sum"](x, dim or (), keepdim, None)


composite("sum(Tensor input, *, dtype? dtype=None)", lambda x, dtype: _sum(x, (), False, dtype), name="sum_all",
          node="SumBackward0!", expose_as="-", dtypes=ANY)  # fmt: skip
composite("sum(Tensor input, int[]? dim, bool keepdim=False, *, dtype? dtype=None)", _sum, name="sum_dim",
          node="SumBackward1!", expose_as="-", dtypes=ANY)  # fmt: skip
expose("sum", ops["sum_all"], ops["sum_dim"])


def _mean(x, dim, keepdim, dtype):
    if dtype is not None and x.dtype != dtype:
        x = f["_cast"](x, dtype)
    return f["_sum"](x, dim or (), keepdim, None) / count(x, dim)


composite("mean(Tensor input, *, dtype? dtype=None)", lambda x, dtype: _mean(x, (), False, dtype), name="mean_all",
          node="MeanBackward0!", expose_as="-")  # fmt: skip
composite("mean(Tensor input, int[]? dim, bool keepdim=False, *, dtype? dtype=None)", _mean, name="mean_dim",
          node="MeanBackward1!", expose_as="-")  # fmt: skip
expose("mean", ops["mean_all"], ops["mean_dim"])

del math, kernel
