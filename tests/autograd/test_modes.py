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
        assert not y.requires_grad and y.is_leaf and not x.view(1).requires_grad and x.requires_grad
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
