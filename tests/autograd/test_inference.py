"""inference_mode: what its tensors are, what they refuse outside; modes around functions of all kinds."""

import asyncio
import copy
import pickle
import threading

import pytest

import pullback as torch
from pullback.errors import GradError, InplaceError

CHANGED = (
    "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a "
    "normal tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
)
SAVED = (
    "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
    "computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and "
    "use it in autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`."
)


def leaf(*values):
    return torch.tensor(list(values), requires_grad=True)


def inference(n=2):
    with torch.inference_mode():
        return torch.ones(n)


def refuses(kind, text, call, *args):
    with pytest.raises(kind) as e:
        call(*args)
    assert str(e.value).split("\n")[0] == text


def test_which_tensors_are_inference_tensors():
    t = torch.ones(2)
    with torch.inference_mode():
        a = torch.ones(2)
        new = [a, a * 2, a.view(-1), a.detach(), t * 2, t.clone(), torch.tensor([1.0]), leaf(1.0)]
        assert all(x.is_inference() and torch.is_inference(x) for x in new)
        assert not any(x.is_inference() for x in (t.view(-1), t[0:1], t.add_(1), t.detach()))
        with torch.enable_grad():
            assert torch.ones(1).is_inference() and not (leaf(1.0) * 2).requires_grad
        with torch.inference_mode(False):
            assert not torch.ones(1).is_inference() and (leaf(1.0) * 2).requires_grad
    assert a.view(-1).is_inference() and a[0].is_inference() and a.detach().is_inference()
    assert not any(x.is_inference() for x in (a * 2, a.clone(), copy.deepcopy(a), torch.ones(1)))
    assert not pickle.loads(pickle.dumps(a)).is_inference()


def test_what_inference_tensors_refuse_outside():
    refuses(InplaceError, CHANGED, inference().add_, 1)
    refuses(InplaceError, CHANGED, torch.no_grad()(inference().mul_), 2)
    refuses(InplaceError, CHANGED, inference().view(-1).zero_)
    refuses(InplaceError, CHANGED, inference().__setitem__, 0, 3.0)
    refuses(InplaceError, CHANGED, inference().__setitem__, slice(0, 1), torch.ones(1))
    refuses(RuntimeError, "Inference tensors do not track version counter.", lambda: inference()._version)
    text = "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed."
    refuses(GradError, text, inference().requires_grad_)
    refuses(GradError, text, setattr, inference(), "requires_grad", True)
    t = inference()
    with torch.inference_mode():
        assert t.add_(1).tolist() == [2, 2]
    x = leaf(1.0, 2.0)
    x.grad = inference()
    refuses(InplaceError, CHANGED, (x * 2).sum().backward)
    assert x.grad.tolist() == [1, 1]


def test_inference_tensors_in_a_graph():
    x, t = leaf(1.0, 2.0), inference()
    calls = (lambda: x * t, lambda: x @ t, lambda: torch.nn.functional.mse_loss(x, t))
    for call in calls:
        refuses(GradError, SAVED, call)
    assert (x + t).requires_grad and torch.cat([x, t]).requires_grad  # nothing of t is kept
    with torch.no_grad():
        assert (x * t).tolist() == [1, 2]
    (x * t.clone()).sum().backward()
    assert x.grad.tolist() == [1, 1]
    x.grad = None
    (x * 1).backward(t)
    assert x.grad.tolist() == [1, 1] and not x.grad.is_inference()


def test_views_made_in_inference_mode():
    x = leaf(1.0, 2.0)
    y = x * 2
    with torch.inference_mode():
        view = y.view(-1)
        y.add_(1)
    assert y.tolist() == view.tolist() == [3, 5] and y.requires_grad
    text = (
        "A view was created in inference mode and is being modified inplace in normal mode. Given that this "
        "use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both "
        "the view and the inplace either both inside the inference_mode block (if you don't want the "
        "inplace to be tracked) or both outside (if you want the inplace to be tracked)."
    )
    refuses(InplaceError, text, view.add_, 1)
    with torch.inference_mode():
        x.mul_(2)  # a leaf, outside of every graph
    assert x.tolist() == [2, 4]


