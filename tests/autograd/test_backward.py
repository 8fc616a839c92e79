"""backward(), grad() and accumulation: values and texts are PyTorch's."""

import collections
import sys
import types
import warnings

import pytest

import pullback as torch

FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have "
    "already"
)
NO_GRAPH = "element 0 of tensors does not require grad and does not have a grad_fn"


def leaf(*values):
    return torch.tensor(list(values), requires_grad=True)


def refuses(kind, text, call, *args, **named):
    with pytest.raises(kind) as e:
        call(*args, **named)
    assert str(e.value).split("\n")[0].startswith(text), str(e.value)


def test_accumulates_into_the_same_object():
    x = leaf(1.0, 2.0, 3.0)
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 4, 6]
    first = x.grad
    (x * x).sum().backward()
    assert x.grad is first and first.tolist() == [4, 8, 12]
    (x * x).backward(torch.tensor([1.0, 0.0, 2.0]))
    assert first.tolist() == [6, 8, 24]
    x.grad = None
    (x * x).sum().backward()
    assert x.grad is not first and x.grad.tolist() == [2, 4, 6]


def test_freed_graphs():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward()
    refuses(RuntimeError, FREED, y.backward)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [6, 12]
    y = (x * 2).sum()
    y.backward()
    refuses(RuntimeError, FREED, y.backward)
    y = (x + x).sum()  # keeps nothing, so it may run again
    y.backward()
    y.backward()
    assert x.grad.tolist() == [12, 18]


def test_what_has_no_gradient():
    x = leaf(1.0, 2.0)
    refuses(RuntimeError, NO_GRAPH, torch.tensor([1.0]).backward)
    refuses(RuntimeError, NO_GRAPH, torch.tensor([1.0, 2.0]).backward)
    refuses(RuntimeError, NO_GRAPH, torch.autograd.backward, torch.tensor([1.0]))
    one = "element 1 of tensors does not require grad and does not have a grad_fn"
    refuses(RuntimeError, one, torch.autograd.grad, [x.sum(), torch.tensor(1.0)], x)
    refuses(RuntimeError, "grad can be implicitly created only for scalar outputs", (x * x).backward)
    refuses(
        RuntimeError, "grad can be implicitly created only for scalar outputs", torch.autograd.grad, x * x, x
    )


def test_given_gradients():
    x = leaf(1.0, 2.0, 3.0)
    text = (
        "Mismatch in shape: grad_output[0] has a shape of torch.Size([2]) and output[0] has a shape of "
        "torch.Size([3])."
    )
    refuses(RuntimeError, text, (x * x).backward, torch.tensor([1.0, 0.0]))
    refuses(TypeError, "'float' object is not iterable", (x * x).backward, 3.0)
    refuses(
        RuntimeError,
        "got 2 tensors and 1 gradients",
        torch.autograd.backward,
        [x.sum(), x.sum()],
        [torch.tensor(1.0)],
    )
    (x * x).backward(torch.tensor([1, 0, 2]))
    assert x.grad.tolist() == [2, 0, 12] and x.grad.dtype == torch.float32
    torch.autograd.backward([(x * x).sum(), x.sum()], [None, torch.tensor(2.0)])
    assert x.grad.tolist() == [6, 6, 20]
    w = torch.tensor(5.0, requires_grad=True)
    w.backward()
    w.backward()
    assert w.grad.item() == 2


def test_deprecated_arguments_warn():
    x = leaf(1.0)
    with pytest.warns(FutureWarning, match="`grad_variables` is deprecated. Use `grad_tensors` instead."):
        torch.autograd.backward((x * x).sum(), grad_variables=[torch.tensor(2.0)])
    assert x.grad.item() == 4
    with pytest.warns(FutureWarning, match="only_inputs argument is deprecated and is ignored now"):
        torch.autograd.grad((x * x).sum(), x, only_inputs=False)


