"""Names and edges of every node, and what they keep, against the graphs that PyTorch drew.

tests/oracles/export_graph.py wrote them down.
"""

import json
import pathlib

import graph_cases
import pytest

import pullback as torch
from pullback.autograd import saved_names as saved
from pullback.primitives.registry import methods, public

HERE = pathlib.Path(__file__).resolve().parent
ORACLE = json.loads((HERE.parent / "data" / "graph_oracle.json").read_text())
CASES = {label: call for label, *call in graph_cases.all_cases()}
# Where pullback differs, and why.
ELSEWHERE = {
    "__rmod__#1": "torch has no rule for number % tensor, and names the node so",
    "nn.functional.embedding#3": "max_norm is not supported",
    "inplace logical_not_/logical_not_in_place:0": "torch keeps the history of the value that is gone",
    "inplace logical_and_/logical_and_in_place:0": "torch keeps the history of the value that is gone",
    "inplace logical_or_/logical_or_in_place:0": "torch keeps the history of the value that is gone",
    "inplace logical_xor_/logical_xor_in_place:0": "torch keeps the history of the value that is gone",
}
for _name in ("acosh", "arccosh", "asinh", "arcsinh", "atanh", "arctanh"):
    _op = _name.replace("arc", "a")
    ELSEWHERE[f"inplace {_name}_/{_op}:0"] = "torch has a node without a rule for this form"
UNKNOWN = {"AsStridedBackward1", "AcoshBackward1", "AsinhBackward1", "AtanhBackward1"}
# Ops without a function of torch's that draws their node.
NOT_TORCHS = {"fma"}
GROUPS = sorted({label.split("/")[0].split("#")[0].split(":")[-1] for label in ORACLE["pictures"]})


def draw(label):
    out = graph_cases.run(torch, label, *CASES[label])
    return [graph_cases.picture(o.grad_fn, o.output_nr) for o in out]


@pytest.mark.parametrize("group", GROUPS)
def test_graphs(group):
    labels = [k for k in ORACLE["pictures"] if k.split("/")[0].split("#")[0].split(":")[-1] == group]
    for label in labels:
        if label not in ELSEWHERE:
            assert draw(label) == ORACLE["pictures"][label], label


def test_the_differences_are_differences():
    for label in ELSEWHERE:
        try:
            assert draw(label) != ORACLE["pictures"][label], label
        except (NotImplementedError, AttributeError):
            continue


def test_every_public_op_has_a_graph():
    drawn = " ".join(p for pictures in ORACLE["pictures"].values() for p in pictures)
    for name, f in {**methods, **public}.items():
        for d in getattr(f, "declarations", ()):
            mine = f"inplace {name}/{d.name}:0" in ELSEWHERE or name in NOT_TORCHS
            if d.differentiable and not name.startswith("_") and not mine:
                assert d.node_name in drawn, f"{name}: {d.node_name}; run tests/oracles/export_graph.py"


def not_saved():
    lines = (HERE / "not_saved.txt").read_text().splitlines()[2:]
    return {tuple(line.split(":")[0].split()) for line in lines}


NOT_SAVED = not_saved()
SEEN = set()


@pytest.mark.parametrize("name", [n for n in ORACLE["saved"] if n not in UNKNOWN])
def test_saved_values(name):
    for label, expected in ORACLE["saved"][name].items():
        if label in ELSEWHERE:
            continue
        node = next(
            n for n in graph_cases.nodes(graph_cases.run(torch, label, *CASES[label])) if n.name() == name
        )
        offered = [a.removeprefix("_saved_") for a in dir(node) if a.startswith("_saved_")]
        assert sorted(offered) == sorted(expected)
        for attribute, value in expected.items():
            got = graph_cases.saved_value(getattr(node, "_saved_" + attribute))
            assert got == value or (name, attribute) in NOT_SAVED, (label, attribute, value, got)
            if got != value:
                SEEN.add((name, attribute))


def test_the_list_of_what_is_not_saved_is_true():
    for name in ORACLE["saved"]:
        if name not in UNKNOWN:
            test_saved_values(name)
    assert SEEN == NOT_SAVED


def test_names_of_nodes_that_torch_does_not_have():
    x = torch.tensor([2.0], requires_grad=True)
    (g,) = torch.autograd.grad(x.exp().sum(), x, create_graph=True)
    # One node where torch has several: it has the name and the attributes of the last, and keeps more.
    assert g.grad_fn.name() == "MulBackward0" and saved.names(g.grad_fn) == ["other", "self"]
    assert g.grad_fn._saved_self is None
    assert saved.names(torch.fma(x, x, x).grad_fn) == ["self", "other", "third", "result"]
    with pytest.raises(AttributeError, match="'ExpBackward0' object has no attribute '_saved_self'"):
        _ = x.exp().grad_fn._saved_self


def test_what_is_freed_and_what_is_not():
    x = torch.tensor([[2.0, 3.0]], requires_grad=True)
    y = x.exp().sum(1)
    node, inner = y.grad_fn, y.grad_fn.next_functions[0][0]
    y.sum().backward()
    assert node._saved_dim == (1,) and node._saved_self_sym_sizes == (1, 2) and not node._saved_keepdim
    with pytest.raises(
        RuntimeError, match="directly access saved tensors after they have already been freed"
    ):
        _ = inner._saved_result
