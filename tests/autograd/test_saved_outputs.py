"""Hooks on saved values: where an output stands in the graph while a hook looks at it."""

import gc
import weakref

import pytest

import pullback as torch
from pullback.autograd import graph


def leaf(*values):
    return torch.tensor(values, requires_grad=True)


class Exp(torch.autograd.Function):
    """Saves its argument, its result, and a value of its own."""

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(x, y, x * 2)
        return y

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[1]


@pytest.mark.parametrize(
    "f, names",
    [
        (torch.exp, ["ExpBackward0"]),
        (lambda x: torch.softmax(x, 0), ["SoftmaxBackward0"]),
        (lambda x: (x * 1).exp_(), ["ExpBackward0"]),
        (lambda x: x.amax(0), ["leaf", "AmaxBackward0"]),
        (lambda x: x.max(0).values, ["constant"]),
        (lambda x: torch.nn.functional.layer_norm(x, (2,)), None),
        (Exp.apply, ["leaf", "ExpBackward", "constant"]),
    ],
)
@pytest.mark.parametrize("keep", ["itself", "a copy", "a pair", "an error"])
def test_an_output_comes_with_its_place(f, names, keep):
    """As in PyTorch, but while a hook looks at it: what the hook keeps is not held by itself."""

    def seen(t):
        name = t.grad_fn.name() if t.grad_fn is not None else "leaf" if t.requires_grad else "constant"
        return name

    packed, unpacked, kept = [], [], []

    def pack(t):
        packed.append(seen(t))
        kept.append(t)
        if keep == "an error":
            raise ValueError("no")
        return {"itself": t, "a copy": t.clone(), "a pair": (t, 1)}[keep]

    def unpack(t):
        unpacked.append(seen(t) if keep != "a pair" else None)
        return t[0] if keep == "a pair" else t

    x = leaf(0.5, 1.5)
    with graph.saved_tensors_hooks(pack, unpack):
        if keep == "an error":
            with pytest.raises(ValueError, match="no"):
                f(x)
        else:
            y = f(x)
    if keep != "an error":
        y.sum().backward()
        expected = leaf(0.5, 1.5)
        f(expected).sum().backward()
        assert torch.equal(x.grad, expected.grad)
        assert names is None or (packed == names and (keep != "itself" or unpacked == names))
    assert not any(t.grad_fn for t in kept)


def test_a_hook_that_keeps_outputs_makes_no_cycle():
    gone = []
    gc.disable()
    try:
        for f in (torch.exp, Exp.apply):
            with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
                y = f(leaf(1.0))
            gone.append(weakref.ref(y))
            del y
        assert [r() for r in gone] == [None, None]
    finally:
        gc.enable()
