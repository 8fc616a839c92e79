"""Checkpoints: the same gradients bit for bit, less memory, and errors where the second run differs."""

import contextlib
import gc
import warnings
import weakref

import pytest

import pullback as torch
from pullback import func
from pullback.autograd import graph
from pullback.errors import InplaceError
from pullback.utils.checkpoint import (
    CheckpointError,
    checkpoint,
    checkpoint_sequential,
    detach_variable,
    set_checkpoint_debug_enabled,
    set_checkpoint_early_stop,
)

BOTH = pytest.mark.parametrize("reentrant", [True, False])


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


def model(drop=0.0):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.GELU(), torch.nn.Dropout(drop), torch.nn.Linear(8, 6), torch.nn.Tanh()
    )


def gradients(net, x, call):
    """The gradients of one step, and a random number drawn after it."""
    net.zero_grad()
    x.grad = None
    torch.manual_seed(7)
    (call(x) ** 2).sum().backward()
    return [x.grad, *(p.grad for p in net.parameters()), torch.rand(3)]


def same(a, b):
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@BOTH
@pytest.mark.parametrize("drop", [0.0, 0.5])
def test_gradients_are_the_same_bits_and_so_is_the_random_stream(reentrant, drop):
    net, x = model(drop), torch.randn(5, 6, requires_grad=True)
    plain = gradients(net, x, net)
    assert same(plain, gradients(net, x, lambda t: checkpoint(net, t, use_reentrant=reentrant)))
    twice = gradients(
        net,
        x,
        lambda t: checkpoint(
            lambda u: checkpoint(net, u, use_reentrant=reentrant), t, use_reentrant=reentrant
        ),
    )
    assert same(plain, twice)
    assert same(plain, gradients(net, x, lambda t: checkpoint_sequential(net, 2, t, use_reentrant=reentrant)))


@BOTH
def test_without_the_random_state_other_numbers_are_drawn(reentrant):
    drawn = []

    def noisy(x):
        drawn.append(torch.rand(3).tolist())
        return x.sin()

    for preserve in (True, False):
        drawn.clear()
        y = checkpoint(noisy, leaf(1.0), use_reentrant=reentrant, preserve_rng_state=preserve)
        y.sum().backward()
        assert len(drawn) == 2 and (drawn[0] == drawn[1]) is preserve


@BOTH
def test_arguments_that_are_no_tensors_and_several_outputs(reentrant):
    def f(x, factor, nothing, names, y):
        assert nothing is None and names == ["a"]
        return x * factor, y.exp() * x, 3

    a, b = leaf(2.0), leaf(1.0)
    first, second, three = checkpoint(f, a, 5, None, ["a"], b, use_reentrant=reentrant)
    assert three == 3
    (first + second).sum().backward()
    e = torch.tensor([1.0]).exp()
    assert torch.equal(a.grad, 5 + e) and torch.equal(b.grad, 2 * e)


def test_what_only_the_variant_without_reentrance_can():
    x, y, k = leaf(2.0), leaf(3.0), leaf(4.0)

    def f(x, *, k, box):
        return {"out": [x.exp() * k * box["y"]]}

    def run():
        out = checkpoint(f, x, use_reentrant=False, k=k, box={"y": y})["out"][0]
        return torch.autograd.grad(out.sum(), (x, y, k), create_graph=True)

    expected = torch.autograd.grad((x.exp() * k * y).sum(), (x, y, k), create_graph=True)
    found = run()
    assert same(found, expected)
    second = torch.autograd.grad(found[0].sum(), (x, y, k))
    assert same(second, torch.autograd.grad(expected[0].sum(), (x, y, k)))


def test_gradients_of_any_order():
    x = leaf(0.5, 1.5)
    y, z = (f(x).sum() for f in (lambda t: t.sin() * t.exp(), lambda t: t))
    z = checkpoint(lambda t: t.sin() * t.exp(), x, use_reentrant=False).sum()
    for _ in range(3):
        (y,), (z,) = (torch.autograd.grad(v.sum(), x, create_graph=True) for v in (y, z))
        assert torch.equal(y, z)


def test_a_retained_graph_recomputes_in_each_backward():
    runs = []

    def f(x):
        runs.append(1)
        return x.exp().exp()

    x = leaf(0.5)
    y = checkpoint(f, x, use_reentrant=False).sum()
    for k in range(3):
        x.grad = None
        y.backward(retain_graph=True)
        assert len(runs) == k + 2
        assert torch.equal(x.grad, (x.exp() * x.exp().exp()).detach())


