"""The graph that Python sees: names, edges, identity, what nodes keep. Names are PyTorch's."""

import pytest

import pullback as torch

get_gradient_edge = torch.autograd.graph.get_gradient_edge
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


def leaf(*values):
    return torch.tensor(list(values), requires_grad=True)


def loss_of(x):
    y = x * 3
    return y, (y * y).sum()


@pytest.mark.parametrize("inputs", [lambda e: e, lambda e: [e], lambda e: {"x": e}])
def test_backward_to_an_edge_of_a_leaf(inputs):
    x = leaf(1.0, 2.0)
    edge = get_gradient_edge(x)
    torch.autograd.backward(loss_of(x)[1], inputs=inputs(edge))
    loss_of(x)[1].backward(inputs=inputs(edge))
    assert x.grad.tolist() == [36, 72]


def test_backward_to_an_edge_inside_keeps_nothing_of_itself():
    x = leaf(1.0, 2.0)
    y, loss = loss_of(x)
    torch.autograd.backward(loss, inputs=get_gradient_edge(y))
    assert x.grad is None and not y.retains_grad
    y, loss = loss_of(x)
    y.retain_grad()
    torch.autograd.backward(loss, inputs=[get_gradient_edge(y)])
    assert x.grad is None and y.grad.tolist() == [6, 12]


def test_backward_from_an_edge():
    x = leaf(1.0, 2.0)
    y, loss = loss_of(x)
    end, inner = get_gradient_edge(loss), get_gradient_edge(y)
    torch.autograd.backward(end, retain_graph=True)  # of one element: the gradient is 1
    torch.autograd.backward([end], [torch.tensor(2.0)], retain_graph=True)
    assert x.grad.tolist() == [54, 108]
    with pytest.warns(UserWarning, match="Anomaly"), torch.autograd.detect_anomaly():
        assert torch.autograd.grad(end, x, retain_graph=True)[0].tolist() == [18, 36]
    rows = torch.autograd.grad(inner, x, torch.eye(2), is_grads_batched=True)
    assert rows[0].tolist() == [[3, 0], [0, 3]]
    with pytest.raises(RuntimeError, match=r"^grad can be implicitly created only for scalar outputs"):
        torch.autograd.grad(inner, x)
    with pytest.raises(
        RuntimeError, match=r"^Mismatch in shape: grad_output\[0\] has a shape of torch.Size\(\[3"
    ):
        torch.autograd.grad(inner, x, torch.ones(3))
    with pytest.raises(
        RuntimeError, match=r"^materialize_grads cannot be used when the given input is a Grad"
    ):
        torch.autograd.grad(leaf(1.0).sum(), get_gradient_edge(x), materialize_grads=True)


def test_fields_of_edges():
    edge = get_gradient_edge(leaf(1.0))
    assert edge._fields == ("node", "output_nr", "ownership_token") and edge.ownership_token is None
    assert torch.autograd.graph.GradientEdge(edge.node, 0) == edge
    y, loss = loss_of(leaf(1.0))
    with pytest.raises(
        RuntimeError, match=r"^GradientEdge's first object must be an autograd.graph.Node but got N"
    ):
        torch.autograd.grad(loss, torch.autograd.graph.GradientEdge(None, 0))
    with pytest.raises(IndexError, match=r"^MulBackward0 has no output 3"):  # torch reads what lies there
        torch.autograd.grad(torch.autograd.graph.GradientEdge(y.grad_fn, 3), y, torch.ones(1))


