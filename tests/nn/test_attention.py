"""Attention: values, gradients and graphs of PyTorch (``python tests/nn/test_attention.py`` writes
``attention.json`` anew where torch is installed), and what it does with bad input."""

import json
import pathlib

import pytest

FILE = pathlib.Path(__file__).with_name("attention.json")

# Options of the layer, which inputs are one tensor, how the mask and the padding look, need_weights.
CASES = {
    "plain": ({}, "all", None, None, True),
    "no_weights": ({}, "all", None, None, False),
    "keys": ({"bias": False}, "keys", "bool", None, True),
    "keys_padded": ({}, "keys", None, "bool", True),
    "apart": ({}, "none", "float", "bool", True),
    "heads_masked": ({}, "none", "heads", None, False),
    "padded": ({}, "none", "float", "float", False),
    "widths": ({"kdim": 3, "vdim": 5}, "none", None, None, True),
    "widths_no_bias": ({"kdim": 3, "vdim": 5, "bias": False}, "none", "bool", "bool", False),
    "learned_row": ({"add_bias_kv": True}, "keys", "bool", "bool", True),
    "zero_row": ({"add_zero_attn": True}, "none", "float", None, True),
    "both_rows": ({"add_bias_kv": True, "add_zero_attn": True}, "all", "heads", "bool", False),
    "batch_first": ({"batch_first": True}, "all", "bool", None, True),
    "batch_first_no_weights": ({"batch_first": True}, "keys", None, "bool", False),
}


def tree(node):
    """The names of the nodes above one, depth first."""
    names, stack = [], [(node, 0)]
    while stack:
        n, depth = stack.pop()
        if n is not None:
            names.append(f"{depth}{n.name()}")
            stack += [(m, depth + 1) for m, _ in reversed(n.next_functions)]
    return names


def masks(torch, mask, padding, n, rows, columns):
    kinds = {
        None: lambda: None,
        "bool": lambda: torch.rand(rows, columns) > 0.7,
        "float": lambda: torch.rand(rows, columns),
        "heads": lambda: torch.rand(2 * n, rows, columns) - 0.5,
    }
    padded = {
        None: lambda: None,
        "bool": lambda: torch.arange(columns).repeat(n, 1) >= columns - 1,
        "float": lambda: torch.rand(n, columns),
    }
    return kinds[mask](), padded[padding]()


def run(torch, options, same, mask, padding, need_weights):
    torch.manual_seed(0)
    layer = torch.nn.MultiheadAttention(4, 2, dtype=torch.float64, **options)
    q = torch.rand(3, 2, 4, dtype=torch.float64, requires_grad=True)
    k = q if same == "all" else torch.rand(3, 2, options.get("kdim", 4), dtype=torch.float64)
    v = k if same != "none" else torch.rand(3, 2, options.get("vdim", 4), dtype=torch.float64)
    n = 3 if options.get("batch_first") else 2
    rows = 5 - n
    mask, padding = (
        m if m is None or m.dtype == torch.bool else m.double()
        for m in masks(torch, mask, padding, n, rows, rows)
    )
    out, weights = layer(q, k, v, key_padding_mask=padding, attn_mask=mask, need_weights=need_weights)
    loss = out.square().sum() + (0 if weights is None else weights.square().sum())
    loss.backward()
    tensors = [out, q.grad, *([] if weights is None else [weights])]
    tensors += [p.grad for p in layer.parameters() if p.grad is not None]
    return [tree(out.grad_fn), [rounded(t.tolist()) for t in tensors]]


def rounded(x):
    return list(map(rounded, x)) if isinstance(x, list) else round(x, 9)


def close(a, b):
    if isinstance(b, list):
        return isinstance(a, list) and len(a) == len(b) and all(map(close, a, b))
    return abs(a - b) <= 2e-9


@pytest.mark.parametrize("case", CASES)
def test_agrees_with_torch(case):
    import pullback

    graph, values = json.loads(FILE.read_text())[case]
    got_graph, got = run(pullback, *CASES[case])
    assert got_graph == graph
    assert close(got, values)


def test_one_sequence():
    import pullback as torch

    layer = torch.nn.MultiheadAttention(4, 2)
    x = torch.rand(3, 4)
    out, weights = layer(x, x, x)
    batch, batch_weights = layer(x.unsqueeze(1), x.unsqueeze(1), x.unsqueeze(1))
    assert out.shape == (3, 4) and weights.shape == (3, 3)
    assert torch.equal(out, batch[:, 0]) and torch.equal(weights, batch_weights[0])


