"""Attention of several heads, under the names of torch.nn.functional."""

from __future__ import annotations

import math

from pullback import _api as torch
from pullback import _core
from pullback.composites.linalg import reshaped
from pullback.errors import DtypeError
from pullback.nn.functional.activation import softmax
from pullback.nn.functional.dropout import dropout
from pullback.nn.functional.linear import linear
from pullback.trace.tracer import functions as f

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]

_NAMES = {"float32": "float", "float64": "double", "int64": "long int", "int32": "int", "bool": "bool"}


def _name(dtype):
    kind = str(dtype).rpartition(".")[2]
    return _NAMES.get(kind, kind)


def _check_operands(query, key, value, mask):
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
    seen = f["tril"](torch.ones((rows, columns), dtype=_core.bool))
    if mask is None:
        return seen
    if mask.dtype == _core.bool:
        return f["logical_and"](mask, seen)
    return f["_where"](seen, mask, f["_full_like"](mask, -math.inf))


def _added(mask, like):
    """A mask of truth values as one that is added, of the type of another tensor."""
    return f["_where"](mask, 0.0, torch.full((), -math.inf, dtype=like.dtype))


def _in_steps(query, key, value, mask, dropout_p, scale):
    """The same from single ops, each of which is recorded: where one kernel of torch's does not do."""
    root = math.sqrt(scale)  # half of the scale on each side, as torch has it
    scores = f["matmul"](query * root, f["transpose"](key, -2, -1) * root)
    if mask is None:
        weights = f["_safe_softmax"](scores, -1)
    else:
        if mask.dtype == _core.bool:
            mask = _added(mask, scores)
        weights = f["_safe_softmax"](scores + mask, -1)
    if dropout_p > 0.0:
        weights = dropout(weights, dropout_p)
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
    Example   >>> q = torch.ones(1, 2, 4)
              >>> F.scaled_dot_product_attention(q, q, q).shape
              torch.Size([1, 2, 4])
    """
    _check_operands(query, key, value, attn_mask)
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
    batches = batches and query.size(-1) == value.size(-1)  # else torch goes in steps, and keeps their values
    learned = attn_mask is not None and attn_mask.requires_grad
    if batches and not learned and dropout_p == 0.0:
        if attn_mask is not None and attn_mask.dtype == _core.bool and not is_causal:
            attn_mask = _added(attn_mask, query)  # kept in place of the caller's, which may be changed
        strides = query.stride()
        order = sorted(range(4), key=lambda d: -strides[d])
        return f["_scaled_dot_product_attention"](query, key, value, attn_mask, scale, order)
    return _in_steps(query, key, value, attn_mask, dropout_p, scale)


def _check_ranks(query, key, value, padding, mask, num_heads):
    """True for (length, batch, width), False for (length, width); torch's AssertionErrors otherwise."""
    n = query.dim()
    assert n in (2, 3), (
        f"query should be unbatched 2D or batched 3D tensor but received {n}-D query tensor\n"
        "Shapes: (length, width) or (length, batch, width)."
    )
    kind = "batched" if n == 3 else "unbatched"
    assert key.dim() == n and value.dim() == n, (
        f"For {kind} ({n}-D) `query`, expected `key` and `value` to be {n}-D "
        f"but found {key.dim()}-D and {value.dim()}-D tensors respectively"
    )
    if padding is not None:
        assert padding.dim() == n - 1, (
            f"For {kind} ({n}-D) `query`, expected `key_padding_mask` to be `None` or {n - 1}-D "
            f"but found {padding.dim()}-D tensor instead"
        )
    if mask is not None:
        assert mask.dim() in (2, 3), (
            f"For {kind} ({n}-D) `query`, expected `attn_mask` to be `None`, 2-D or 3-D "
            f"but found {mask.dim()}-D tensor instead"
        )
        if n == 2 and mask.dim() == 3:
            expected = (num_heads, query.size(0), key.size(0))
            assert tuple(mask.shape) == expected, (
                f"Expected `attn_mask` shape to be {expected} but got {mask.shape}"
            )
    return n == 3


def _as_floats(mask, name, like):
    """A mask to add to scores: -inf where a mask of bools holds."""
    if mask is None:
        return None
    if mask.dtype == torch.bool:
        return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, -math.inf)
    assert mask.dtype.is_floating_point, f"only bool and floating types of {name} are supported"
    return mask