def test_nested_regions_run_as_often_as_torchs():
    runs = []

    def counted(name, f):
        def run(x):
            runs.append(name)
            return f(x)

        return run

    inner = counted("inner", lambda x: x.sin().exp())
    outer = counted("outer", lambda x: checkpoint(inner, x.cos(), use_reentrant=False).tanh())
    x = leaf(0.5)
    checkpoint(outer, x, use_reentrant=False).sum().backward()
    # Forward; once more for tanh, which needs what inner returns; and inner itself for its own values.
    assert runs == ["outer", "inner", "outer", "inner", "inner"]
    expected = torch.autograd.grad(x.cos().sin().exp().tanh().sum(), x)[0]
    assert torch.equal(x.grad, expected)


@BOTH
def test_nothing_is_recorded_where_gradients_are_off(reentrant):
    with torch.no_grad():
        assert not checkpoint(torch.sin, leaf(1.0), use_reentrant=reentrant).requires_grad


def test_backward_inside_of_the_function():
    def f(x):
        y = x.sin()
        (g,) = torch.autograd.grad(y.exp().sum(), x, create_graph=False)
        return x.cos() * g

    for early in (True, False):
        x = leaf(0.5)
        checkpoint(f, x, use_reentrant=False, early_stop=early).sum().backward()
        expected = torch.autograd.grad(f(x).sum(), x)[0]
        assert torch.equal(x.grad, expected)


# ---- memory ----


def live():
    return torch._core.allocator_statistics()["live_bytes"]


@BOTH
def test_values_inside_are_not_kept(reentrant):
    def deep(x):
        for _ in range(10):
            x = x.exp().log()
        return x

    x = torch.ones(10_000, requires_grad=True)
    before = live()
    y = deep(x).sum()
    plain = live() - before
    del y
    before = live()
    y = checkpoint(deep, x, use_reentrant=reentrant).sum()
    assert plain > 400_000 and live() - before < 60_000
    y.backward()
    assert torch.allclose(x.grad, torch.ones(10_000))
    x.grad = None
    assert live() - before < 20_000


def test_recomputed_values_go_as_backward_uses_them():
    held = []

    def watched(x):
        x = x.exp()
        x.register_hook(lambda g: held.append(live()))
        return x

    def deep(x):
        for _ in range(8):
            x = watched(x) - 1
        return x

    x = torch.zeros(10_000, requires_grad=True)
    checkpoint(deep, x, use_reentrant=False).sum().backward()
    # The first hook runs before anything is needed; then there is one value less after each step.
    assert held[1] - held[-1] > 5 * 40_000


@BOTH
def test_the_function_and_its_arguments_die_with_the_graph(reentrant):
    class Double:
        def __call__(self, x):
            return (x * 2).sin()

    gc.disable()
    try:
        f, a = Double(), torch.ones(3, requires_grad=True)
        x = a * 1
        gone = [weakref.ref(f), weakref.ref(x)]
        y = checkpoint(f, x, use_reentrant=reentrant)
        del f, x
        assert gone[0]() is not None and gone[1]() is not None
        y.sum().backward()
        del y
        assert gone[0]() is None and gone[1]() is None
        assert a.grad is not None
    finally:
        gc.enable()


def test_early_stop_ends_the_second_run():
    seen = []

    def f(x):
        y = x.exp()
        seen.append("saved")
        try:
            return y + 1
        except Exception:
            seen.append("swallowed")
        finally:
            seen.append("end")

    def late(x):
        y = f(x)
        seen.append("late")
        return y

    def runs(**options):
        seen.clear()
        checkpoint(late, leaf(1.0), use_reentrant=False, **options).sum().backward()
        return seen.count("saved"), seen.count("late")

    assert runs() == (1, 1) and runs(early_stop=False) == (2, 2)
    with set_checkpoint_early_stop(False):
        assert runs() == (2, 2)
        with set_checkpoint_early_stop(True):
            assert runs(early_stop=False) == (1, 1)
    with pytest.raises(KeyError), set_checkpoint_early_stop(False):
        raise KeyError
    assert runs() == (1, 1)


# ---- contexts ----


def test_contexts_around_the_two_runs():
    seen = []

    @contextlib.contextmanager
    def note(name):
        seen.append(name)
        yield
        seen.append(f"end of {name}")

    y = checkpoint(
        lambda x: x.exp() + 0,
        leaf(1.0),
        use_reentrant=False,
        early_stop=False,
        context_fn=lambda: (note("a"), note("b")),
    )
    assert seen == ["a", "end of a"]
    y.sum().backward()
    assert seen == ["a", "end of a", "b", "end of b"]


