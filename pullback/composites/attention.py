"""Scaled dot-product attention (Vaswani et al., NeurIPS 2017)."""

from __future__ import annotations

import math

from pullback import _core, creation
from pullback.errors import DtypeError
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

_NAMES = {"float32": "float", "float64": "double", "int64": "long int", "int32": "int", "bool": "bool"}


def _name(dtype):
    kind = str(dtype).rpartition(".")[2]
    return _NAMES.get(kind, kind)


def _check(query, key, value, mask):
    q, k, v = query, key, value
    if not q.dtype == k.dtype == v.dtype:
        raise DtypeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{_name(q.dtype)} key.dtype: {_name(k.dtype)} and value.dtype: {_name(v.dtype)} instead.\n"
            "Convert them with .to(dtype)."
        )
    if min(q.dim(), k.dim(), v.dim()) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{q.dim()} key.dim: {k.dim()} and value.dim: {v.dim()} instead.\n"
            "Their shapes are (..., length, width)."
        )
    if mask is not None and mask.dtype != _core.bool and mask.dtype != q.dtype:
        raise DtypeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            f"attn_mask.dtype: {_name(mask.dtype)} and  query.dtype: {_name(q.dtype)} instead.\n"
            "A mask of bools says where to look; a mask of floats is added to the scores."
        )


def _causal(rows, columns, mask):
    """What a row may look at: the columns up to its own number, and what the mask allows."""
    seen = f["tril"](creation.ones((rows, columns), dtype=_core.bool))
    if mask is None:
        return seen
    if mask.dtype == _core.bool:
        return f["logical_and"](mask, seen)
    return f["_where"](seen, mask, f["_full_like"](mask, -math.inf))


def _in_steps(query, key, value, mask, dropout, scale):
    """The same from single ops, each of which is recorded: where one kernel of torch's does not do."""
    root = math.sqrt(scale)  # half of the scale on each side, as torch has it
    scores = f["matmul"](query * root, f["transpose"](key, -2, -1) * root)
    if mask is None:
        weights = f["_safe_softmax"](scores, -1)
    else:
        if mask.dtype == _core.bool:
            mask = f["_where"](mask, 0.0, f["_full_like"](scores, -math.inf))
        weights = f["_safe_softmax"](scores + mask, -1)
    if dropout > 0.0:
        from pullback.nn.functional.dropout import dropout as drop

        weights = drop(weights, dropout)
    return f["matmul"](weights, value)


def _repeated(x, heads):
    """Heads of keys and values shared by groups of query heads."""
    if heads % x.size(-3):
        raise RuntimeError(
            "Number of heads in key and value must divide the number of heads in query \n"
            f"The query has {heads} heads, a key or value {x.size(-3)}."
        )
    return f["repeat_interleave"](x, heads // x.size(-3), -3)


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """softmax(query @ key.T * scale + mask) @ value.

    Shapes    query (*, L, E), key (*, S, E), value (*, S, V), mask broadcasting to (*, L, S)  ->  (*, L, V)
    Gradient  for query, key, value and a mask of floats; rows that may look at nothing give zeros and take
              no gradient
    Errors    DtypeError for mixed types and masks of whole numbers; RuntimeError for vectors
    Example   >>> import pullback as torch
              >>> q = torch.ones(1, 2, 4)
              >>> torch.nn.functional.scaled_dot_product_attention(q, q, q).shape
              torch.Size([1, 2, 4])
    """
    _check(query, key, value, attn_mask)
    plain = query.dim() == key.dim() == value.dim() == 4
    if is_causal:
        if attn_mask is not None and not plain:
            raise RuntimeError(
                "_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True\n"
                "Combine the mask with torch.ones(L, S, dtype=torch.bool).tril()."
            )
        attn_mask = _causal(query.size(-2), key.size(-2), attn_mask)
    if enable_gqa:
        key, value = _repeated(key, query.size(-3)), _repeated(value, query.size(-3))
    scale = 1.0 / math.sqrt(query.size(-1)) if scale is None else float(scale)
    batches = plain and query.shape[:2] == key.shape[:2] == value.shape[:2]
    learned = attn_mask is not None and attn_mask.requires_grad
    if batches and not learned and dropout_p == 0.0:
        strides = query.stride()
        order = sorted(range(4), key=lambda d: -strides[d])
        return f["_scaled_dot_product_attention"](query, key, value, attn_mask, scale, order)
    return _in_steps(query, key, value, attn_mask, dropout_p, scale)


f["scaled_dot_product_attention"] = scaled_dot_product_attention
