"""Hooks on tensors, leaves and nodes: order, replacing, removing, errors. Behaviour and texts are "
"PyTorch's."""

import copy
import gc
import pickle
import threading
import weakref

import pytest

import pullback as torch


def leaf(*values):
    return torch.tensor(list(values), requires_grad=True)


def refuses(kind, text, call, *args):
    with pytest.raises(kind) as e:
        call(*args)
    assert str(e.value).split("\n")[0] == text


def test_order_replacing_and_removing():
    x, log = leaf(1.0, 2.0), []
    first = x.register_hook(lambda g: log.append(("a", g.tolist())))
    double = x.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: log.append(("c", g.tolist())))
    (x * x).sum().backward()
    assert log == [("a", [2, 4]), ("c", [4, 8])] and x.grad.tolist() == [4, 8]
    double.remove()
    first.remove()
    first.remove()
    log.clear()
    (x * x).sum().backward()
    assert log == [("c", [2, 4])] and x.grad.tolist() == [6, 12]


def test_non_leaf_and_retained_gradient():
    x, log = leaf(1.0, 2.0), []
    y = x * 2
    y.retain_grad()  # sees what the hooks made of the gradient, whenever it was asked for
    y.register_hook(lambda g: log.append(g.tolist()))
    y.register_hook(lambda g: g * 10)
    (y * y).sum().backward()
    assert log == [[4, 8]] and y.grad.tolist() == [40, 80] and x.grad.tolist() == [80, 160]


def test_hooks_and_grad():
    x = leaf(1.0, 2.0)
    y = x * 2
    y.register_hook(lambda g: g * 5)
    inner, outer = torch.autograd.grad((y * y).sum(), [y, x])
    assert inner.tolist() == [4, 8] and outer.tolist() == [40, 80]
    x.register_hook(lambda g: g * 5)
    assert torch.autograd.grad((x * x).sum(), x)[0].tolist() == [10, 20]


def test_hooks_of_a_node_belong_to_its_running():
    x = leaf(1.0)
    y = x * 2
    log = []
    for t, node in ((x, torch.autograd.graph.get_gradient_edge(x).node), (y, y.grad_fn)):
        t.register_hook(lambda g: g * 3)
        node.register_prehook(lambda g: (log.append("before"), (g[0] * 5,))[1])
        node.register_hook(lambda i, o: log.append([g if g is None else g.item() for g in i]))
    y.retain_grad()
    grad = torch.autograd.grad

    # What is only waited for gets what the tensor's hooks make of it; only what runs has the node's hooks.
    assert grad(y.sum(), y, retain_graph=True)[0].item() == 3 and y.grad.item() == 3 and log == []
    assert grad(y.sum(), x, retain_graph=True)[0].item() == 90 and log == ["before", [30, None]]
    log.clear()
    above, below = grad(y.sum(), [y, x], retain_graph=True)  # y's node runs now: what arrived is handed out
    assert (above.item(), below.item()) == (1, 90) and len(log) == 2
    log.clear()
    y.sum().backward(inputs=[y], retain_graph=True)  # runs, and goes nowhere
    assert log == ["before", [None, None]] and x.grad is None
    log.clear()
    y.sum().backward(inputs=[x], retain_graph=True)
    assert log == ["before", [30, None], "before", []] and x.grad.item() == 450


def test_hooks_do_not_see_gradients_that_nobody_asked_for():
    a, b, log = leaf(2.0), leaf(3.0), []
    c = a * b
    c.grad_fn.register_hook(lambda i, o: log.append([g if g is None else g.item() for g in i]))
    assert torch.autograd.grad(c.sum(), b, retain_graph=True)[0].item() == 2 and log == [[None, 2]]
    c.sum().backward()
    assert log[1:] == [[3, 2]]


def test_wrong_results():
    x = leaf(1.0, 2.0)

    def with_hook(hook):
        y = x * 2
        y.register_hook(hook)
        return (y * y).sum().backward

    refuses(RuntimeError, "hook '<lambda>' has changed the size of value", with_hook(lambda g: torch.ones(3)))
    refuses(TypeError, "expected Variable, but hook returned 'int'", with_hook(lambda g: 3))
    text = "hook '<lambda>' has changed the type of value (was torch.FloatTensor got torch.DoubleTensor)"
    refuses(RuntimeError, text, with_hook(lambda g: g.double()))
    assert x.grad is None