def test_checkpoints_inside_of_other_hooks():
    x, packed = leaf(0.5), []

    def pack(t):
        packed.append(1)
        return t.detach().clone()

    with graph.saved_tensors_hooks(pack, lambda t: t):
        y = checkpoint(lambda t: t.exp().sin(), x * 1, use_reentrant=False)
    assert len(packed) == 1  # the argument
    y.sum().backward()
    assert torch.equal(x.grad, torch.autograd.grad(x.exp().sin().sum(), x)[0])
    with graph.disable_saved_tensors_hooks("not now"), pytest.raises(RuntimeError, match=r"^not now$"):
        checkpoint(torch.sin, x, use_reentrant=False)


# ---- errors ----


class Fickle:
    """Does one thing in the first call and another one later."""

    def __init__(self, first, later):
        self.todo = [first, later]

    def __call__(self, x):
        f = self.todo.pop(0) if len(self.todo) > 1 else self.todo[0]
        return f(x).sum()


def run(first, later, **options):
    checkpoint(Fickle(first, later), leaf(1.0, 2.0), use_reentrant=False, **options).backward()


def test_a_second_run_that_saves_less():
    with pytest.raises(CheckpointError) as e:
        run(lambda x: x.sin().exp(), lambda x: x.sin())
    assert str(e.value).startswith(
        "torch.utils.checkpoint: A different number of tensors was saved during the original forward and "
        "recomputation.\nNumber of tensors saved during forward: 2\n"
        "Number of tensors saved during recomputation: 1.\n"
    )


def test_a_second_run_that_saves_more():
    run(lambda x: x.sin(), lambda x: x.sin().exp())  # stops before
    text = (
        "^torch.utils.checkpoint: trying to save more tensors during recomputation than during the original"
    )
    with pytest.raises(CheckpointError, match=text):
        run(lambda x: x.sin(), lambda x: x.sin().exp(), early_stop=False)


def test_a_second_run_of_other_shapes():
    text = (
        "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than "
        "during the forward pass.\ntensor at position 0:\n"
        "saved metadata: {'shape': torch.Size([2]), 'dtype': torch.float32, 'device': device(type='cpu')}\n"
        "recomputed metadata: {'shape': torch.Size([4]), 'dtype': torch.float32, 'device': device("
        "type='cpu')}\n.\n"
    )
    with pytest.raises(CheckpointError) as e:
        run(lambda x: x.sin(), lambda x: torch.cat([x, x]).sin())
    assert str(e.value).startswith(text)
    with pytest.raises(RuntimeError, match=r"shape \[4\] for a value of shape \[2\]"):
        run(lambda x: x.sin(), lambda x: torch.cat([x, x]).sin(), determinism_check="none")
    with pytest.raises(
        ValueError, match=r"^determinism_check should be one of \['default', 'none'\], but got x"
    ):
        run(torch.sin, torch.sin, determinism_check="x")


def test_debug_says_where_the_runs_parted():
    def first(x):
        return x.sin().exp()  # the first way

    def later(x):
        return x.sin().log()  # the other way

    with pytest.raises(CheckpointError) as e:
        run(lambda x: first(x), lambda x: later(x).exp(), debug=True, early_stop=False)
    text = str(e.value)
    assert text.startswith(" An error happened while unpacking tensors; dumping logs of latest computation\n")
    assert "In the original forward" in text and "the first way" in text and "the other way" in text
    with (
        set_checkpoint_debug_enabled(True),
        pytest.raises(CheckpointError, match="nowhere: it was not saved"),
    ):
        run(lambda x: x.sin().exp(), lambda x: x.sin())
    with (
        set_checkpoint_debug_enabled(False),
        pytest.raises(CheckpointError, match=r"^torch.utils.checkpoint: A"),
    ):
        run(lambda x: x.sin().exp(), lambda x: x.sin(), debug=True)
    with pytest.raises(CheckpointError, match="All values were saved at the same lines"):
        run(shaped := Reshaped(), shaped, debug=True)
    with pytest.raises(ValueError, match=r"^debug=True is incompatible with non-default context_fn"):
        run(torch.sin, torch.sin, debug=True, context_fn=lambda: None)


class Reshaped:
    """More elements in each call."""

    calls = 0

    def __call__(self, x):
        self.calls += 1
        return torch.cat([x] * self.calls).sin()


def test_values_are_handed_out_once_in_a_backward():
    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        def backward(ctx, g):
            _ = ctx.saved_tensors
            return g * ctx.saved_tensors[0]

    y = checkpoint(Twice.apply, leaf(1.0), use_reentrant=False)
    text = (
        "^torch.utils.checkpoint: Unpack is being triggered for a tensor that was already unpacked once. If"
    )
    with pytest.raises(CheckpointError, match=text):
        y.sum().backward()