def test_a_module_made_in_inference_mode():
    with torch.inference_mode():
        module = torch.nn.Linear(2, 1)
        assert module.weight.is_inference() and module.weight.requires_grad
        assert module(torch.ones(1, 2)).is_inference()


def modes():
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled()


DECORATORS = [
    (torch.no_grad, (False, False)),
    (torch.enable_grad, (True, False)),
    (torch.inference_mode, (False, True)),
    (lambda: torch.set_grad_enabled(False), (False, False)),
]


@pytest.mark.parametrize(("decorator", "inside"), DECORATORS)
def test_coroutines_hold_the_mode_only_while_they_run(decorator, inside):
    seen = []

    @decorator()
    async def task():
        seen.append(modes())
        await asyncio.sleep(0)
        seen.append(modes())
        return 5

    async def other():
        for _ in range(4):
            assert modes() == (True, False)
            await asyncio.sleep(0)

    async def both():
        return await asyncio.gather(task(), other())

    assert asyncio.iscoroutinefunction(task) and asyncio.run(both())[0] == 5
    assert seen == [inside, inside] and modes() == (True, False)

    @decorator()
    async def fails():
        await asyncio.sleep(0)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        asyncio.run(fails())
    assert modes() == (True, False)


@pytest.mark.parametrize(("decorator", "inside"), DECORATORS)
def test_asynchronous_generators(decorator, inside):
    @decorator()
    async def numbers():
        try:
            sent = yield modes()
            await asyncio.sleep(0)
            yield sent, modes()
        except KeyError:
            yield "caught", modes()
        finally:
            seen.append(modes())

    async def run():
        found = [modes()]
        g = numbers()
        found += [await g.__anext__(), modes(), await g.asend(3), (await numbers().__anext__())]
        await g.aclose()
        g = numbers()
        await g.__anext__()
        found.append(await g.athrow(KeyError))
        await g.aclose()
        return found

    seen = []
    outside = (True, False)
    expected = [outside, inside, outside, (3, inside), inside, ("caught", inside)]
    assert asyncio.run(run()) == expected
    assert seen[:1] == [inside] and modes() == outside


def test_generators_in_inference_mode():
    @torch.inference_mode()
    def generator():
        sent = yield modes()
        try:
            yield sent, modes()
        except ValueError:
            yield torch.ones(1).is_inference()
        return 5

    g = generator()
    assert next(g) == (False, True) and modes() == (True, False)
    assert g.send(3) == (3, (False, True)) and g.throw(ValueError) is True
    with pytest.raises(StopIteration) as e:
        next(g)
    assert e.value.value == 5 and modes() == (True, False)


def test_classes_warn_and_only_their_init_changes():
    with pytest.warns(FutureWarning, match="Decorating classes is deprecated"):

        @torch.inference_mode()
        class Made:
            def __init__(self):
                self.modes = modes()

            def later(self):
                return modes()

    assert Made().modes == (False, True) and Made().later() == (True, False)


def test_names_and_texts():
    assert repr(torch.set_grad_enabled(True)) == "torch.autograd.grad_mode.set_grad_enabled(mode=True)"
    assert torch.no_grad.__module__ == "torch.autograd.grad_mode"
    assert torch.autograd.grad_mode.no_grad is torch.no_grad
    with torch.autograd.set_multithreading_enabled(False):
        assert modes() == (True, False)
    for wrong in (3, None, "x"):
        with pytest.raises(TypeError, match=r"set_grad_enabled.*must be bool, not"):
            torch.set_grad_enabled(wrong)


def test_clones():
    assert type(torch.no_grad().clone()) is torch.no_grad
    assert type(torch.enable_grad().clone()) is torch.enable_grad
    with torch.inference_mode(), torch.inference_mode(False).clone():
        assert modes() == (True, False)
    with torch.set_grad_enabled(False).clone():
        assert modes() == (False, False)
    torch.set_grad_enabled(True)


def test_modes_belong_to_threads():
    seen = []

    def run():
        seen.append((modes(), torch.ones(1).is_inference(), (leaf(1.0) * 2).requires_grad))
        torch.set_grad_enabled(False)

    with torch.inference_mode():
        t = threading.Thread(target=run)
        t.start()
        t.join()
        assert modes() == (False, True)
    assert seen == [((True, False), False, True)] and modes() == (True, False)