def test_a_node_can_be_called():
    a, b, one = leaf(2.0), leaf(3.0), torch.ones(1)
    node = (a * b).grad_fn
    first, second = node(one)
    assert (first.item(), second.item()) == (3, 2) and first.requires_grad
    with torch.no_grad():
        assert [(g.item(), g.requires_grad) for g in node(one)] == [(3, False), (2, False)]  # still kept
    (again,) = torch.autograd.grad(node(a)[1], a)
    assert again.item() == 4 and node(None) == (None, None)
    assert (a * 5).grad_fn(one)[1] is None and a.sum().grad_fn(torch.tensor(1.0)).tolist() == [1]
    parts = leaf(1.0, 2.0).split(1)
    assert parts[0].grad_fn(one, None).tolist() == [1, 0]

    called = []
    y = a * b
    y.register_hook(called.append)
    y.grad_fn.register_prehook(called.append)
    y.grad_fn(one)
    assert not called  # hooks belong to a run of the engine
    a.register_post_accumulate_grad_hook(called.append)
    adds = get_gradient_edge(a).node
    assert adds(one) == adds(one) == () and a.grad.tolist() == [2] and len(called) == 2

    y.sum().backward()
    with pytest.raises(RuntimeError, match=r"^Trying to backward through the graph a second time"):
        y.grad_fn(one)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2


@pytest.mark.parametrize(
    ("args", "kwargs", "kind", "text"),
    [
        ((), {}, TypeError, "expected 1 arguments, got 0 instead"),
        ((None, None), {}, TypeError, "expected 1 arguments, got 2 instead"),
        ((1.0,), {}, TypeError, "argument 0 is not a Variable"),
        ((), {"g": None}, TypeError, "keyword arguments are not supported"),
        (
            (torch.ones(3),),
            {},
            RuntimeError,
            "Mismatch in shape: grad_output[0] has a shape of torch.Size([3]) and output[0] has a shape of "
            "torch.Size([1]).",
        ),
    ],
)
def test_wrong_calls_of_a_node(args, kwargs, kind, text):
    with pytest.raises(kind) as e:
        (leaf(1.0) * 2).grad_fn(*args, **kwargs)
    assert str(e.value).split("\n")[0] == text


def test_nodes_of_functions_are_not_called():
    with pytest.raises(TypeError, match=r"^'DoubledBackward' object is not callable"):
        Doubled.apply(leaf(1.0)).grad_fn(torch.ones(1))


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1, x.long()

    @staticmethod
    def backward(ctx, g, _):
        return g


def test_what_arrives_at_a_node():
    def described(node):
        return [(type(m).__name__, m.shape, m.dtype, m.device.type) for m in node._input_metadata]

    x, f = leaf(1.0, 2.0), torch.float32
    assert described((x * 3).grad_fn) == [("_InputMetadata", [2], f, "cpu")]
    assert described((x.double()[None] * 3).grad_fn) == [("_InputMetadata", [1, 2], torch.float64, "cpu")]
    assert described(x.max(0).values.grad_fn) == [("_InputMetadata", [], f, "cpu")]
    assert described(torch.nn.functional.gelu(x).grad_fn) == [("_InputMetadata", [2], f, "cpu")]
    assert described((x * 3).grad_fn.next_functions[0][0]) == [("_InputMetadata", [2], f, "cpu")]
    assert [m.shape for m in x.unbind()[0].grad_fn._input_metadata] == [[], []]
    shapes = [(m.shape, m.dtype, m.is_nested_tensor) for m in Rounded.apply(x)[0].grad_fn._input_metadata]
    assert shapes == [([2], f, False), ([], f, False)]
    assert torch.fmod(x, 2).grad_fn.name() == "FmodBackward0"
    assert not [a for a in dir(torch.fmod(x, 2).grad_fn) if a.startswith("_saved")]


@pytest.mark.parametrize("number", [2, 2.0, 3, -1, 0.5, 4, 1.5])
def test_numbers_keep_their_type(number):
    x = leaf(1.0, 2.0)
    for node, name in (((x**number).grad_fn, "exponent"), ((x * number).grad_fn, "other")):
        kept = getattr(node, f"_saved_{name}")
        assert kept == number and type(kept) is type(number)


def test_hooks_are_at_their_place_from_the_first_on():
    x = leaf(1.0, 2.0)
    y = x * 3
    y.register_hook(lambda g: g * 2)
    assert y.grad_fn._register_hook_dict(y) is None
    y.sum().backward()
    assert x.grad.tolist() == [6, 6]
    with pytest.raises(TypeError, match=r"^_register_hook_dict expected a variable"):
        y.grad_fn._register_hook_dict({})