def _check_mask_shape(mask, n, rows, columns):
    if mask.dim() == 2:
        if tuple(mask.shape) != (rows, columns):
            raise RuntimeError(
                f"The shape of the 2D attn_mask is {mask.shape}, but should be {(rows, columns)}.\n"
                "Its shape is (length of query, length of key)."
            )
        return mask.unsqueeze(0)
    if tuple(mask.shape) != (n, rows, columns):
        raise RuntimeError(
            f"The shape of the 3D attn_mask is {mask.shape}, but should be {(n, rows, columns)}.\n"
            "Its shape is (batch * heads, length of query, length of key)."
        )
    return mask


def _packed(query, key, value, weight, bias):
    """The three projections by one weight; one product where the inputs are one tensor, as in torch."""
    width = query.size(-1)
    if key is value:
        if query is key:
            both = linear(query, weight, bias)
            both = both.unflatten(-1, (3, width)).unsqueeze(0).transpose(0, -2).squeeze(-2).contiguous()
            return both[0], both[1], both[2]
        w_q, w_kv = weight.split([width, 2 * width])
        b_q, b_kv = (None, None) if bias is None else bias.split([width, 2 * width])
        q, both = linear(query, w_q, b_q), linear(key, w_kv, b_kv)
        both = both.unflatten(-1, (2, width)).unsqueeze(0).transpose(0, -2).squeeze(-2).contiguous()
        return q, both[0], both[1]
    weights = weight.chunk(3)
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return tuple(linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))


def _separate(query, key, value, weights, bias):
    width = query.size(-1)
    for name, w, x in zip(("query", "key", "value"), weights, (query, key, value), strict=True):
        assert w is not None, f"use_separate_proj_weight is True but {name[0]}_proj_weight is None"
        assert tuple(w.shape) == (width, x.size(-1)), (
            f"expecting {name} weights shape of {(width, x.size(-1))}, but got {w.shape}"
        )
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    return tuple(linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))


def _heads(x, n, width, static=None, name=""):
    """(length, batch, heads * width) as (batch * heads, length, width), unless that is given."""
    if static is None:
        return x.view(x.size(0), n, width).transpose(0, 1)
    for axis, size in ((0, n), (2, width)):
        assert static.size(axis) == size, (
            f"expecting static_{name}.size({axis}) of {size}, but got {static.size(axis)}"
        )
    return static


def _longer(mask, columns=1):
    """One more column that all may look at."""
    if mask is None:
        return None
    return torch.cat([mask, torch.zeros((*mask.shape[:-1], columns), dtype=mask.dtype)], -1)


def _with_weights(q, k, v, mask, dropout_p):
    """The weights as well as the result."""
    scaled = q * math.sqrt(1.0 / q.size(-1))
    if mask is None:
        scores = torch.bmm(scaled, k.transpose(-2, -1))
    else:
        scores = torch.baddbmm(mask, scaled, k.transpose(-2, -1))
    weights = softmax(scores, dim=-1)
    if dropout_p > 0.0:
        weights = dropout(weights, p=dropout_p)
    return torch.bmm(weights, v), weights


def _check_width(query, expected, num_heads):
    """The width of one head."""
    width = query.size(-1)
    assert width == expected, f"was expecting embedding dimension of {expected}, but got {width}"
    size = width // num_heads
    assert size * num_heads == width, f"embed_dim {width} not divisible by num_heads {num_heads}"
    return size


def _projected(query, key, value, weight, weights, bias, separate):
    if separate:
        assert key.shape[:2] == value.shape[:2], (
            f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}"
        )
        return _separate(query, key, value, weights, bias)
    assert key.shape == value.shape, f"key shape {key.shape} does not match value shape {value.shape}"
    assert weight is not None, "use_separate_proj_weight is False but in_proj_weight is None"
    return _packed(query, key, value, weight, bias)


def _learned_row(k, v, bias_k, bias_v, batch, static):
    """Keys and values with a learned one at the end."""
    assert bias_k is not None and bias_v is not None, "bias_k and bias_v belong together"
    for name, x in zip(("key", "value"), static, strict=True):
        assert x is None, f"bias cannot be added to static {name}."
    return (torch.cat([x, b.repeat(1, batch, 1)]) for x, b in ((k, bias_k), (v, bias_v)))


def _zero_row(x):
    return torch.cat([x, torch.zeros((x.size(0), 1, x.size(2)), dtype=x.dtype)], dim=1)


def _masks(mask, padding, causal, need_weights, like):
    """Both as floats to add to scores, and whether the mask is left out for the causal one."""
    padding = _as_floats(padding, "key_padding_mask", like)
    if causal and mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. "
            "You may use the Transformer module method `generate_square_subsequent_mask` to create this mask."
        )
    if causal and not need_weights and padding is None:
        return None, None, True
    return _as_floats(mask, "attn_mask", like), padding, False


