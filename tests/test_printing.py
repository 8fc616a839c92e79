"""Printed text: tensors, options, named tuples and the limits of dtypes, against what PyTorch printed."""

from __future__ import annotations

import copy
import gzip
import importlib.util
import json
import pickle
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import pullback as torch
from pullback import _return_types, numeric_limits, printing

HERE = Path(__file__).resolve().parent
REQUIRED = {"bool", "uint8", "int32", "int64", "float32", "float64"}


def load_exporter():
    spec = importlib.util.spec_from_file_location("export_printing", HERE / "oracles" / "export_printing.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


exporter = load_exporter()
oracle = json.loads(gzip.decompress((HERE / "data" / "printing_oracle.json.gz").read_bytes()))


def kind(case: dict) -> str:
    return "subclass" if "subclass" in case or case.get("history") == "parameter subclass" else case["dtype"]


groups = defaultdict(list)
for _case in oracle["cases"]:
    groups[kind(_case)].append(_case)


@pytest.fixture(autouse=True)
def default_options():
    torch.set_printoptions(profile="default")
    yield
    torch.set_printoptions(profile="default")
    torch.set_default_dtype(torch.float32)


def require(name: str) -> None:
    """Skips a dtype that tensors do not hold yet; the common ones are never skipped."""
    if name in REQUIRED:
        return
    try:
        torch.from_numpy(np.zeros(1, exporter.NUMPY_NAME.get(name, name))).to(getattr(torch, name)) + 0
    except (AttributeError, TypeError, RuntimeError, NotImplementedError) as error:
        pytest.skip(f"no {name} tensors: {error}")


def test_the_oracle_is_large():
    assert len(oracle["cases"]) >= 2000
    assert set(groups) >= REQUIRED | {"subclass"}


@pytest.mark.parametrize("group", sorted(groups))
def test_repr(group):
    if group != "subclass":
        require(group)
    for case in groups[group]:
        if group == "subclass" and case["dtype"] not in REQUIRED:
            continue
        text = exporter.render(torch, case)
        described = {key: value for key, value in case.items() if key not in ("text", "values")}
        assert text == case["text"], f"{described}\nexpected\n{case['text']}\ngot\n{text}"


def test_str_is_repr():
    for t in (torch.tensor(1.5), torch.tensor([[1, 2]]), torch.nn.Parameter(torch.zeros(2))):
        assert str(t) == repr(t) == f"{t!s}"


def test_contents_can_be_replaced():
    assert torch.zeros(2).__repr__(tensor_contents="...") == "tensor(...)"
    assert torch.zeros(0, 2).__repr__(tensor_contents="...") == "tensor(..., size=(0, 2))"


def test_big_tensors_cost_what_is_shown():
    t = torch.from_numpy(np.zeros((4000, 5000), np.float32))
    start = time.perf_counter()
    text = repr(t)
    assert time.perf_counter() - start < 0.5  # visiting every element takes seconds
    assert text.count("...") == 7


def test_format():
    assert f"{torch.tensor(1.5):.3f}" == "1.500"
    assert f"{torch.tensor(7):5d}" == "    7"
    assert f"{torch.tensor(1.5, requires_grad=True):.2f}" == "1.50"
    assert f"{torch.tensor(1.5)}" == "1.5"
    assert f"{torch.tensor([1.5])}" == "tensor([1.5000])"
    assert f"{torch.nn.Parameter(torch.tensor(1.0))}" == (
        "Parameter containing:\ntensor(1., requires_grad=True)"
    )


def test_format_errors():
    with pytest.raises(TypeError, match=r"^unsupported format string passed to Tensor.__format__"):
        format(torch.tensor([1.5]), ".3f")
    with pytest.raises(TypeError, match=r"^unsupported format string passed to Parameter.__format__"):
        format(torch.nn.Parameter(torch.tensor(1.5)), ".3f")
    with pytest.raises(ValueError, match=r"^Unknown format code 'd' for object of type 'float'"):
        format(torch.tensor(1.5), "d")


def options(**changes) -> dict:
    return {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None} | changes


def test_set_printoptions():
    assert printing.get_printoptions() == options()
    torch.set_printoptions(precision=7, sci_mode=True)
    assert printing.get_printoptions() == options(precision=7, sci_mode=True)
    torch.set_printoptions(linewidth=100)  # sci_mode is forgotten, as in torch
    assert printing.get_printoptions() == options(precision=7, linewidth=100)
    torch.set_printoptions(profile="short", precision=9)
    assert printing.get_printoptions() == options(precision=9, edgeitems=2, linewidth=80)
    torch.set_printoptions(profile="full")
    assert printing.get_printoptions() == options(threshold=float("inf"))


def test_printoptions_restores_after_an_error():
    torch.set_printoptions(precision=2, sci_mode=False)
    before = printing.get_printoptions()
    with pytest.raises(ZeroDivisionError), printing.printoptions(profile="short", threshold=3):
        assert printing.get_printoptions() == options(precision=2, edgeitems=2, threshold=3)
        raise ZeroDivisionError
    assert printing.get_printoptions() == before


def test_tangent_and_levels():
    t = torch.tensor([1.0, 2.0])
    assert printing.tensor_repr(t, tangent=t) == "tensor([1., 2.], tangent=tensor([1., 2.]))"
    inner = printing.level_repr("BatchedTensor", "tensor([[0.],\n        [0.]])", lvl=1, bdim=0)
    assert inner == "BatchedTensor(lvl=1, bdim=0, value=\n    tensor([[0.],\n            [0.]])\n)"
    outer = printing.level_repr("GradTrackingTensor", "tensor(0.)", lvl=2)
    assert outer == "GradTrackingTensor(lvl=2, value=\n    tensor(0.)\n)"


# -- named tuples --------------------------------------------------------------------------------------------


def test_return_type_prints_like_torch():
    t = torch.tensor([[1.0, 2.0]])
    made = _return_types.max((t, torch.tensor([1])))
    expected = "torch.return_types.max(\nvalues=tensor([[1., 2.]]),\nindices=tensor([1]))"
    assert repr(made) == str(made) == expected
    assert made.values is made[0] is t


def test_return_type_is_a_tuple():
    made = _return_types.sort(["a", "b"])
    values, indices = made
    assert (values, indices) == ("a", "b") == made
    assert made.n_fields == made.n_sequence_fields == 2
    assert made.__match_args__ == ("values", "indices")
    for again in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert again == made and type(again) is type(made)
    assert _return_types.make_return_type("sort", ["values", "indices"]) is type(made)


def test_return_type_errors():
    kind = _return_types.max
    with pytest.raises(TypeError, match=r"^torch.return_types.max\(\) takes a 2-sequence \(1-seq"):
        kind((1,))
    with pytest.raises(TypeError, match=r"^constructor requires a sequence"):
        kind(5)
    with pytest.raises(AttributeError, match=r"^'torch.return_types.max' object has no attribute 'foo'"):
        _ = kind((1, 2)).foo
    with pytest.raises(AttributeError, match=r"^readonly attribute"):
        kind((1, 2)).values = 3
    with pytest.raises(TypeError, match=r"^type 'torch.return_types.max' is not an acceptable base type"):
        type("Sub", (kind,), {})
    with pytest.raises(ValueError, match=r"'max' has the fields"):
        _return_types.make_return_type("max", ["a", "b"])
    with pytest.raises(AttributeError, match=r"has no attribute 'nothing'"):
        _ = _return_types.nothing


# -- limits --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", oracle["limits"], ids=lambda row: f"{row['what']}-{row['dtype']}")
def test_limits(row):
    if not hasattr(torch, row["dtype"]):
        assert row["dtype"] not in REQUIRED
        pytest.skip(f"no dtype {row['dtype']}")
    make, dtype = getattr(numeric_limits, row["what"]), getattr(torch, row["dtype"])
    if "error" in row:
        with pytest.raises(TypeError) as caught:
            make(dtype)
        assert str(caught.value).startswith(row["error"])
        return
    made = make(dtype)
    assert repr(made) == row["text"]
    assert {name: getattr(made, name) for name in row["values"]} == row["values"]
    assert made == make(type=dtype) and not made != make(dtype)


def test_limits_of_the_default_dtype():
    assert numeric_limits.finfo() == numeric_limits.finfo(torch.float32)
    torch.set_default_dtype(torch.float64)
    assert numeric_limits.finfo() == numeric_limits.finfo(float)


def test_limits_errors():
    finfo, iinfo = numeric_limits.finfo, numeric_limits.iinfo
    with pytest.raises(TypeError, match=r"^finfo\(\): argument 'type' \(position 1\) must be torch.dtype, n"):
        finfo("float32")
    with pytest.raises(TypeError, match=r'^iinfo\(\) missing 1 required positional arguments: "type"'):
        iinfo()
    with pytest.raises(TypeError, match=r"^finfo\(\) received an invalid combination of arguments - got \(t"):
        finfo(torch.float32, 1)
    with pytest.raises(AttributeError, match=r"^attribute 'eps' of 'torch.finfo' objects is not writable"):
        finfo(torch.float32).eps = 1
    with pytest.raises(AttributeError, match=r"^'torch.iinfo' object has no attribute 'eps'"):
        _ = iinfo(torch.int32).eps
    with pytest.raises(TypeError, match=r"^unhashable type"):
        hash(finfo(torch.float32))
    with pytest.raises(TypeError, match=r"^'<' not supported between instances of"):
        _ = finfo(torch.float32) < finfo(torch.float64)
