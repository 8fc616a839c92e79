"""transpose_(), t_(), unsqueeze_(), squeeze_(): the tensor itself becomes the view. Behaviour is torch's."""

import pytest

import pullback as torch

CALLS = {
    "transpose_": (lambda x: x.transpose_(0, 1), (3, 1), "TransposeBackward1"),
    "t_": (lambda x: x.t_(), (3, 1), "TBackward1"),
    "unsqueeze_": (lambda x: x.unsqueeze_(-1), (1, 3, 1), "UnsqueezeBackward1"),
    "squeeze_": (lambda x: x.squeeze_(), (3,), "SqueezeBackward3"),
    "squeeze_dim": (lambda x: x.squeeze_(0), (3,), "SqueezeBackward4"),
    "squeeze_nothing": (lambda x: x.squeeze_(1), (1, 3), "SqueezeBackward4"),
    "swapaxes_": (lambda x: x.swapaxes_(0, 1), (3, 1), "TransposeBackward1"),
}


@pytest.mark.parametrize("name", CALLS)
def test_becomes_the_view(name):
    change, shape, node = CALLS[name]
    x = torch.arange(3.0).reshape(1, 3)
    address = x.data_ptr()
    assert change(x) is x and x.shape == shape and x.data_ptr() == address and x._version == 1
    assert x.flatten().tolist() == [0, 1, 2]

    w = torch.arange(3.0).reshape(1, 3).requires_grad_()
    y = w * 2
    assert change(y) is y and y.grad_fn.name() == node
    assert y.grad_fn.next_functions[0][0].name() == "MulBackward0"
    (y * torch.arange(1.0, 4.0).reshape(shape)).sum().backward()
    assert w.grad.tolist() == [[2, 4, 6]]


@pytest.mark.parametrize("name", CALLS)
def test_of_a_view_and_of_a_base(name):
    change, shape, node = CALLS[name]
    w = torch.arange(6.0).reshape(2, 3).requires_grad_()
    base = w * 1
    view = base[1:]
    change(view)
    assert view.shape == shape and view.grad_fn.name() == node and view._base is base
    view.mul_(3)
    (base * torch.arange(6.0).reshape(2, 3)).sum().backward()
    assert w.grad.tolist() == [[0, 1, 2], [9, 12, 15]]
    assert base.shape == (2, 3) and base[1].tolist() == [9, 12, 15]

    w = torch.arange(3.0).reshape(1, 3).requires_grad_()
    base = w * 1
    view = base[:, 1:]
    change(base)
    view.mul_(5)
    assert base.flatten().tolist() == [0, 5, 10]
    (base * torch.arange(1.0, 4.0).reshape(shape)).sum().backward()
    assert w.grad.tolist() == [[1, 10, 15]]


def test_of_leaves():
    w = torch.ones(1, 3, requires_grad=True)
    for change, _, _ in CALLS.values():
        with pytest.raises(
            torch.errors.InplaceError, match="a leaf Variable that requires grad is being used in"
        ):
            change(w)
        assert w.shape == (1, 3)
    with torch.no_grad():
        w.t_()
    assert w.shape == (3, 1) and w.is_leaf and w.requires_grad
    (w * 2).sum().backward()
    assert w.grad.shape == (3, 1) and w.grad.tolist() == [[2], [2], [2]]


def test_bad_axes():
    x = torch.ones(2, 3, 4)
    with pytest.raises(RuntimeError, match=r"t_\(\) expects a tensor with <= 2 dimensions, but self is 3D"):
        x.t_()
    with pytest.raises(IndexError, match="Dimension out of range"):
        x.squeeze_(5)
    with pytest.raises(IndexError, match="Dimension out of range"):
        x.transpose_(0, 3)
    assert x.shape == (2, 3, 4) and x._version == 0


def test_randint_like_is_laid_out_as_the_other():
    torch.manual_seed(0)
    plain = torch.randint(0, 100, (6,))
    torch.manual_seed(0)
    like = torch.randint_like(torch.ones(2, 3).t(), 100, memory_format=torch.preserve_format)
    assert like.stride() == (1, 3) and like.t().flatten().tolist() == plain.tolist()
