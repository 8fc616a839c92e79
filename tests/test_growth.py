"""Training does not grow: memory and objects stay as they are with the garbage collector switched off."""

import gc
import os
import weakref

import pytest

import pullback as torch


def resident():
    if os.environ.get("PULLBACK_SANITIZED"):
        return 0  # the address sanitizer keeps freed memory aside; the objects are still counted
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096


@pytest.fixture
def no_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def steps(step, warm, count):
    """Growth in bytes and objects over `count` steps: the least of three rounds, for a leak is in each."""
    for _ in range(warm):
        step()
    rounds = []
    for _ in range(3):
        before, objects = resident(), len(gc.get_objects())
        for _ in range(count):
            step()
        rounds.append((resident() - before, len(gc.get_objects()) - objects))
    return min(r[0] for r in rounds), min(r[1] for r in rounds)


def test_training_by_hand(no_gc):
    w, d = torch.ones(4, 3, requires_grad=True), torch.ones(8, 4)

    def step():
        loss = ((d @ w).tanh() ** 2).mean()
        w.grad = None
        loss.backward()
        with torch.no_grad():
            w.sub_(w.grad * 0.01)

    grown, objects = steps(step, 2_000, 100_000)
    assert grown < 1_000_000 and objects < 50


def test_training_with_an_optimizer(no_gc):
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = torch.ones(8, 4), torch.ones(8, 1)

    def step():
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(x), y).backward()
        optimizer.step()

    grown, objects = steps(step, 1_000, 10_000)
    assert grown < 1_000_000 and objects < 50


def test_accumulation_hooks_views_and_changes(no_gc):
    x = torch.ones(8, requires_grad=True)

    def step():
        y = x * 2
        y.register_hook(lambda g: g * 2)
        y.retain_grad()
        v = y[2:]
        v.mul_(3)
        z = y.exp().sum()
        _ = z.grad_fn.next_functions
        z.backward()
        assert y.grad is not None
        x.grad.zero_()

    grown, objects = steps(step, 1_000, 10_000)
    assert grown < 1_000_000 and objects < 50


def test_second_derivatives_and_graphs_that_are_dropped(no_gc):
    x = torch.ones(8, requires_grad=True)

    def step():
        (g,) = torch.autograd.grad((x * x * x).sum(), x, create_graph=True)
        torch.autograd.grad(g.sum(), x)
        (x.exp() * x).sum()  # never differentiated

    grown, objects = steps(step, 1_000, 5_000)
    assert grown < 1_000_000 and objects < 50


def test_functions_of_users(no_gc):
    class Exp(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            y = x.exp()
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[1]

    x = torch.ones(8, requires_grad=True)

    def step():
        Exp.apply(x).sum().backward()
        Exp.apply(x)
        x.grad = None

    grown, objects = steps(step, 500, 5_000)
    assert grown < 1_000_000 and objects < 50


def test_errors_leave_nothing_behind(no_gc):
    x = torch.ones(8, requires_grad=True)

    def step():
        y = (x * x).sum()
        y.backward()
        with pytest.raises(RuntimeError):
            y.backward()
        x.grad = None

    grown, objects = steps(step, 500, 3_000)
    assert grown < 2_000_000 and objects < 200


def test_a_leaf_lives_as_long_as_its_graph():
    leaf = torch.ones(1, requires_grad=True)
    alive = weakref.ref(leaf)
    y = leaf * 2
    del leaf
    assert alive() is not None
    for _ in range(3):  # taken out and let go again and again
        assert y.grad_fn.next_functions[0][0].variable is alive()
    y.backward()
    assert alive().grad.item() == 2
    del y
    assert alive() is None


def test_a_leaf_taken_from_its_graph_outlives_it():
    y = torch.ones(1, requires_grad=True) * 2
    leaf = y.grad_fn.next_functions[0][0].variable
    del y
    (leaf * 3).backward()
    assert leaf.requires_grad and leaf.is_leaf and leaf.grad.item() == 3
    z = torch.ones(1, requires_grad=True) * 2
    leaf = z.grad_fn.next_functions[0][0].variable
    leaf.requires_grad_(False)
    del z
    assert not leaf.requires_grad and leaf.item() == 1


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, g):
        return 2 * g * ctx.saved_tensors[0]


def test_hooks_on_saved_values(no_gc):
    graph = torch.autograd.graph
    x = torch.ones(8, requires_grad=True)
    hooks = graph.saved_tensors_hooks(lambda t: [t.detach()], lambda kept: kept[0])

    def step():
        with hooks:
            y = Square.apply(x.exp() * x)
            z = y.sin()
        assert z.grad_fn._raw_saved_self is not None
        handle = graph.register_multi_grad_hook((x, y), lambda grads: None)
        graph.register_multi_grad_hook((y,), lambda grad: None, mode="any")
        torch.autograd.grad(z.sum(), x, retain_graph=True)
        z.sum().backward()
        handle.remove()
        x.grad = None

    grown, objects = steps(step, 1_000, 10_000)
    assert grown < 1_000_000 and objects < 50


def test_changes_of_saved_values(no_gc):
    x = torch.ones(8, requires_grad=True)

    def step():
        with torch.autograd.graph.allow_mutation_on_saved_tensors():
            y = x * 2
            z = (y * y).sum()
            y.mul_(3)
            z.backward()
        x.grad = None

    grown, objects = steps(step, 1_000, 10_000)
    assert grown < 1_000_000 and objects < 50


def test_one_long_context_for_changes(no_gc):
    x = torch.ones(8, requires_grad=True)

    def step():
        y = x * 2
        z = (y * y).sum()
        y.mul_(3)
        z.backward()
        x.grad = None

    with torch.autograd.graph.allow_mutation_on_saved_tensors():
        grown, objects = steps(step, 1_000, 10_000)
    assert grown < 1_000_000 and objects < 50


@pytest.mark.filterwarnings("ignore:None of the inputs")
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints(no_gc, reentrant):
    from pullback.utils.checkpoint import checkpoint

    x = torch.ones(8, requires_grad=True)

    def inner(t):
        return t.exp().sin()

    def outer(t):
        return checkpoint(inner, t * 2, use_reentrant=reentrant).tanh()

    def step():
        y = checkpoint(outer, x, use_reentrant=reentrant).sum()
        y.backward(retain_graph=True)
        y.backward()
        x.grad = None

    grown, objects = steps(step, 500, 3_400)
    assert grown < 1_000_000 and objects < 50
