"""Values and gradients against those that PyTorch computed (tests/oracles/export_ops.py wrote them down)."""

import json
import pathlib

import numpy as np
import pytest

import pullback as torch
from pullback.checking import value_cases, values

ORACLE = pathlib.Path(__file__).resolve().parent.parent / "data" / "ops_oracle.npz"
# How far a value may be from torch's, in last places of the largest value near it; 0: the same bits.
ULPS = {"float32": 4, "float64": 8}
# Where torch's own way is the less exact one: its running variance, and exp(-|x|) beside 1.
LOOSE = {
    "var": 100,
    "std": 100,
    "var_mean": 100,
    "sigmoid": 16,
    "nn.functional.gelu": 16,
    "lgamma": 16,
    "nn.functional.softmax": 8,
    "gelu": 16,
    "logaddexp2": 16,
    # Gradients that are small differences of large numbers, in another order than torch's.
    "nn.functional.layer_norm": 40,
    "nn.functional.group_norm": 40,
    "nn.functional.batch_norm": 40,
    "nn.functional.scaled_dot_product_attention": 40,
}
EXACT = set(
    """
    add sub mul div neg abs sign square relu floor ceil round trunc reciprocal maximum minimum fmax fmin
    clamp sum mean amax amin max min median sort topk kthvalue cummax cummin reshape permute transpose
    squeeze unsqueeze flatten expand repeat cat stack split chunk unbind narrow select tril triu flip roll
    diagonal unfold movedim tile gather scatter_add scatter index_select index_add index_copy take index_put
    masked_select __getitem__ where masked_fill lerp addcmul addcdiv nn.functional.embedding
    nn.functional.mse_loss nn.functional.l1_loss nn.functional.nll_loss cumsum
    """.split()
)


def load():
    with np.load(ORACLE) as file:
        arrays = {k: file[k] for k in file.files}
    at = dict.fromkeys(arrays, 0)
    expected = {}
    for label, dtype, listed in json.loads(str(arrays.pop("index"))):
        values = []
        for kind, shape in listed:
            n = int(np.prod(shape))
            values.append(arrays[kind][at[kind] : at[kind] + n].reshape(shape))
            at[kind] += n
        expected[label, dtype] = values
    return expected


EXPECTED = load()


def allowed(label, path, dtype):
    exact = path in EXACT and not label.startswith("rule ")  # which add by broadcasting, and scale
    return 0 if exact else LOOSE.get(path, ULPS[dtype])


def test_oracle_has_the_cases():
    known = {label for label, _ in EXPECTED if not label.startswith("rule ")}
    assert known == {label for label, *_ in value_cases.CASES}
    # A rule that is new, or has new cases, waits for the next export.
    rules = [label for label, *_ in values.rule_cases()]
    missing = [label for label in rules if (label, "float64") not in EXPECTED]
    assert len(missing) < len(rules) // 10, f"export anew, or put new cases behind the old: {missing}"


@pytest.mark.parametrize("dtype", values.DTYPES)
@pytest.mark.parametrize(
    "case", [c for c in values.all_cases() if (c[0], "float64") in EXPECTED], ids=lambda c: c[0]
)
def test_value(case, dtype):
    got, expected = values.run(torch, case, dtype), EXPECTED[case[0], dtype]
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        error, most = values.ulps(a, b), allowed(case[0], case[1], dtype)
        if error > most and case[1] in values.INEXACT:
            np.testing.assert_allclose(a, b, rtol=1e-5 if dtype == "float32" else 1e-8)
            continue
        assert error <= most, f"{error} ulps"


def test_distances_are_in_last_places():
    one = np.array([1.0, -3.0, np.inf])
    assert values.ulps(one, one) == 0
    assert values.ulps(one + np.array([2.0**-52, 0, 0]), one) == 1
    assert values.ulps(np.array([1.0, -3.0, 7.0]), one) == np.inf
    assert values.ulps(np.array([np.nan]), np.array([np.nan])) == 0
    assert values.ulps(np.array([np.nan]), np.array([1.0])) == np.inf
    assert values.ulps(one[:1], one) == np.inf
    assert values.worst_ulps([one], [one, one]) == np.inf


def test_committed_errors_are_those_of_the_oracle():
    measured = values.errors_against(lambda case, dtype: EXPECTED.get((case[0], dtype)))
    committed = json.loads(values.COMMITTED.read_text())
    for dtype in values.DTYPES:
        assert committed[dtype].keys() == measured[dtype].keys()
        for name, error in values.rounded(measured[dtype]).items():
            assert error <= committed[dtype][name] * 1.01 + 2, name


def test_parts_of_a_rule():
    from pullback.checking.cases import listed
    from pullback.primitives.registry import ops

    assert {"log_softmax", "sum", "exp"} & values.parts_of(ops["log_softmax"], listed())
    assert {"sin", "cos"} <= values.parts_of(ops["sin"], listed())
    # A function that is one rule decides about it, whatever the rule takes part in elsewhere.
    assert values.by_rule([(["sin"], 1.0), (["sin", "mul"], 5.0)])["sin"] == 1.0
    assert values.by_rule([(["sin", "mul"], 5.0)])["cos"] == 5.0