def test_backward_into_inputs():
    a, b = leaf(1.0), leaf(2.0)
    h = a * b
    y = (h * h).sum()
    y.backward(inputs=[a], retain_graph=True)
    assert a.grad.tolist() == [8] and b.grad is None
    y.backward(inputs=[h, a], retain_graph=True)
    assert h.grad.tolist() == [4] and a.grad.tolist() == [16] and b.grad is None and h.retains_grad
    y.backward(inputs=[h])
    assert h.grad.tolist() == [8] and a.grad.tolist() == [16]
    c = leaf(1.0)
    (a * b).sum().backward(inputs=c)
    assert c.grad is None
    refuses(RuntimeError, "`inputs` argument to `backward()` cannot be empty.", a.sum().backward, inputs=[])
    text = "can't retain_grad on Tensor that has requires_grad=False"
    refuses(RuntimeError, text, a.sum().backward, inputs=[torch.tensor([1.0])])


def test_backward_into_inputs_runs_the_hooks_of_leaves():
    x, log = leaf(1.0, 2.0), []
    x.register_hook(lambda g: log.append(("hook", g.tolist())))
    x.register_post_accumulate_grad_hook(lambda t: log.append(("after", t.grad.tolist())))
    (x * x).sum().backward(inputs=[x])
    assert log == [("hook", [2, 4]), ("after", [2, 4])]


def test_grad():
    x, unused = leaf(1.0, 2.0), leaf(1.0)
    grad = torch.autograd.grad
    y = (x * x).sum()
    text = (
        "The differentiated Tensor at index {} appears to not have been used in the graph. Set "
        "allow_unused=True"
    )
    refuses(RuntimeError, text.format(0), grad, y, unused, retain_graph=True)
    refuses(RuntimeError, text.format(1), grad, y, [x, unused], retain_graph=True)
    got = grad(y, [x, unused], retain_graph=True, allow_unused=True)
    assert got[0].tolist() == [2, 4] and got[1] is None
    got = grad(y, [x, unused], retain_graph=True, materialize_grads=True)
    assert got[1].tolist() == [0]
    message = "Expected allow_unused to be True or not passed when materialize_grads=True"
    refuses(ValueError, message, grad, y, x, allow_unused=False, materialize_grads=True)
    refuses(
        RuntimeError, "One of the differentiated Tensors does not require grad", grad, y, torch.tensor(1.0)
    )
    refuses(RuntimeError, "`inputs` argument to `grad()` cannot be empty.", grad, y, [])
    refuses(RuntimeError, "all inputs have to be Tensors or GradientEdges, but got int", grad, y, [x, 3])
    assert x.grad is None
    assert grad(y, x)[0].tolist() == [2, 4]
    refuses(RuntimeError, FREED, grad, y, x)


def test_grad_of_inner_values_and_of_itself():
    x = leaf(1.0, 2.0)
    h = x * 2
    inner, outer = torch.autograd.grad((h * h).sum(), [h, x])
    assert inner.tolist() == [4, 8] and outer.tolist() == [8, 16] and x.grad is None
    one = torch.ones(2)
    assert torch.autograd.grad(x, x, one)[0].tolist() == [1, 1]
    h = x * 2
    assert torch.autograd.grad(h, h, one)[0].tolist() == [1, 1]


def test_batched_gradients():
    x = leaf(1.0, 2.0)
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    (g,) = torch.autograd.grad(x * x, x, rows, is_grads_batched=True)
    assert g.tolist() == [[2, 0], [0, 4], [2, 4]]
    z = leaf(1.0)
    named = {"grad_outputs": (rows, None), "is_grads_batched": True}
    g, none = torch.autograd.grad((x * x, x.sum()), (x, z), **named, allow_unused=True)
    assert g.tolist() == [[3, 1], [1, 5], [3, 5]] and none is None
    _, zero = torch.autograd.grad((x * x, x.sum()), (x, z), **named, materialize_grads=True)
    assert zero.tolist() == [0]  # as in PyTorch without the axis of rows
    (none,) = torch.autograd.grad(x * x, (z,), rows, is_grads_batched=True, allow_unused=True)
    assert none is None
    (g,) = torch.autograd.grad(x.sum(), x, None, is_grads_batched=True)
    assert g.tolist() == [1, 1]
    (g,) = torch.autograd.grad(x**3, x, rows, is_grads_batched=True, create_graph=True)
    g.sum().backward()
    assert x.grad.tolist() == [12, 24]


