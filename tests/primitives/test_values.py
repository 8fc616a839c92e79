"""Values and gradients against those that PyTorch computed (tests/oracles/export_ops.py wrote them down)."""

import json
import pathlib
import warnings

import numpy as np
import pytest
import value_cases

import pullback as torch

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


def assert_same(got, expected, ulps):
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    if got.dtype.kind != "f" or ulps == 0:
        np.testing.assert_array_equal(got, expected)
        return
    finite = np.abs(expected[np.isfinite(expected)])
    size = np.maximum(np.abs(expected), finite.max() * 0.25 if finite.size else 0)
    with np.errstate(over="ignore", invalid="ignore"):
        size = np.where(np.isfinite(size), size, 0)
        allowed = ulps * np.spacing(size)
    both = np.isfinite(expected) & np.isfinite(got)
    np.testing.assert_array_equal(np.where(both, 0, got), np.where(both, 0, expected))
    gap = np.abs(np.where(both, got, 0) - np.where(both, expected, 0))
    assert (gap <= allowed).all(), f"{(gap / np.maximum(allowed, 1e-300)).max() * ulps:.3g} ulps"


def test_oracle_has_the_cases():
    assert {label for label, _ in EXPECTED} == {label for label, *_ in value_cases.CASES}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", value_cases.CASES, ids=lambda c: c[0])
def test_value(case, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = value_cases.run(torch, *case, dtype)
    expected = EXPECTED[case[0], dtype]
    assert len(got) == len(expected)
    ulps = 0 if case[1] in EXACT else LOOSE.get(case[1], ULPS[dtype])
    for a, b in zip(got, expected, strict=True):
        assert_same(a, b, ulps)