def test_where_hooks_cannot_be():
    text = "cannot register a hook on a tensor that doesn't require gradient"
    refuses(RuntimeError, text, torch.ones(1).register_hook, print)
    refuses(RuntimeError, text, torch.ones(1).register_post_accumulate_grad_hook, print)
    text = "post accumulate grad hooks cannot be registered on non-leaf tensors"
    refuses(RuntimeError, text, (leaf(1.0) * 2).register_post_accumulate_grad_hook, print)


def test_a_hook_that_raises_leaves_everything_usable():
    x = leaf(1.0, 2.0)

    def hook(g):
        raise KeyError("boom")

    handle = x.register_hook(hook)
    with pytest.raises(KeyError, match="boom"):
        (x * x).sum().backward()
    handle.remove()
    assert torch.is_grad_enabled() and x.grad is None
    (x * x).sum().backward()
    assert x.grad.tolist() == [2, 4]


def test_grad_mode_in_hooks():
    x, log = leaf(1.0), []
    y = x * x
    y.register_hook(lambda g: log.append((torch.is_grad_enabled(), g.requires_grad)))
    z = (y * y).sum()
    z.backward(retain_graph=True)
    torch.autograd.grad(z, x, create_graph=True)
    assert log == [(False, False), (True, True)]


def test_a_hook_may_remove_itself_and_handles_are_contexts():
    x, log = leaf(1.0), []

    def once(g):
        log.append(1)
        handle.remove()

    handle = x.register_hook(once)
    x.sum().backward()
    x.sum().backward()
    with x.register_hook(lambda g: log.append(2)):
        x.sum().backward()
    x.sum().backward()
    assert log == [1, 2]


def test_hooks_stay_with_the_old_value_of_a_changed_tensor():
    x, log = leaf(1.0, 2.0), []
    y = x * 2
    y.register_hook(lambda g: log.append(("before", g.tolist())))
    y.mul_(3)
    y.register_hook(lambda g: log.append(("after", g.tolist())))
    y.sum().backward()
    assert log == [("after", [1, 1]), ("before", [3, 3])]


def test_after_accumulation():
    x, log = leaf(1.0, 2.0), []
    x.register_post_accumulate_grad_hook(lambda t: log.append((t is x, t.grad.tolist())))
    free = x.register_post_accumulate_grad_hook(lambda t: setattr(t, "grad", None))
    x.register_hook(lambda g: log.append("hook"))
    (x * x).sum().backward()
    assert log == ["hook", (True, [2, 4])] and x.grad is None
    free.remove()
    log.clear()
    torch.autograd.grad((x * x).sum(), x)
    assert log == ["hook"]


def test_hooks_of_nodes():
    x, log = leaf(1.0, 2.0), []
    z = x.exp()
    z.grad_fn.register_hook(lambda i, o: log.append((i[0].tolist() == x.exp().tolist(), o[0].tolist())))
    z.grad_fn.register_prehook(lambda o: log.append(o[0].tolist()))
    z.sum().backward()
    assert log == [[1, 1], (True, [1, 1])]
    x.grad = None
    z = x * x
    z.grad_fn.register_prehook(lambda o: (o[0] * 2,))
    z.sum().backward()
    assert x.grad.tolist() == [4, 8]
    z = x.exp()
    z.grad_fn.register_hook(lambda i, o: ())
    text = "hook '<lambda>' has returned an incorrect number of values (got 0, but expected 1)"
    refuses(RuntimeError, text, z.sum().backward)
    z = x.exp()
    z.grad_fn.register_hook(lambda i, o: (torch.ones(3),))
    refuses(RuntimeError, "hook '<lambda>' has changed the size of value", z.sum().backward)


def test_order_of_all_kinds():
    x, log = leaf(1.0), []
    y = x * 1
    y.grad_fn.register_prehook(lambda o: log.append("node, before"))
    y.register_hook(lambda g: log.append("tensor"))
    y.grad_fn.register_hook(lambda i, o: log.append("node, after"))
    accumulate = y.grad_fn.next_functions[0][0]
    accumulate.register_prehook(lambda o: log.append("leaf's node, before"))
    accumulate.register_hook(lambda i, o: log.append((i, o[0].tolist(), x.grad.tolist())))
    x.register_hook(lambda g: log.append("leaf"))
    y.sum().backward()
    assert log == ["tensor", "node, before", "node, after", "leaf", "leaf's node, before", ((), [1], [1])]


