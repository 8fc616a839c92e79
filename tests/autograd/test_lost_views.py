"""Views whose elements were changed so that their place in the graph is lost. Texts are PyTorch's."""

import copy

import pytest

import pullback as torch

PIECE = (
    "Output 0 of Split is a view and its base or another view of its base has been modified inplace. This "
    "view is the output of a function that returns multiple views. Such functions do not allow the output "
    "views to be modified inplace. You should replace the inplace operation by an out-of-place one."
)
AMBIGUOUS = (
    " Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by "
    "moving both the view and the inplace either both inside the no_grad block (if you don't want the "
    "inplace to be tracked) or both outside (if you want the inplace to be tracked)."
)
UNRECORDED = (
    "A view was created in no_grad mode and its base or another view of its base has been modified inplace "
    "with grad mode enabled." + AMBIGUOUS
)


def refuses(text, call, *args):
    with pytest.raises(RuntimeError) as e:
        call(*args)
    assert str(e.value).split("\n")[0] == text


def piece(change):
    """One of several views, changed by itself or past it."""
    y = torch.ones(4, requires_grad=True) * 2
    a, _ = y.chunk(2)
    change(y, a)
    return a


def unrecorded(change):
    y = torch.ones(4, requires_grad=True) * 2
    with torch.no_grad():
        a = y[:2]
    change(y, a)
    return a


def quietly(y, a):
    with torch.no_grad():
        a.add_(1)
        a.mul_(1)


def on_the_base(y, a):
    with torch.no_grad():
        y.add_(1)


CHANGES = [quietly, on_the_base, lambda y, a: y.detach().add_(1), lambda y, a: y.add_(1)]
USES = {
    "arithmetic": lambda a: a + 1,
    "a view": lambda a: a.view(2, 1),
    "an element": lambda a: a[0],
    "grad_fn": lambda a: a.grad_fn,
    "grad_fn without recording": torch.no_grad()(lambda a: a.grad_fn),
    "is_leaf": lambda a: a.is_leaf,
    "hook": lambda a: a.register_hook(print),
    "retain_grad": lambda a: a.retain_grad(),
    "backward": lambda a: a.backward(torch.ones(2)),
    "inputs": lambda a: torch.autograd.grad((a.detach() * 1).requires_grad_().sum(), a),
    "get_gradient_edge": lambda a: torch.autograd.graph.get_gradient_edge(a),
    "deepcopy": copy.deepcopy,
    "operand in place": lambda a: torch.zeros(2).add_(a),
    "Function": lambda a: Double.apply(a),
}


class Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, g):
        return g * 2


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("make", "text"), [(piece, PIECE), (unrecorded, UNRECORDED)])
def test_what_asks_for_the_place_is_refused(make, text, change, use):
    if (make, use) == (unrecorded, "retain_grad"):
        assert make(change).retain_grad() is None  # it counts as a leaf, which retains its gradient
    else:
        refuses(text, USES[use], make(change))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("make", [piece, unrecorded])
def test_the_elements_stay_readable(make, change):
    a = make(change)
    assert a.tolist() == [3, 3] and a.requires_grad and a.shape == (2,) and a.data_ptr()
    assert a.detach().sum().item() == 6 and (a == 3).all() and a.argmax().item() == 0
    assert repr(a) == "tensor([3., 3.], grad_fn=<Invalid>)"
    with torch.no_grad():
        assert (a + 1).tolist() == [4, 4] and a[0].item() == 3 and a.add_(1).tolist() == [4, 4]
    target = torch.zeros(2)
    with pytest.raises(RuntimeError):
        target.copy_(a)
    assert target.tolist() == [0, 0] and target._version == 0 and target.grad_fn is None


def test_changes_that_lose_nothing():
    plain = torch.ones(4)
    a, b = plain.split(2)
    with torch.no_grad():
        a.add_(1)
        c = plain[:2]
    assert (a.mul_(2) + c + b).tolist() == [9, 9] and a.grad_fn is None
    x = torch.ones(4, requires_grad=True)
    a, _ = (x * 2).split(2)
    x.data.add_(1)
    a.sum().backward()
    assert x.grad.tolist() == [2, 2, 0, 0]
    y = x * 2
    v = y[:2]
    with torch.no_grad():
        v.add_(1)
    assert torch.autograd.grad((v * v).sum(), x)[0].tolist() == [20, 20, 0, 0]
    i, _ = torch.arange(4).split(2)
    i.add_(1)
    assert (i + x[:2]).grad_fn is not None


def test_which_refusal_it_is():
    y = torch.ones(4, requires_grad=True) * 2
    with torch.no_grad():
        a, _ = y.split(2)
    text = (
        "A view was created in no_grad mode and is being modified inplace with grad mode enabled." + AMBIGUOUS
    )
    refuses(text, a.add_, 1)
    quietly(y, a)
    refuses(text, a.add_, 1)
    refuses(UNRECORDED, lambda: a + 1)
    b, _ = y.split(2)
    quietly(y, b)
    refuses(PIECE.replace("its base or another view of its base has been", "is being"), b.add_, 1)


def test_detach_in_inference_mode_changes_nothing():
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    with torch.inference_mode():
        assert y.detach_() is y and y[:1].detach_().tolist() == [2]
    assert y.grad_fn is not None


def test_what_is_converted_to_whole_numbers_asks_for_no_place():
    lost = piece(lambda y, a: y.add_(1))
    assert lost.long().tolist() == [3, 3] and lost.to(torch.int32).dtype == torch.int32
    assert lost.bool().all() and not lost.long().requires_grad
    refuses(PIECE, lost.double)
