"""Which in-place changes are refused, with which words, and the gradients of the others, against PyTorch.

tests/oracles/export_inplace.py wrote down what PyTorch does. Refusing less is allowed where the gradient is
that of the differences; refusing more only where it is listed here.
"""

import json
import pathlib
import re

import inplace_cases
import numpy as np
import pytest

import pullback as torch

ORACLE = json.loads(
    (pathlib.Path(__file__).resolve().parent.parent / "data" / "inplace_oracle.json").read_text()
)
# Torch keeps the old history where a tensor becomes truth values, and lets leaves be changed so: its
# gradients are those of the value that is gone. Here they are zero.
LOGICAL = {"logical_not", "logical_and:tensor", "logical_or:tensor", "logical_xor:tensor"}
LOGICAL_REFUSED = {
    "leaf",
    "view_of_leaf",
    "unbound",
    "split_part",
    "chunk_part",
    "view_of_split_part",
    "view_made_without_grad",
}
UNRECORDED = {
    "leaf_without_grad",
    "view_of_leaf_without_grad",
    "view_made_with_grad_changed_without",
    "detached_leaf",
    "detached_saved_leaf",
    "data_of_saved_leaf",
    "detached_saved",
    "detached_intermediate",
    "split_part_without_grad",
    "view_made_and_changed_without_grad",
}
# Torch writes into overlapping memory here, says that this is deprecated, and cannot differentiate it.
OVERLAPPING = {"tril", "triu", "index_fill", "index_put", "masked_fill", "setitem_mask"}
# The message names the saved value by its node and shape of now. A view of another shape keeps those of then;
# a plain tensor that begins to need a gradient has no name.
HYPERBOLIC = {"asinh", "atanh", "arcsinh", "arctanh"}  # torch's nodes of these forms have no rule
RENAMED = HYPERBOLIC | {"squeeze", "t", "unsqueeze:0", "transpose", "swapaxes", "heaviside:tensor"} | LOGICAL


def expected(form, method):
    where, k = ORACLE["cases"][form.__name__][method]
    return where, ORACLE["texts"][k]


def refuses_more(form, method):
    if method in LOGICAL:
        return form.__name__ in LOGICAL_REFUSED
    return method in OVERLAPPING and form.__name__ in ("expanded", "expanded_plain")


def unnamed(text):
    return re.sub(r", which is output \d of [^,]*,|\[torch[^\]]*\]\]", "", text)


def check_error(form, method, error, where, text):
    kind, _, first = text.partition(": ")
    assert isinstance(error, {"RuntimeError": RuntimeError, "IndexError": IndexError}[kind])
    got = str(error).split("\n")[0]
    plain_became_tracked = form.__name__ == "plain_saved" and method.endswith(" tracked")
    if method in RENAMED or plain_became_tracked:
        got, first = unnamed(got), unnamed(first)
    assert got == first


def check_case(form, method):
    where, text = expected(form, method)
    ended, what = inplace_cases.attempt(torch, form, method)
    if isinstance(what, Exception):
        if "invalid gradient" in text or "derivative for" in text:  # what torch's backward meets first
            return
        if where != ended:
            assert refuses_more(form, method), what
        else:
            check_error(form, method, what, where, text)
    elif ended == "no graph":
        assert where == ended
    elif where == "gradient" and method not in LOGICAL:
        for a, b in zip(json.loads(text), what, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-8)
    elif where == "gradient" and form.__name__ in UNRECORDED:
        np.testing.assert_allclose(what[0], json.loads(text)[0], rtol=1e-6, atol=1e-8)
    else:
        for a, b in zip(inplace_cases.numeric(torch, form, method), what, strict=True):
            np.testing.assert_allclose(np.zeros_like(a) if b is None else b, a, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("form", inplace_cases.FORMS, ids=lambda f: f.__name__)
def test_form(form):
    for f, method in inplace_cases.all_cases():
        if f is form:
            try:
                check_case(form, method)
            except AssertionError as e:
                raise AssertionError(f"{method}: {e}") from e


def test_what_is_refused_more_is_refused():
    for form, method in inplace_cases.all_cases():
        if refuses_more(form, method):
            assert isinstance(inplace_cases.attempt(torch, form, method)[1], RuntimeError), (form, method)


def test_every_method_has_a_case():
    ours = {n for n in dir(torch.Tensor) if n.endswith("_") and not n.startswith("_")}
    tested = {m.partition(":")[0].partition(" ")[0] + "_" for m in inplace_cases.METHODS}
    # Integers only, activations by function, and what changes no elements.
    bits = {f"bitwise_{n}_" for n in ("and", "or", "xor", "not", "left_shift", "right_shift")}
    functions = {
        f"{n}_" for n in ("elu", "hardsigmoid", "hardswish", "hardtanh", "mish", "silu", "threshold")
    }
    others = {
        "apply_",
        "map_",
        "map2_",
        "fill_diagonal_",
        "requires_grad_",
        "resize_",
        "set_",
        "share_memory_",
        "swapdims_",
    }
    others |= {"acosh_", "arccosh_"}  # not a number for these elements
    others |= {f"{n}_" for n in "addmm addmv addbmm baddbmm addr float_power ldexp as_strided".split()}
    assert ours - tested == bits | functions | others
