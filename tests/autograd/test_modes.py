"""no_grad, enable_grad, set_grad_enabled, inference_mode: contexts, decorators, generators, threads."""

import threading

import pytest

import pullback as torch


@pytest.fixture(autouse=True)
def on():
    assert torch.is_grad_enabled()
    yield
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_contexts_nest():
    x = torch.ones(1, requires_grad=True)
    with torch.no_grad():
        y = x * 2
        assert not y.requires_grad and y.is_leaf and not (x.view(1) * 1).requires_grad and x.requires_grad
        assert torch.ones(1, requires_grad=True).requires_grad
        with torch.enable_grad():
            assert (x * 2).requires_grad
        assert not torch.is_grad_enabled()
        with torch.set_grad_enabled(True):
            assert torch.is_grad_enabled()
        assert not torch.is_grad_enabled()
    one = torch.no_grad()
    with one:
        with one:
            assert not torch.is_grad_enabled()
        assert not torch.is_grad_enabled()


def test_restored_on_exceptions():
    with pytest.raises(ValueError), torch.no_grad():
        raise ValueError
    assert torch.is_grad_enabled()
    with pytest.raises(KeyError), torch.inference_mode():
        raise KeyError


def test_set_grad_enabled_acts_at_once():
    torch.set_grad_enabled(False)
    assert not torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    with pytest.raises(
        TypeError, match=r"set_grad_enabled\(\): argument 'enabled' \(position 1\) must be bool, not str"
    ):
        torch.set_grad_enabled("a")


def test_decorators():
    @torch.no_grad()
    def f():
        "doc"
        return torch.is_grad_enabled()

    assert f.__name__ == "f" and f.__doc__ == "doc" and f() is False and torch.is_grad_enabled()
    assert torch.no_grad(torch.is_grad_enabled)() is False
    assert torch.set_grad_enabled(False)(torch.is_grad_enabled)() is False
    assert torch.is_grad_enabled()
    with torch.no_grad():
        assert torch.enable_grad()(torch.is_grad_enabled)() is True
        assert torch.enable_grad(torch.is_grad_enabled)() is True


def test_generators_hold_the_mode_only_while_they_run():
    @torch.no_grad()
    def generator():
        sent = yield torch.is_grad_enabled()
        try:
            yield sent, torch.is_grad_enabled()
        except KeyError:
            yield "caught", torch.is_grad_enabled()
        return 9

    g = generator()
    assert next(g) is False and torch.is_grad_enabled()
    assert g.send("hi") == ("hi", False) and torch.is_grad_enabled()
    assert g.throw(KeyError()) == ("caught", False) and torch.is_grad_enabled()
    with pytest.raises(StopIteration) as stop:
        next(g)
    assert stop.value.value == 9


def test_classes_are_decorated_with_a_warning():
    with pytest.warns(
        FutureWarning, match="Decorating classes is deprecated and will be disabled in future versions"
    ):

        @torch.no_grad()
        class Made:
            def __init__(self):
                self.mode = torch.is_grad_enabled()

    assert Made().mode is False


def test_inference_mode():
    x = torch.ones(1, requires_grad=True)
    with torch.inference_mode():
        assert torch.is_inference_mode_enabled() and not (x * 2).requires_grad
        with torch.enable_grad():
            assert not (x * 2).requires_grad
        with torch.inference_mode(False):
            assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    with torch.no_grad(), torch.inference_mode(False):
        assert torch.is_grad_enabled()
    both = lambda: (torch.is_grad_enabled(), torch.is_inference_mode_enabled())  # noqa: E731
    assert torch.inference_mode()(both)() == torch.inference_mode(both)() == (False, True)


def test_each_thread_has_its_own_mode():
    seen = []
    with torch.no_grad():
        t = threading.Thread(target=lambda: seen.append(torch.is_grad_enabled()))
        t.start()
        t.join()
    assert seen == [True]


VIEWS = {
    "view": lambda p: p.view(-1),
    "index": lambda p: p[0],
    "t": lambda p: p.t(),
    "expand": lambda p: p.expand(3, 2, 2),
    "split": lambda p: p.split(1)[1],
    "reshape": lambda p: p.reshape(4),
    "chain": lambda p: p[0].view(2, 1).t(),
}


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("name", VIEWS)
def test_views_made_without_recording_need_a_gradient_if_their_base_does(off, recorded, name):
    leaf = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    p = leaf * 1 if recorded else leaf
    with off():
        v = VIEWS[name](p)
        assert v.requires_grad and not (v * 2).requires_grad and not v.detach().requires_grad
    assert v.requires_grad and v.is_leaf and v.grad_fn is None and v._base is p
    assert "requires_grad=True" in repr(v) and not v.detach().requires_grad and not v.data.requires_grad
    with pytest.raises(RuntimeError, match="Can't call numpy"):
        v.numpy()
    y = v * 2  # recorded, and leads nowhere
    assert y.requires_grad and y.grad_fn.next_functions[0] == (None, 0)
    y.sum().backward()
    assert v.grad is None and leaf.grad is None
    assert torch.autograd.grad((v * 2).sum(), [v, leaf], allow_unused=True) == (None, None)
    with pytest.raises(RuntimeError, match="does not require grad and does not have a grad_fn"):
        v.backward(torch.ones_like(v))
    with pytest.raises(RuntimeError, match=f"^A view was created in {off.__name__.split('_mode')[0]}"):
        v.mul_(2)


def test_such_a_view_follows_the_flag_of_its_base():
    p = torch.ones(2, 2)
    made = p.view(-1)
    with torch.no_grad():
        unrecorded = p.view(-1)
    for on in (True, False, True):
        p.requires_grad_(on)
        assert made.requires_grad is unrecorded.requires_grad is (unrecorded * 2).requires_grad is on
    unrecorded.requires_grad_(False)
    assert unrecorded.requires_grad  # as its base does
    unrecorded.requires_grad_()  # a leaf in its own right
    (unrecorded * 3).sum().backward()
    assert unrecorded.grad.tolist() == [3, 3, 3, 3] and p.grad is None
    made.register_hook(lambda g: g)
    y = made * 2
    del made, unrecorded
    y.sum().backward()
    assert p.grad is None
    inner = torch.ones(2, requires_grad=True) * 1
    with torch.no_grad():
        v = inner[:1]
    inner.detach_()
    assert not v.requires_grad and v.numpy().tolist() == [1]


def test_integers_need_none_and_gradients_by_hand_are_not_lost():
    p = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        assert not torch.ones(2, dtype=torch.int64)[0].requires_grad
        p[0].mul_(5)
    (p * p).sum().backward()
    assert p.grad.tolist() == [10, 2]
    with pytest.raises(AssertionError, match="Expected gradient function to be set"), torch.no_grad():
        torch.autograd.graph.get_gradient_edge(p[0])