def test_batched_gradients_of_other_shapes():
    x = leaf(1.0, 2.0)
    text = "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch dim"
    for rows in (torch.ones(2, 3), torch.ones(2), torch.ones(())):
        with pytest.raises(RuntimeError) as e:
            torch.autograd.grad(x * x, x, rows, is_grads_batched=True)
        assert str(e.value).startswith(text) and f"grad_output[0] has a shape of {rows.shape}" in str(e.value)
    rows = torch.ones(3, 2)
    with pytest.raises(
        RuntimeError, match=r"^The differentiated Tensor at index 1 appears to not have been used"
    ):
        torch.autograd.grad(x * x, (x, leaf(1.0)), rows, is_grads_batched=True)


def test_batched_gradients_of_backwards_that_look_at_values():
    class Looking(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g * 2 if g[0].item() > 0 else g * 3

    x = leaf(1.0, 2.0)
    (g,) = torch.autograd.grad(Looking.apply(x * x), x, torch.eye(2), is_grads_batched=True)
    assert g.tolist() == [[4, 0], [0, 12]]


def test_a_gradient_that_is_a_leaf_stays_that_leaf():
    x, g = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (got,) = torch.autograd.grad(x, x, g, create_graph=True)
    del got
    (g * g).sum().backward()
    assert g.grad.tolist() == [6, 8]


def test_create_graph_warns_of_the_cycle():
    x = leaf(1.0)
    sys.modules["pullback.autograd.backward"]._warned_of_cycle = False  # it is said once
    with pytest.warns(
        UserWarning, match=r"Using backward\(\) with create_graph=True will create a reference cycle"
    ):
        (x * x).sum().backward(create_graph=True)
    assert x.grad.requires_grad and x.grad.tolist() == [2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (x * x).sum().backward(create_graph=True)
    x.grad = None


def test_layout_of_grad():
    x = torch.ones(2, 3).t().requires_grad_()
    (x * x).sum().backward()
    assert x.grad.stride() == x.stride() == (1, 3)
    x = torch.ones(4, 3)[::2].requires_grad_()
    (x * x).sum().backward()
    assert x.grad.stride() == (3, 1) and x.stride() == (6, 1)
    x = torch.ones(1).expand(3).requires_grad_()
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 2, 2] and x.grad.stride() == (1,)
    x = torch.ones(2, 3, requires_grad=True)
    x.sum().backward()
    assert x.grad.stride() == (3, 1)


def test_grad_shares_memory_with_nothing():
    x, g = leaf(1.0, 1.0), torch.tensor([1.0, 2.0])
    x.backward(g)
    g.add_(5)
    assert x.grad.tolist() == [1, 2]
    a, b = leaf(1.0), leaf(1.0)
    (a + b).backward()
    a.grad.add_(1)
    assert a.grad.tolist() == [2] and b.grad.tolist() == [1]
    x = leaf(1.0, 1.0)
    mine = torch.tensor([1.0, 1.0])
    x.grad = mine
    (x * 2).sum().backward()
    assert x.grad is mine and mine.tolist() == [3, 3]


def test_conversions_carry_gradients_back_in_their_own_type():
    x = torch.ones(2, requires_grad=True, dtype=torch.float64)
    (x.float() * 2).sum().backward()
    assert x.grad.dtype == torch.float64 and x.grad.tolist() == [2, 2]


def test_inputs_by_name():
    x, z = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0], requires_grad=True)
    named = {"x": x, "z": z}
    square = lambda: (x * x).sum()  # noqa: E731
    found = torch.autograd.grad(square(), named, allow_unused=True)
    assert list(found) == ["x", "z"] and found["x"].tolist() == [2, 4] and found["z"] is None
    assert torch.autograd.grad(square(), named, materialize_grads=True)["z"].tolist() == [0]
    rows = torch.autograd.grad(x * x, {"x": x}, torch.eye(2), is_grads_batched=True)
    assert rows["x"].tolist() == [[2, 0], [0, 4]]
    square().backward(inputs={"x": x})
    assert x.grad.tolist() == [2, 4]
    for kind in (collections.OrderedDict, types.MappingProxyType):
        for call, name in ((torch.autograd.grad, "grad"), (torch.autograd.backward, "backward")):
            with pytest.raises(TypeError) as e:
                call(square(), inputs=kind(named))
            assert str(e.value).split("\n")[0] == (
                f"`inputs` argument to `{name}()` must be a dict, not {kind.__name__}. Other Mapping types "
                "are not supported."
            )
    with pytest.raises(RuntimeError, match=r"^`inputs` argument to `grad\(\)` cannot be empty"):
        torch.autograd.grad(square(), {})
