"""Changing saved tensors in place, telling of changes made elsewhere, and hooks on several gradients."""

import gc
import weakref

import pytest

import pullback as torch
from pullback.autograd import graph
from pullback.errors import InplaceError


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


# ---- allow_mutation_on_saved_tensors ----


CHANGES = {
    "sin_": lambda t: t.sin_(),
    "zero_": lambda t: t.zero_(),
    "fill_": lambda t: t.fill_(3),
    "copy_": lambda t: t.copy_(torch.ones(2)),
    "uniform_": lambda t: t.detach().uniform_(),
    "slice": lambda t: t.__setitem__(0, 7.0),
    "view": lambda t: t[1:].mul_(2),
    "alias": lambda t: t.detach().add_(1),
    "itself": lambda t: t.mul_(t),
    "with its alias": lambda t: t.mul_(t.detach()),
    "out": lambda t: torch.add(torch.ones(2), 1, out=t.detach()),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_saved_tensor_may_change(change):
    a = leaf(1.0, 2.0)
    with graph.allow_mutation_on_saved_tensors():
        b = a.clone()
        out = (b**2).sum()
        change(b)
        out.backward()
    assert a.grad.tolist() == [2, 4]


def test_an_optimizer_may_change_saved_parameters():
    w = torch.nn.Parameter(torch.tensor([2.0]))
    optimizer = torch.optim.SGD([w], lr=1.0)
    with graph.allow_mutation_on_saved_tensors():
        out = (w * w).sum()
        w.grad = torch.ones(1)
        optimizer.step()
        out.backward()
    assert w.tolist() == [1] and w.grad.tolist() == [5]


def test_changes_of_changes():
    a = leaf(2.0)
    with graph.allow_mutation_on_saved_tensors() as context:
        b = a * 1
        first = b.exp()
        b.mul_(3)
        second = (b * b).sum()
        b.add_(1)
        first.mul_(2)
        assert len(context.cloned) == 2 and len(context.original) == 0
        (first.sum() + second).backward()
        assert len(context.cloned) == 0
    expected = 2 * torch.tensor(2.0).exp() + 36
    assert torch.allclose(a.grad, expected)


def test_a_clone_is_made_only_where_something_changes_and_dies_with_the_graph():
    a = torch.ones(1000, requires_grad=True)
    live = lambda: torch._core.allocator_statistics()["live_bytes"]  # noqa: E731
    with graph.allow_mutation_on_saved_tensors():
        y = a.exp()
        before = live()
        z = y.exp()
        assert live() - before < 6000
        y.zero_()
        assert live() - before >= 8000
        del z
        assert live() - before < 6000  # a and y are alive; the clone of y for its own node is, too


def test_refusals_outside_of_the_context():
    a = leaf(2.0)
    text = "Trying to backward outside of the 'allow_mutation_on_saved_tensors' contextin which the graph was"
    with graph.allow_mutation_on_saved_tensors():
        y = (a.clone() ** 2).sum()
        with pytest.raises(RuntimeError, match="allow_mutation_on_saved_tensors contexts cannot be nested"):
            with graph.allow_mutation_on_saved_tensors():
                pass
    with pytest.raises(AssertionError, match=text):
        y.backward()
    with graph.allow_mutation_on_saved_tensors(), pytest.raises(AssertionError, match=text):
        y.backward()
    with pytest.raises(KeyError), graph.allow_mutation_on_saved_tensors():
        raise KeyError
    b = a.clone()
    y = (b**2).sum()
    b.add_(1)
    with pytest.raises(InplaceError):  # everything is as before
        y.backward()


# ---- increment_version ----


def test_increment_version_is_noticed():
    a = leaf(2.0)
    b = a * 1
    y = (b * b).sum()
    graph.increment_version(b)
    assert b._version == 1
    with pytest.raises(InplaceError, match="is at version 1; expected version 0"):
        y.backward()
    graph.increment_version([a, b])
    graph.increment_version(t for t in (a, b))
    assert (a._version, b._version) == (2, 3)


def test_increment_version_refuses_other_things():
    with pytest.raises(RuntimeError, match=r"^increment_version expect a Iterable\[Tensor\] as input"):
        graph.increment_version(3)
    with pytest.raises(
        RuntimeError, match=r"^increment_version expects each element of the iterable to be a"
    ):
        graph.increment_version([torch.ones(1), 3])


# ---- register_multi_grad_hook ----


def values(gradients):
    return [None if g is None else g.tolist() for g in gradients]


def test_a_hook_on_all_gradients_that_a_backward_reaches():
    a, b, calls = leaf(1.0), leaf(3.0), []
    c, d, e = a * b, a * b, b * 2
    handle = graph.register_multi_grad_hook((a, b, c, d, e), lambda grads: calls.append(values(grads)))
    c.sum().backward(retain_graph=True)
    c.sum().backward(inputs=(a,), retain_graph=True)
    torch.autograd.grad(c.sum(), b, retain_graph=True)
    (c + d).sum().backward(retain_graph=True)
    assert calls == [
        [[3.0], [1.0], [1.0], None, None],
        [[3.0], None, [1.0], None, None],
        [None, [1.0], [1.0], None, None],
        [[6.0], [2.0], [1.0], [1.0], None],
    ]
    handle.remove()
    c.sum().backward()
    assert len(calls) == 4


def test_a_hook_on_the_first_gradient():
    a, b, plain, calls = leaf(1.0), leaf(3.0), torch.ones(1), []
    c = a * b
    handle = graph.register_multi_grad_hook((a, b, c, plain), lambda g: calls.append(g.tolist()), mode="any")
    c.sum().backward(retain_graph=True)
    c.sum().backward(retain_graph=True)
    assert calls == [[1.0], [1.0]]
    handle.remove()
    c.sum().backward()
    assert len(calls) == 2


def test_hooks_of_siblings_that_nobody_asked_for_stay_silent():
    a, b, calls = leaf(1.0), leaf(3.0), []
    c = a * 1
    b.register_hook(lambda g: calls.append("b"))
    c.register_hook(lambda g: calls.append("c"))
    torch.autograd.grad((c * b).sum(), b, retain_graph=True)
    assert calls == ["b"]
    torch.autograd.grad((c * b).sum(), a)
    assert calls == ["b", "c"]


def test_an_error_in_the_hook_does_not_reach_the_next_backward():
    a, b, calls = leaf(1.0), leaf(3.0), []

    def hook(grads):
        calls.append(values(grads))
        if len(calls) == 1:
            raise KeyError("hook")

    y = (a * b).sum()
    graph.register_multi_grad_hook((a, b), hook)
    with pytest.raises(KeyError, match="hook"):
        y.backward(retain_graph=True)
    y.backward()
    assert calls == [[[3.0], [1.0]]] * 2


def test_refusals_of_hooks_on_several_gradients():
    with pytest.raises(ValueError, match=r"^Expects mode to be one of \('all', 'any'\) but got x"):
        graph.register_multi_grad_hook((leaf(1.0),), print, mode="x")
    with pytest.raises(AssertionError, match=r"^Expected gradient function to be set"):
        graph.register_multi_grad_hook((leaf(1.0), torch.ones(1)), print)
    assert graph.register_multi_grad_hook((), print).remove() is None


def test_the_hook_keeps_nothing_alive():
    class Box:
        pass

    a, box = leaf(1.0), Box()
    gone = weakref.ref(box)
    y = a * 2
    graph.register_multi_grad_hook((y,), lambda grads, box=box: None)
    y.sum().backward()
    del y, box
    gc.collect()
    assert gone() is None