def _only_result(q, k, v, mask, dropout_p, causal, batch):
    heads = q.size(0) // batch
    q, k, v = (x.view(batch, heads, x.size(1), x.size(2)) for x in (q, k, v))
    if mask is not None:
        mask = mask.unsqueeze(0) if mask.size(0) == 1 else mask.view(batch, heads, -1, mask.size(2))
    out = scaled_dot_product_attention(q, k, v, mask, dropout_p, causal)
    return out.permute(2, 0, 1, 3)


def _joined(mask, padding, batch, num_heads, columns):
    """One mask for scores (batch * heads, rows, columns) of both; None if there is none."""
    if padding is None:
        return mask
    assert padding.size(0) == batch, (
        f"Expected key_padded_mask.shape[0] to be {batch}, but got {padding.size(0)}"
    )
    assert padding.size(1) == columns, (
        f"Expected key_padded_mask.shape[1] to be {columns}, but got {padding.size(1)}"
    )
    padding = padding.view(batch, 1, 1, columns).expand(-1, num_heads, -1, -1)
    padding = padding.reshape(batch * num_heads, 1, columns)
    return padding if mask is None else mask + padding


def _looked(q, k, v, mask, dropout_p, causal, need_weights, batch):
    """The results of all heads beside each other, (length, batch, width), and the weights or None."""
    if not need_weights:
        return _only_result(q, k, v, mask, dropout_p, causal, batch), None
    out, weights = _with_weights(q, k, v, mask, dropout_p)
    weights = weights.view(batch, q.size(0) // batch, q.size(1), k.size(1))
    return out.transpose(0, 1), weights


def _as_given(out, weights, batched, average):
    """The results without the batch that the inputs had not, the weights averaged over the heads."""
    weights = weights.mean(dim=1) if weights is not None and average else weights
    if batched:
        return out, weights
    return out.squeeze(1), None if weights is None else weights.squeeze(0)


def multi_head_attention_forward(
    query,
    key,
    value,
    embed_dim_to_check,
    num_heads,
    in_proj_weight,
    in_proj_bias,
    bias_k,
    bias_v,
    add_zero_attn,
    dropout_p,
    out_proj_weight,
    out_proj_bias,
    training=True,
    key_padding_mask=None,
    need_weights=True,
    attn_mask=None,
    use_separate_proj_weight=False,
    q_proj_weight=None,
    k_proj_weight=None,
    v_proj_weight=None,
    static_k=None,
    static_v=None,
    average_attn_weights=True,
    is_causal=False,
):
    """What nn.MultiheadAttention computes, with its weights as arguments.

    Shapes    query (L, N, E), key (S, N, K), value (S, N, V)  ->  (L, N, E), weights (N, L, S); without N too
    Gradient  for the inputs, the weights and masks of floats
    Errors    AssertionError and RuntimeError with torch's words for shapes and masks that do not fit
    Example   >>> import pullback as torch
              >>> layer = torch.nn.MultiheadAttention(4, 2)
              >>> layer(torch.ones(3, 1, 4), torch.ones(5, 1, 4), torch.ones(5, 1, 4))[1].shape
              torch.Size([1, 3, 5])
    """
    batched = _check_ranks(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = (x.unsqueeze(1) for x in (query, key, value))
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    rows, batch, width = query.shape
    n = batch * num_heads
    mask, padding, causal = _masks(attn_mask, key_padding_mask, is_causal, need_weights, query)
    size = _check_width(query, embed_dim_to_check, num_heads)
    weights = (q_proj_weight, k_proj_weight, v_proj_weight)
    q, k, v = _projected(query, key, value, in_proj_weight, weights, in_proj_bias, use_separate_proj_weight)
    mask = None if mask is None else _check_mask_shape(mask, n, rows, key.size(0))
    if bias_k is not None or bias_v is not None:
        k, v = _learned_row(k, v, bias_k, bias_v, batch, (static_k, static_v))
        mask, padding = _longer(mask), _longer(padding)
    q, k, v = _heads(q, n, size), _heads(k, n, size, static_k, "k"), _heads(v, n, size, static_v, "v")
    if add_zero_attn:
        k, v, mask, padding = _zero_row(k), _zero_row(v), _longer(mask), _longer(padding)
    mask = _joined(mask, padding, batch, num_heads, k.size(1))
    out, weights = _looked(q, k, v, mask, dropout_p if training else 0.0, causal, need_weights, batch)
    out = linear(reshaped(out, (rows * batch, width)), out_proj_weight, out_proj_bias)
    return _as_given(out.view(rows, batch, width), weights, batched, average_attn_weights)