def test_dropout_is_of_weights_and_only_in_training():
    import pullback as torch

    torch.manual_seed(0)
    layer = torch.nn.MultiheadAttention(4, 2, dropout=0.5)
    x = torch.rand(3, 2, 4)
    for need_weights in (True, False):
        first, second = (layer(x, x, x, need_weights=need_weights)[0] for _ in range(2))
        assert not torch.equal(first, second)
    layer.eval()
    assert torch.equal(layer(x, x, x)[0], layer(x, x, x)[0])


@pytest.mark.parametrize("shape", [(2, 2, 3, 4), (3, 4), (2, 3, 4)])
def test_attention_is_its_formula(shape):
    import pullback as torch

    attention = torch.nn.functional.scaled_dot_product_attention
    torch.manual_seed(0)
    q, k, v = (torch.rand(*shape, dtype=torch.float64, requires_grad=True) for _ in range(3))
    mask = torch.tensor([[True, False, True], [True, True, True], [False, True, True]])
    causal = torch.ones(3, 3, dtype=torch.bool).tril()
    for options, seen in (
        ({}, None),
        ({"attn_mask": mask}, mask),
        ({"is_causal": True}, causal),
        ({"scale": 0.3}, None),
    ):
        scores = q @ k.mT * options.get("scale", 0.5)
        scores = scores if seen is None else scores.masked_fill(~seen, -torch.inf)
        expected = scores.softmax(-1) @ v
        out = attention(q, k, v, **options)
        torch_close(out, expected)
        g = torch.rand(*shape, dtype=torch.float64)
        for a, b in zip(
            torch.autograd.grad(out, (q, k, v), g), torch.autograd.grad(expected, (q, k, v), g), strict=True
        ):
            torch_close(a, b)


def torch_close(a, b):
    assert a.shape == b.shape and (a - b).abs().max() < 1e-12, (a, b)


def test_rows_that_see_nothing_are_zero_and_take_no_gradient():
    import pullback as torch

    attention = torch.nn.functional.scaled_dot_product_attention
    q = torch.rand(1, 2, 3, 4, requires_grad=True)
    mask = torch.ones(3, 3, dtype=torch.bool)
    mask[1] = False
    for given in (mask, torch.zeros(3, 3).masked_fill(~mask, -torch.inf)):
        for shaped in (q, q[0]):
            out = attention(shaped, shaped, shaped, given)
            assert torch.equal(out[..., 1, :], torch.zeros_like(out[..., 1, :]))
            (g,) = torch.autograd.grad(out[..., 1, :].sum(), q, retain_graph=True)
            assert torch.equal(g, torch.zeros_like(g))
            (g,) = torch.autograd.grad(out.sum(), q)
            assert g.isfinite().all() and g.abs().sum() > 0


def test_shared_heads_and_learned_masks():
    import pullback as torch

    attention = torch.nn.functional.scaled_dot_product_attention
    torch.manual_seed(0)
    q, k = torch.rand(2, 4, 3, 2), torch.rand(2, 2, 3, 2)
    shared = k.repeat_interleave(2, 1)
    assert torch.equal(attention(q, k, k, enable_gqa=True), attention(q, shared, shared))
    with pytest.raises(RuntimeError, match="Number of heads in key and value must divide"):
        attention(q, k[:, :1].expand(2, 3, 3, 2), k, enable_gqa=True)
    bias = torch.zeros(3, 3, requires_grad=True)
    attention(q, shared, shared, bias).sum().backward()
    assert bias.grad.abs().sum() > 0