def test_errors_of_the_function_leave_everything_usable():
    def broken(x):
        torch.rand(3)
        raise KeyError("function")

    with pytest.raises(KeyError, match="function"):
        checkpoint(broken, leaf(1.0), use_reentrant=False)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    y = checkpoint(Fickle(torch.sin, broken), leaf(1.0), use_reentrant=False)
    for _ in range(2):
        with pytest.raises(KeyError, match="function"):
            y.backward()
    assert torch._core.saved_hooks() is None and torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)


def test_a_context_that_swallows_the_functions_error():
    def broken(x):
        raise KeyError

    text = (
        "^torch.utils.checkpoint: the forward context provided by context_fn suppressed an exception raised"
    )
    with pytest.raises(RuntimeError, match=text):
        checkpoint(
            broken,
            leaf(1.0),
            use_reentrant=False,
            context_fn=lambda: (contextlib.suppress(KeyError), contextlib.nullcontext()),
        )


def test_an_argument_that_was_changed_since():
    x = leaf(1.0) * 2
    y = checkpoint(torch.sin, x, use_reentrant=False)
    x.mul_(2)
    text = (
        r"inplace operation: \[torch.FloatTensor \[1\]\], which is output 0 of Mul, is at version 1; expected"
    )
    with pytest.raises(InplaceError, match=text):
        y.sum().backward()


def test_refusals_with_reentrance():
    x = leaf(1.0)
    y = checkpoint(torch.sin, x, use_reentrant=True).sum()
    text = r"^When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad\(\) or passing an"
    for ask in (lambda: torch.autograd.grad(y, x, retain_graph=True), lambda: y.backward(inputs=(x,))):
        with pytest.raises(RuntimeError, match=text):
            ask()
    with pytest.raises(RuntimeError, match=r"^none of output has requires_grad=True, this checkpoint"):
        checkpoint(lambda t: t.detach(), x, use_reentrant=True).sum().backward()
    with pytest.raises(ValueError, match=r"^Unexpected keyword arguments: k,z$"):
        checkpoint(torch.sin, x, use_reentrant=True, k=1, z=2)
    with pytest.raises(
        ValueError, match=r"^Passing `context_fn` or `debug` is only supported when use_reentrant="
    ):
        checkpoint(torch.sin, x, use_reentrant=True, debug=True)
    with pytest.raises(ValueError, match=r"^Unexpected keyword arguments: z$"):
        checkpoint_sequential([torch.sin], 1, x, use_reentrant=False, z=2)
    with pytest.raises(
        RuntimeError, match=r"^Only tuple of tensors is supported. Got Unsupported input type: list"
    ):
        detach_variable([x])


def test_warnings():
    x, text = leaf(1.0), "the use_reentrant parameter should be passed explicitly"
    with pytest.warns(
        UserWarning, match=rf"^torch.utils.checkpoint: {text}. Starting in PyTorch 2.9"
    ) as caught:
        y = checkpoint(torch.sin, x)
    assert y.grad_fn.name() == "CheckpointFunctionBackward" and caught[0].filename == __file__
    with pytest.warns(
        UserWarning, match=rf"^torch.utils.checkpoint.checkpoint_sequential: {text}. In version 2"
    ):
        checkpoint_sequential([torch.sin], 1, x)
    with pytest.warns(
        UserWarning, match=r"^None of the inputs have requires_grad=True. Gradients will be None"
    ):
        checkpoint(torch.sin, x.detach(), use_reentrant=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoint(torch.sin, x.detach(), use_reentrant=False)


@BOTH
def test_segments(reentrant):
    calls = []

    def step(k):
        def f(x):
            calls.append(k)
            return x.sin()

        return f

    x = leaf(0.5)
    y = checkpoint_sequential([step(k) for k in range(5)], 2, x, use_reentrant=reentrant)
    assert calls == [0, 1, 2, 3, 4]
    y.sum().backward()
    assert sorted(calls[5:]) == [0, 1]


def test_checkpoints_inside_of_transformations():
    def f(x):
        return (x.sin().exp() * x).sum()

    def g(x):
        return checkpoint(f, x, use_reentrant=False)

    grad, vmap = func.grad, func.vmap
    x = torch.arange(6.0).reshape(3, 2)
    assert torch.equal(grad(g)(x), grad(f)(x))
    assert torch.equal(vmap(grad(g))(x), vmap(grad(f))(x))
    twice = (vmap(grad(lambda t, h=h: grad(h)(t).sin().sum()))(x) for h in (f, g))
    assert torch.equal(*twice)
