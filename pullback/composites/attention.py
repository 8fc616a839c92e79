"""Scaled dot-product attention (Vaswani et al., NeurIPS 2017)."""

from __future__ import annotations

import math

from pullback import _core
from pullback.primitives.family import composite
from pullback.trace.tracer import functions as f


def _safe_softmax(x, dim):
    """softmax, but zeros where every element is -inf: nothing may be looked at there."""
    nothing = f["all"](f["eq"](x, -math.inf), dim, True)
    # The choice comes before the exponential too, so that no nan reaches the way back.
    out = f["softmax"](f["_where"](nothing, 0.0, x), dim)
    return f["_where"](nothing, 0.0, out)


composite("safe_softmax(Tensor input, int dim)", _safe_softmax, expose_as="_safe_softmax")


def _masked(scores, mask):
    if mask is None:
        return scores
    return f["_where"](mask, scores, -math.inf) if mask.dtype == _core.bool else scores + mask


def _laid_out(x, order):
    """x with its axes in memory in this order."""
    if tuple(order) == (0, 1, 2, 3):
        return x
    dense = f["_contiguous"](f["permute"](x, order))
    return f["permute"](dense, [order.index(d) for d in range(4)])


def _attention(query, key, value, mask, scale, order):
    batch, heads, rows, width = query.shape
    columns, depth = key.size(2), value.size(3)
    n = batch * heads
    q, k = f["reshape"](query, (n, rows, width)), f["reshape"](key, (n, columns, width))
    v = f["reshape"](value, (n, columns, depth))
    scores = f["reshape"](f["bmm"](q, f["transpose"](k, 1, 2)) * scale, (batch, heads, rows, columns))
    weights = f["_safe_softmax"](_masked(scores, mask), -1)
    out = f["bmm"](f["reshape"](weights, (n, rows, columns)), v)
    return _laid_out(f["reshape"](out, (batch, heads, rows, depth)), list(order))


# `order`: the result lies in memory as the query does.
composite(
    "scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask, float scale, "
    "int[] order)",
    _attention,
    node="ScaledDotProductFlashAttentionForCpuBackward0!",
    expose_as="_scaled_dot_product_attention",
)
