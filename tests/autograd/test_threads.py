"""Several Python threads: recording, backward on graphs of their own and on a shared one, hooks, "
"Functions, modes."""

import sys
import threading

import numpy as np
import pytest

import pullback as torch
from pullback.nn import functional

COUNT = 4
ROUNDS = 30


@pytest.fixture(autouse=True)
def _switch_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def together(work, count=COUNT):
    """Runs work(k) in `count` threads that start at one moment; gives the results, or raises the first "
    "error."""
    results, errors = [None] * count, []
    barrier = threading.Barrier(count)

    def run(k):
        try:
            barrier.wait(30)
            results[k] = work(k)
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
        assert not t.is_alive()
    if errors:
        raise errors[0]
    return results


def network(seed):
    generator = np.random.default_rng(seed)
    x = torch.tensor(generator.normal(size=(5, 7)).astype("float32"))
    w = torch.tensor(generator.normal(size=(3, 7)).astype("float32"), requires_grad=True)
    b = torch.tensor(generator.normal(size=3).astype("float32"), requires_grad=True)
    return x, w, b


def loss_of(x, w, b):
    h = functional.linear(x, w, b).tanh()
    return functional.cross_entropy(h * h.exp(), torch.tensor([0, 1, 2, 0, 1]))


def gradients(seed):
    x, w, b = network(seed)
    loss_of(x, w, b).backward()
    return w.grad.tolist(), b.grad.tolist()


def test_graphs_of_their_own():
    expected = [gradients(k) for k in range(COUNT)]
    found = together(lambda k: [gradients(k) for _ in range(ROUNDS)])
    assert all(one == expected[k] for k in range(COUNT) for one in found[k])


def test_sizes_never_seen_before_in_all_threads_at_once():
    def work(k):
        out = []
        for n in range(1, ROUNDS):
            x = torch.ones(n + 1, k + 2, requires_grad=True)
            (x * torch.arange(k + 2.0)).sum(0).square().mean().backward()
            out.append(x.grad[0].tolist())
        return out

    alone = [work(k) for k in range(COUNT)]
    torch._core.clear_caches()
    assert together(work) == alone


def test_one_graph_that_all_differentiate():
    x, w, b = network(0)
    loss = loss_of(x, w, b)
    expected = [g.tolist() for g in torch.autograd.grad(loss, (w, b), retain_graph=True)]

    def work(k):
        found = [torch.autograd.grad(loss, (w, b), retain_graph=True) for _ in range(ROUNDS)]
        return all([g.tolist() for g in one] == expected for one in found)

    assert all(together(work))


def test_a_leaf_that_all_accumulate_into():
    w = torch.ones(1000, requires_grad=True)
    hidden = w * 2  # shared; what follows is each thread's own

    def work(k):
        for _ in range(ROUNDS):
            (hidden * (k + 1)).sum().backward(retain_graph=True)

    together(work)
    total = 2 * ROUNDS * sum(range(1, COUNT + 1))
    assert w.grad.tolist() == [total] * 1000


def test_accumulation_into_large_leaves_releases_the_lock_and_loses_nothing():
    w = torch.ones(300_000, requires_grad=True)

    def work(k):
        for _ in range(5):
            (w * (k + 1.0)).sum().backward()

    together(work)
    assert w.grad.min().item() == w.grad.max().item() == 5 * sum(range(1, COUNT + 1))


def test_a_freed_graph_fails_in_all_but_one():
    x = torch.ones(3, requires_grad=True)
    y = (x.exp() * x).sum()
    outcomes = []

    def work(k):
        try:
            y.backward()
            outcomes.append("ran")
        except RuntimeError as e:
            assert str(e).startswith("Trying to backward through the graph a second time")
            outcomes.append("freed")

    together(work)
    assert "ran" in outcomes and len(outcomes) == COUNT
    (x * 2).sum().backward()  # everything still works
    assert x.grad is not None


def test_functions_and_hooks_in_threads():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x * x * g

    x = torch.tensor([1.0, 2.0], requires_grad=True)
    middle = x * 1
    calls = []
    middle.register_hook(lambda g: calls.append(threading.get_ident()))
    shared = Cube.apply(middle).sum()

    def work(k):
        for _ in range(ROUNDS):
            (g,) = torch.autograd.grad(shared, x, retain_graph=True)
            assert g.tolist() == [3, 12]
            own = torch.tensor([k + 1.0], requires_grad=True)
            handle = own.register_hook(lambda g: g * 2)
            Cube.apply(own).backward()
            handle.remove()
            assert own.grad.tolist() == [6 * (k + 1) ** 2]

    together(work)
    assert len(calls) == COUNT * ROUNDS and len(set(calls)) == COUNT


def test_higher_orders_in_threads():
    def work(k):
        out = []
        for _ in range(ROUNDS):
            x = torch.tensor([k + 1.0], requires_grad=True)
            y = x**4
            for _ in range(3):
                (y,) = torch.autograd.grad(y, x, torch.ones(1), create_graph=True)
            out.append(y.item())
        return out

    assert together(work) == [[24 * (k + 1)] * ROUNDS for k in range(COUNT)]


def test_grad_mode_is_each_threads_own():
    x = torch.ones(2, requires_grad=True)

    def work(k):
        seen = [torch.is_grad_enabled()]
        for _ in range(ROUNDS):
            with torch.set_grad_enabled(k % 2 == 0):
                seen.append((x * 2).requires_grad)
            with torch.inference_mode(k % 2 == 1):
                seen.append((x * 2).is_inference())
        return seen

    with torch.no_grad():
        found = together(work)
        assert not torch.is_grad_enabled()
    for k, seen in enumerate(found):
        assert seen == [True, *[k % 2 == 0, k % 2 == 1] * ROUNDS]


def test_a_graph_recorded_in_one_thread_and_left_to_another():
    graphs, x = [], torch.tensor(2.0, requires_grad=True)
    recorder = threading.Thread(target=lambda: graphs.append(x**3 * x.exp()))
    recorder.start()
    recorder.join()
    graphs.pop().backward()
    assert x.grad.item() == pytest.approx((12 + 8) * 7.389056, rel=1e-6)


def test_a_deep_graph_dies_in_another_thread():
    x = torch.ones(1, requires_grad=True)
    y = x
    for _ in range(50_000):
        y = y * 1.0
    kept = [y]
    del y
    killer = threading.Thread(target=kept.clear)
    killer.start()
    killer.join()
    assert kept == [] and (x * 2).requires_grad


def test_an_error_in_one_thread_leaves_the_others_alone():
    x = torch.ones(3, requires_grad=True)

    def work(k):
        for _ in range(ROUNDS):
            y = x * 2
            if k == 0:
                y.register_hook(lambda g: 1 / 0)
                with pytest.raises(ZeroDivisionError):
                    torch.autograd.grad(y.sum(), x)
            else:
                assert torch.autograd.grad(y.sum(), x)[0].tolist() == [2, 2, 2]
            assert torch.is_grad_enabled()

    together(work)