def test_backward_within_a_hook():
    x, log = leaf(2.0), []

    def hook(g):
        with torch.enable_grad():
            t = leaf(3.0)
            (t * t * t).sum().backward()
        return g * t.grad

    y = x * x
    y.register_hook(hook)
    y.sum().backward()
    assert x.grad.tolist() == [108]
    x = leaf(2.0)
    y = x * x
    z = y * 3
    z.register_hook(
        lambda g: log.append(torch.autograd.grad(y, x, torch.ones(1), retain_graph=True)[0].item())
    )
    z.sum().backward()  # the same graph, in the middle of its own run
    assert log == [4] and x.grad.tolist() == [12]


def test_backward_many_levels_deep():
    log = []

    def descend(n):
        with torch.enable_grad():
            t = leaf(1.0)
            y = t * 2
            if n:
                y.register_hook(lambda g: descend(n - 1))
            y.sum().backward()
            log.append(t.grad.item())

    descend(60)
    assert log == [2.0] * 61


def test_backward_from_several_threads():
    x, wrong = torch.ones(1000, requires_grad=True), []

    def work(i):
        for k in range(100):
            w = torch.full((1000,), float(i), requires_grad=True)
            w.register_hook(lambda g: g * 2)
            ((w * x).sum() * k).backward()
            if w.grad[0].item() != 2 * k:
                wrong.append((i, k))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong and x.grad[0].item() == sum(range(4)) * sum(range(100))


def test_a_hook_that_holds_its_tensor_is_collected():
    class Marker:
        pass

    def make(x):
        y, marker = x * 2, Marker()
        y.register_hook(lambda g: (y, marker))
        x.register_hook(lambda g: (x, marker))
        return weakref.ref(marker)

    gone = make(leaf(1.0))
    gc.collect()
    gc.collect()  # the first round takes y, and with it the graph that leads to x
    assert gone() is None


def test_torchs_texts_for_what_hooks_of_nodes_return():
    def run(pre=None, post=None, op=lambda x: x * 2):
        x = leaf(1.0, 2.0)
        y = op(x)
        if pre:
            y.grad_fn.register_prehook(pre)
        if post:
            y.grad_fn.register_hook(post)
        y.sum().backward()
        return x.grad

    for result, name in ((torch.ones(2), "Tensor"), ([torch.ones(2)], "list"), (3, "int")):
        refuses(TypeError, f"expected tuple, but hook returned '{name}'", run, lambda g, r=result: r)
        refuses(TypeError, f"expected tuple, but hook returned '{name}'", run, None, lambda i, o, r=result: r)
    text = "hook '<lambda>' has returned an incorrect number of values (got 1, but expected 2)"
    refuses(RuntimeError, text, run, None, lambda i, o: (torch.ones(2),))
    assert run(lambda g: (None,)) is None  # no gradient goes on
    assert run(None, lambda i, o: (torch.ones(2) * 7, None)).tolist() == [7, 7]
    shown = []
    run(None, lambda i, o: shown.append([g is None for g in i]), lambda x: x + 3)
    run(None, lambda i, o: shown.append([g is None for g in i]), lambda x: torch.ones(2) * x)
    run(None, lambda i, o: shown.append([g is None for g in i]), lambda x: x * x)
    assert shown == [[False, True], [True, False], [False, False]]


def test_hooks_that_are_no_functions():
    class Callable:
        def __call__(self, g):
            return torch.ones(3)

    y = leaf(1.0, 2.0) * 2
    y.register_hook(Callable())
    refuses(RuntimeError, "hook '<unknown>' has changed the size of value", y.sum().backward)
    y = leaf(1.0, 2.0) * 2
    y.register_hook(3)
    refuses(TypeError, "'int' object is not callable", y.sum().backward)


