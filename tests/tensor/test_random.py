"""The public random functions draw what PyTorch drew (tests/data/random_oracle.json), and read its states."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

import pullback as torch

TESTS = Path(__file__).resolve().parent.parent
ORACLE = json.loads((TESTS / "data" / "random_oracle.json").read_text())


def load_exporter():
    spec = importlib.util.spec_from_file_location("export_random", TESTS / "oracles" / "export_random.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


exporter = load_exporter()


def check(out: np.ndarray, call: dict) -> None:
    """The bytes are torch's; where the C library has a say, within four units in the last place."""
    if "sha" in call:
        if hashlib.sha256(out.tobytes()).hexdigest()[:32] == call["sha"]:
            return
        kept, ours = call["head"], out.ravel()[:8]
    else:
        kept, ours = call["values"], out.ravel()
    theirs = np.frombuffer(base64.b64decode(kept), out.dtype)
    if call.get("libm") and out.dtype.kind == "f":
        spacing = np.spacing(np.maximum(np.abs(ours), np.abs(theirs)))
        assert np.all((ours == theirs) | (np.abs(ours - theirs) <= 4 * spacing)), (call, ours, theirs)
    else:
        assert "values" in call and np.array_equal(ours, theirs), (call, ours, theirs)


@pytest.mark.filterwarnings("ignore:.* is out of bounds for:UserWarning")
@pytest.mark.parametrize(
    "case",
    ORACLE["cases"],
    ids=lambda c: "-".join([c["calls"][0]["fill"], c["calls"][0]["dtype"], str(c["seed"])]),
)
def test_draws_what_torch_draws(case):
    torch.manual_seed(case["seed"])
    for call in case["calls"]:
        check(exporter.call_of(torch, call["fill"], call["dtype"], call["n"], call["args"]).numpy(), call)
    state = torch.get_rng_state().numpy().tobytes()
    assert hashlib.sha256(state).hexdigest()[:32] == case["state"]


def test_reads_a_state_that_torch_wrote():
    """Three normals after seed 5 leave a fourth behind; both streams go on with it."""
    state = np.frombuffer(base64.b64decode(ORACLE["state_after_seed_5_randn_3"]), np.uint8).copy()
    torch.manual_seed(5)
    torch.randn(3)
    ours = torch.randn(2)
    torch.set_rng_state(torch.from_numpy(state))
    assert torch.equal(torch.randn(2), ours)


def test_generators_are_streams_of_their_own():
    g = torch.Generator().manual_seed(7)
    torch.manual_seed(0)
    first = torch.rand(4, generator=g)
    assert torch.equal(torch.rand(2), torch.tensor([0.49625658988952637, 0.7682217955589294]))
    g.manual_seed(7)
    assert torch.equal(torch.rand(4, generator=g), first)
    assert g.initial_seed() == 7 and torch.initial_seed() == 0


def test_filling_a_tensor_on_the_tape_forgets_its_history():
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    y.normal_()
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_filling_a_leaf_is_refused():
    x = torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"^a leaf Variable that requires grad is being used"):
        x.uniform_()
    assert x.tolist() == [1.0, 1.0, 1.0]
    with torch.no_grad():
        assert x.uniform_() is x
    assert x.tolist() != [1.0, 1.0, 1.0]
