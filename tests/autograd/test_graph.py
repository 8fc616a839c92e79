"""The graph that Python sees: names, edges, identity, what nodes keep. Names are PyTorch's."""

import pytest

import pullback as torch

LEAF = "torch::autograd::AccumulateGrad"


def picture(node, depth=2):
    if node is None:
        return "-"
    if node.name() == LEAF:
        return "leaf"
    if not depth:
        return node.name()
    edges = (picture(n, depth - 1) + (f"#{i}" if i else "") for n, i in node.next_functions)
    return f"{node.name()}({', '.join(edges)})"


def element_set(x):
    y = x * 1
    y[0].mul_(2)
    return y


PICTURES = {
    "AddBackward0(leaf, leaf)": lambda x: x + x,
    "SubBackward0(leaf, -)": lambda x: x - 1,
    "RsubBackward1(leaf)": lambda x: 1 - x,
    "MulBackward0(leaf, -)": lambda x: x * 2,
    "MulBackward0(leaf, ExpBackward0(leaf))": lambda x: x * x.exp(),
    "DivBackward0(leaf, -)": lambda x: x / 2,
    "PowBackward0(leaf)": lambda x: x**2,
    "NegBackward0(leaf)": lambda x: -x,
    "SumBackward0(leaf)": lambda x: x.sum(),
    "SumBackward1(leaf)": lambda x: x.sum(1),
    "MeanBackward0(leaf)": lambda x: x.mean(),
    "ViewBackward0(leaf)": lambda x: x.view(6),
    "SelectBackward0(leaf)": lambda x: x[0],
    "SliceBackward0(leaf)": lambda x: x[:, 1:],
    "UnsqueezeBackward0(leaf)": lambda x: x[None],
    "WhereBackward0(leaf, MulBackward0)": lambda x: torch.where(x > 0, x, x * 2),
    "CatBackward0(leaf, leaf)": lambda x: torch.cat([x, x]),
    "StackBackward0(leaf, leaf)": lambda x: torch.stack([x, x]),
    "GatherBackward0(leaf)": lambda x: x.gather(1, torch.zeros(2, 1, dtype=torch.int64)),
    "IndexSelectBackward0(leaf)": lambda x: x.index_select(0, torch.tensor([0])),
    "MaskedFillBackward0(leaf)": lambda x: x.masked_fill(x > 0, 1.0),
    "ToCopyBackward0(leaf)": lambda x: x.double(),
    "CloneBackward0(leaf)": lambda x: x.clone(),
    "ExpandBackward0(leaf)": lambda x: x.expand(4, 2, 3),
    "torch::autograd::CopySlices(MulBackward0(leaf, -), -)": element_set,
    "UnbindBackward0(leaf)": lambda x: x.unbind()[1],
    "SplitBackward0(leaf)": lambda x: x.split(1)[1],
}


@pytest.mark.parametrize("expected", PICTURES)
def test_names_and_edges(expected):
    x = torch.ones(2, 3, requires_grad=True)
    y = PICTURES[expected](x)
    depth = 1 if "MulBackward0)" in expected else 2
    assert picture(y.grad_fn, depth) == expected


def test_identity():
    x = torch.ones(2, requires_grad=True)
    y, z = x * 3, x * 2
    node = y.grad_fn
    assert node is y.grad_fn and node.next_functions[0][0] is z.grad_fn.next_functions[0][0]
    w = y + z
    assert w.grad_fn.next_functions == ((node, 0), (z.grad_fn, 0))
    node.metadata["note"] = 1
    assert y.grad_fn.metadata == {"note": 1}
    assert type(node).__name__ == "MulBackward0" and repr(node).startswith("<MulBackward0 object at 0x")
    assert isinstance(node, torch.autograd.graph.Node)
    with pytest.raises(AttributeError, match="'MulBackward0' object has no attribute 'foo'"):
        _ = node.foo


def test_outputs_of_one_node():
    a, b = (torch.ones(2, requires_grad=True) * 1).unbind(0)
    assert (a.output_nr, b.output_nr) == (0, 1) and a.grad_fn is b.grad_fn
    assert [i for _, i in (a * b).grad_fn.next_functions] == [0, 1]
    values, positions = torch.ones(1, 2, requires_grad=True).max(1)
    assert (
        values.grad_fn.name() == "MaxBackward0" and positions.grad_fn is None and not positions.requires_grad
    )


def test_the_leaf_behind_a_node():
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    accumulate = y.grad_fn.next_functions[0][0]
    assert accumulate.name() == LEAF and accumulate.variable is x and accumulate.next_functions == ()
    del x  # only the graph keeps it now
    assert accumulate.variable.tolist() == [1, 1]
    y.sum().backward()
    assert accumulate.variable.grad.tolist() == [2, 2]
    accumulate.variable.zero_grad = 3  # attributes survive as well
    assert accumulate.variable.zero_grad == 3


def test_gradient_edges():
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    edge = torch.autograd.graph.get_gradient_edge(y)
    assert edge.node is y.grad_fn and edge.output_nr == 0
    assert torch.autograd.graph.get_gradient_edge(x).node.name() == LEAF
    with pytest.raises(
        RuntimeError, match="It is not possible to get the gradient edge for a Tensor that does not"
    ):
        torch.autograd.graph.get_gradient_edge(torch.ones(1))


def test_saved_values():
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x.exp()
    assert y.grad_fn._saved_result.tolist() == y.tolist()
    node = x.pow(2)
    assert node.grad_fn._saved_self is x and node.grad_fn._saved_exponent == 2
    node.sum().backward()
    with pytest.raises(
        RuntimeError, match="directly access saved tensors after they have already been freed"
    ):
        _ = node.grad_fn._saved_self
    assert x.grad.tolist() == [2, 4] and x.requires_grad