def test_leaf_hooks_that_return_something():
    x = leaf(1.0)
    x.register_post_accumulate_grad_hook(lambda t: 3)
    refuses(TypeError, "expected Variable, but hook returned 'int'", x.sum().backward)
    x = leaf(1.0)
    (x * 2).grad_fn.next_functions[0][0].register_hook(lambda i, o: 3)
    y = x * 2
    node = y.grad_fn.next_functions[0][0]
    node.register_hook(lambda i, o: 3)
    refuses(TypeError, "expected tuple, but hook returned 'int'", y.sum().backward)


def test_accumulation_hooks_come_before_the_nodes_own():
    x, log = leaf(1.0), []
    y = x * 2
    node = y.grad_fn.next_functions[0][0]
    node.register_hook(lambda i, o: log.append("node"))
    x.register_post_accumulate_grad_hook(lambda t: log.append("accumulated"))
    y.sum().backward()
    assert log == ["accumulated", "node"]


def test_retained_gradients_lie_between_tensor_hooks_and_node_hooks():
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y.register_hook(lambda g: g * 2)
    y.grad_fn.register_prehook(lambda g: (g[0] * 10,))
    (y * 1).sum().backward()
    assert y.grad.tolist() == [2, 2] and x.grad.tolist() == [40, 40]


def test_hooks_off_the_way_to_what_grad_asks_for_do_not_run():
    x, y, log = leaf(1.0, 2.0), leaf(2.0), []
    x.register_hook(log.append)
    side = x * 3
    side.register_hook(log.append)
    torch.autograd.grad((side * y).sum(), y)
    assert log == []


def test_missing_gradients_of_several_outputs_are_none():
    x, log = leaf(1.0, 2.0), []
    a, b = x.unbind(0)
    b.register_hook(lambda g: log.append(g))
    a.grad_fn.register_prehook(lambda g: log.append([v is None for v in g]))
    a.grad_fn.register_hook(lambda i, o: log.append((len(i), [v is None for v in o])))
    a.backward()
    assert log == [None, [False, True], (1, [False, True])] and x.grad.tolist() == [1, 0]
    x, log = torch.tensor([[1.0, 2.0]], requires_grad=True), []
    values, _ = x.max(1)
    values.grad_fn.register_prehook(lambda g: log.append(len(g)))
    values.sum().backward()
    assert log == [1]  # indices have no gradient


def test_a_hook_that_changes_its_gradient_in_place():
    x = leaf(1.0, 2.0)
    y = x * 2
    y.register_hook(lambda g: (g.mul_(3), None)[1])
    (y * torch.ones(2)).sum().backward()
    assert x.grad.tolist() == [6, 6]


def test_a_hook_that_starts_another_backward():
    x, log = leaf(1.0), []

    def on_its_own(g):
        z = leaf(3.0)
        with torch.enable_grad():
            (z * z).sum().backward()
        log.append(z.grad.tolist())

    @torch.enable_grad()
    def into_the_same_leaf(g):
        (x * 5).sum().backward()

    y = x * 2
    y.register_hook(on_its_own)
    y.register_hook(into_the_same_leaf)
    z = y * 3
    z.register_hook(lambda g: y.backward(torch.ones(1), retain_graph=True))  # the same graph, further down
    z.sum().backward()
    assert log == [[6]] * 2 and x.grad.tolist() == [2 + 5 + 6 + 5]


def test_handles_survive_copy_and_warn_in_pickles():
    x = leaf(1.0)
    handle = x.register_hook(lambda g: g * 2)
    copy.copy(handle).remove()
    x.sum().backward()
    assert x.grad.tolist() == [1]
    x.register_hook(print)
    with pytest.warns(
        UserWarning, match="backward hook <built-in function print> on tensor will not be seri"
    ):
        assert pickle.loads(pickle.dumps(x))._backward_hooks is None
    assert copy.deepcopy(x)._backward_hooks is None


def test_a_retained_gradient_is_its_own():
    x = torch.ones(3, requires_grad=True)
    z = x * 2
    w = z + 1
    z.retain_grad()
    w.retain_grad()
    w.sum().backward()
    assert z.grad.stride() == w.grad.stride() == (1,)
    assert z.grad.mul_(3).tolist() == [3, 3, 3] and w.grad.tolist() == [1, 1, 1]
    assert x.grad.tolist() == [2, 2, 2]
