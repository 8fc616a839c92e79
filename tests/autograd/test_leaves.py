"""Leaves, non-leaves, requires_grad, detach and data: behaviour and texts are PyTorch's."""

import warnings

import pytest

import pullback as torch

CHANGE = "you can only change requires_grad flags of leaf variables."


def leaf(*values):
    return torch.tensor(list(values), requires_grad=True)


def refuses(kind, text, call, *args, **named):
    with pytest.raises(kind) as e:
        call(*args, **named)
    assert str(e.value).split("\n")[0].startswith(text), str(e.value)


def test_what_is_a_leaf():
    x = leaf(1.0, 2.0)
    y = x * 2
    assert (x.is_leaf, y.is_leaf, torch.tensor([1.0]).is_leaf, y.detach().is_leaf) == (
        True,
        False,
        True,
        True,
    )
    assert y.requires_grad and not x.detach().requires_grad and not x.data.requires_grad
    assert not (x > 1).requires_grad and (x * torch.tensor([1, 2])).requires_grad
    assert x.grad_fn is None and x.output_nr == 0 and torch.tensor([1.0]).grad is None


def test_grad_of_a_non_leaf_warns():
    x = leaf(1.0, 2.0)
    y = x * 2
    with pytest.warns(UserWarning) as seen:
        assert y.grad is None
    assert str(seen[0].message).startswith(
        "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute "
        "won't be populated during autograd.backward(). If you indeed want the .grad field to be populated "
        "for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor "
        "by mistake, make sure you access the leaf Tensor instead."
    )
    y.retain_grad()
    y.sum().backward()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert y.grad.tolist() == [1, 1]
    assert y.retains_grad and not x.retains_grad
    x.retain_grad()
    assert not x.retains_grad
    refuses(
        RuntimeError,
        "can't retain_grad on Tensor that has requires_grad=False",
        torch.tensor([1.0]).retain_grad,
    )


def test_requires_grad_of_integers():
    integers = torch.tensor([1, 2])
    text = "only Tensors of floating point dtype can require gradients"
    refuses(RuntimeError, text, integers.requires_grad_)
    refuses(RuntimeError, text, torch.tensor([True]).requires_grad_)
    text = "only Tensors of floating point and complex dtype can require gradients"
    refuses(RuntimeError, text, setattr, integers, "requires_grad", True)
    text = "Only Tensors of floating point and complex dtype can require gradients"
    refuses(RuntimeError, text, torch.tensor, [1, 2], requires_grad=True)
    assert integers.requires_grad_(False) is integers and not integers.requires_grad


def test_requires_grad_of_non_leaves():
    x = leaf(1.0)
    y = x * 2
    refuses(
        RuntimeError, CHANGE + " If you want to use a computed variable", setattr, y, "requires_grad", False
    )
    refuses(RuntimeError, CHANGE + " If you want to use a computed variable", y.requires_grad_, False)
    refuses(RuntimeError, CHANGE, setattr, y, "requires_grad", True)
    assert y.requires_grad_() is y
    refuses(RuntimeError, "requires_grad must be a bool", setattr, x, "requires_grad", 3)
    refuses(
        TypeError,
        "requires_grad_(): argument 'requires_grad' (position 1) must be bool, not int",
        x.requires_grad_,
        1,
    )


def test_assigning_grad():
    x = leaf(1.0, 2.0)
    text = "assigned grad expected to be a Tensor or None but got grad of type int"
    refuses(TypeError, text, setattr, x, "grad", 3)
    text = (
        "attempting to assign a gradient of size '[1]' to a tensor of size '[2]'. Please ensure that the "
        "gradient and the tensor are the same size"
    )
    refuses(RuntimeError, text, setattr, x, "grad", torch.tensor([1.0]))
    text = "attempting to assign a gradient with dtype 'double' to a tensor with grad_dtype 'Float'."
    refuses(RuntimeError, text, setattr, x, "grad", torch.ones(2, dtype=torch.float64))
    refuses(RuntimeError, "can't assign Variable as its own grad", setattr, x, "grad", x)
    assert x.grad is None
    x.grad = torch.tensor([1.0, 2.0])
    del x.grad
    assert x.grad is None


def test_detach():
    x = leaf(1.0, 2.0)
    y = x * 2
    d = y.detach()
    assert d.data_ptr() == y.data_ptr() and d.grad_fn is None and not d.requires_grad
    z = y * y
    d.add_(1)  # the same memory and the same version counter
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()
    y = x * 2
    y.detach_()
    y.requires_grad_()
    (y * y).sum().backward()
    assert y.grad.tolist() == [4, 8] and x.grad is None
    text = "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP)"
    refuses(RuntimeError, text, (x * 2)[0:1].detach_)
    assert x.detach_() is x and not x.requires_grad and x.is_leaf


def test_data():
    x = leaf(1.0, 2.0)
    y = x * 2
    z = y * y
    y.data.add_(1)  # a version counter of its own: nobody notices
    z.sum().backward()
    assert x.grad.tolist() == [12, 20]
    x = leaf(1.0, 2.0)
    x.data = torch.tensor([3.0, 4.0, 5.0])
    (x * x).sum().backward()
    assert x.grad.tolist() == [6, 8, 10]
    text = "data set to a tensor that requires gradients must be floating point or complex dtype"
    refuses(RuntimeError, text, setattr, x, "data", torch.tensor([3]))
    refuses(TypeError, "Variable data has to be a tensor, but got int", setattr, x, "data", 3)


def test_variable():
    v = torch.autograd.Variable(torch.tensor([1.0]), requires_grad=True)
    assert isinstance(v, torch.autograd.Variable) and v.requires_grad and type(v) is torch.Tensor