BAD = {
    "embed_dim and num_heads must be greater than 0, got embed_dim=0": (
        ValueError,
        lambda t: t.nn.MultiheadAttention(0, 2),
    ),
    "embed_dim must be divisible by num_heads": (AssertionError, lambda t: t.nn.MultiheadAttention(5, 2)),
    "query should be unbatched 2D or batched 3D tensor but received 1-D": (AssertionError, (4,), (4,), {}),
    "For batched (3-D) `query`, expected `key` and `value` to be 3-D but found 2-D and 2-D": (
        AssertionError,
        (3, 2, 4),
        (3, 4),
        {},
    ),
    "For unbatched (2-D) `query`, expected `key_padding_mask` to be `None` or 1-D but found 2-D": (
        AssertionError,
        (3, 4),
        (3, 4),
        {"key_padding_mask": (1, 3)},
    ),
    "For batched (3-D) `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found 1-D": (
        AssertionError,
        (3, 2, 4),
        (3, 2, 4),
        {"attn_mask": (3,)},
    ),
    "Expected `attn_mask` shape to be (2, 3, 3) but got torch.Size([1, 3, 3])": (
        AssertionError,
        (3, 4),
        (3, 4),
        {"attn_mask": (1, 3, 3)},
    ),
    "The shape of the 2D attn_mask is torch.Size([2, 3]), but should be (3, 3).": (
        RuntimeError,
        (3, 2, 4),
        (3, 2, 4),
        {"attn_mask": (2, 3)},
    ),
    "The shape of the 3D attn_mask is torch.Size([2, 3, 3]), but should be (4, 3, 3).": (
        RuntimeError,
        (3, 2, 4),
        (3, 2, 4),
        {"attn_mask": (2, 3, 3)},
    ),
    "Expected key_padded_mask.shape[1] to be 3, but got 5": (
        AssertionError,
        (3, 2, 4),
        (3, 2, 4),
        {"key_padding_mask": (2, 5)},
    ),
    "was expecting embedding dimension of 4, but got 6": (AssertionError, (3, 2, 6), (3, 2, 6), {}),
    "key shape torch.Size([3, 2, 4]) does not match value shape torch.Size([5, 2, 4])": (
        AssertionError,
        (3, 2, 4),
        (3, 2, 4),
        {"value": (5, 2, 4)},
    ),
    "Need attn_mask if specifying the is_causal hint.": (
        RuntimeError,
        (3, 2, 4),
        (3, 2, 4),
        {"is_causal": True},
    ),
}


@pytest.mark.parametrize("text", BAD)
def test_bad_input(text):
    import pullback as torch

    kind, *given = BAD[text]
    with pytest.raises(kind) as error:
        if len(given) == 1:
            given[0](torch)
        else:
            query, key, options = given
            options = {k: torch.zeros(v) if isinstance(v, tuple) else v for k, v in options.items()}
            key = torch.zeros(key)
            value = options.pop("value", key)
            torch.nn.MultiheadAttention(4, 2)(torch.zeros(query), key, value, **options)
    assert str(error.value).startswith(text), error.value


def test_static_keys_and_values():
    import pullback as torch

    layer = torch.nn.MultiheadAttention(4, 2, batch_first=False)
    x, given = torch.rand(3, 1, 4), torch.rand(2, 5, 2)
    rest = (layer.in_proj_weight, layer.in_proj_bias, None, None, False, 0.0, layer.out_proj.weight, None)
    attend = torch.nn.functional.multi_head_attention_forward
    out, weights = attend(x, x, x, 4, 2, *rest, static_k=given, static_v=given, average_attn_weights=False)
    assert out.shape == (3, 1, 4) and weights.shape == (1, 2, 3, 5)
    for name, axis, text in (("static_k", 0, "2, but got 3"), ("static_v", 2, "2, but got 1")):
        bad = {name: torch.rand(3, 5, 2) if axis == 0 else given[..., :1]}
        with pytest.raises(AssertionError, match=rf"expecting {name}.size\({axis}\) of {text}"):
            attend(x, x, x, 4, 2, *rest, **bad)


def test_bad_input_of_the_function():
    import pullback as torch

    F = torch.nn.functional
    q = torch.zeros(1, 2, 3, 4)
    for kind, text, call in (
        (
            torch_errors().DtypeError,
            "Expected query, key, and value to have the same dtype, but got query.dtype: float key.dtype: "
            "float and value.dtype: double instead.",
            lambda: F.scaled_dot_product_attention(q, q, q.double()),
        ),
        (
            RuntimeError,
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: 1 key.dim: "
            "4 and value.dim: 4 instead.",
            lambda: F.scaled_dot_product_attention(q[0, 0, 0], q, q),
        ),
        (
            torch_errors().DtypeError,
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: "
            "long int and  query.dtype: float instead.",
            lambda: F.scaled_dot_product_attention(q, q, q, torch.zeros(3, 3).long()),
        ),
        (
            RuntimeError,
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True",
            lambda: F.scaled_dot_product_attention(q[0], q[0], q[0], torch.zeros(3, 3), is_causal=True),
        ),
        (
            AssertionError,
            "only bool and floating types of key_padding_mask are supported",
            lambda: torch.nn.MultiheadAttention(4, 2)(q[0], q[0], q[0], torch.zeros(3, 2).long()),
        ),
    ):
        with pytest.raises(kind) as error:
            call()
        assert str(error.value).startswith(text)


def torch_errors():
    from pullback import errors

    return errors


if __name__ == "__main__":
    import torch

    torch.set_num_threads(1)
    results = {name: run(torch, *case) for name, case in CASES.items()}
    FILE.write_text(
        "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in results.items()) + "\n}\n"
    )
