"""In-place forms of products and of second names, and draws on the tape."""

import numpy as np
import pytest

import pullback as torch
import pullback.autograd.forward_ad as forward_ad

SHAPES = {
    "addmm": [(2, 4), (2, 3), (3, 4)],
    "addmv": [(2,), (2, 3), (3,)],
    "addbmm": [(2, 4), (5, 2, 3), (5, 3, 4)],
    "baddbmm": [(5, 2, 4), (5, 2, 3), (5, 3, 4)],
    "addr": [(2, 3), (2,), (3,)],
}


@pytest.mark.parametrize("factors", [{}, {"beta": 0.5, "alpha": 2}, {"beta": 0}])
@pytest.mark.parametrize("name", SHAPES)
def test_products_added_in_place(name, factors):
    torch.manual_seed(0)
    given = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in SHAPES[name]]
    x, a, b = given
    y = x * 1
    got = getattr(y, name + "_")(a, b, **factors)
    expected = getattr(torch, name)(x, a, b, **factors)
    assert got is y and y.grad_fn.name() == f"{name.capitalize()}Backward0"
    assert torch.equal(y, expected)
    c = torch.randn(y.shape, dtype=torch.float64)
    for p, q in zip(
        torch.autograd.grad(y, given, c, allow_unused=True),
        torch.autograd.grad(expected, given, c, allow_unused=True),
        strict=True,
    ):
        assert (p is None and q is None) or torch.equal(p, q)
    with forward_ad.dual_level():
        d = forward_ad.make_dual(x.detach().clone(), c.clone())
        getattr(d, name + "_")(a.detach(), b.detach(), **factors)
        np.testing.assert_allclose(
            forward_ad.unpack_dual(d).tangent.numpy(), c.numpy() * factors.get("beta", 1), rtol=1e-14
        )


@pytest.mark.parametrize(
    "call, text",
    [
        (
            lambda: torch.ones(3).addmm_(torch.ones(2, 2), torch.ones(2, 3)),
            r"Bad in-place call: input tensor size \[3\] and output tensor size \[2, 3\] should match\n",
        ),
        (
            lambda: torch.ones(2, 1).addbmm_(torch.ones(3, 2, 2), torch.ones(3, 2, 3)),
            r"Bad in-place call: input tensor size \[2, 1\] and output tensor size \[2, 3\] should match\n",
        ),
        (
            lambda: torch.ones(2, 1).baddbmm_(torch.ones(3, 2, 2), torch.ones(3, 2, 3)),
            r"Bad in-place call: input tensor size \[2, 1\] and output tensor size \[3, 2, 3\] should",
        ),
        (
            lambda: torch.ones(2).addmv_(torch.ones(3, 2), torch.ones(2)),
            r"size mismatch, got input \(2\), mat \(3x2\), vec \(2\)",
        ),
        (
            lambda: torch.ones(2, 1).addr_(torch.ones(2), torch.ones(3)),
            r"size mismatch, input: \[2, 1\], v1: \[2\], v2: \[3\]\n",
        ),
        (
            lambda: torch.ones(2).float_power_(2.0),
            r"the base given to float_power_ has dtype Float but the operation's result requires dtype",
        ),
        (
            lambda: torch.ones(2, dtype=torch.long).ldexp_(torch.ones(2)),
            r"ldexp can't be cast to the desired output type Long\n",
        ),
    ],
)
def test_refusals(call, text):
    with pytest.raises(RuntimeError, match=text):
        call()


def test_powers_and_second_names():
    x = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    assert torch.equal(x.clone().float_power_(2), x * x)
    assert torch.equal(x.clone().float_power_(torch.tensor([1, 2, 3])), x**x)
    assert torch.equal(x.clone().ldexp_(torch.tensor([0, 1, 2])), x * torch.tensor([1, 2, 4]))
    assert torch.equal((x / 4).arcsin_(), torch.asin(x / 4))
    y = torch.arange(6.0).reshape(2, 3)
    v = y[1]
    assert v.as_strided_((2,), (1,)) is v and v.tolist() == [3.0, 4.0]


def test_as_strided_in_place_on_the_tape():
    x = torch.arange(4.0, requires_grad=True)
    y = x * 2
    y.as_strided_((2, 2), (1, 1), 1)
    assert y.grad_fn.name() == "AsStridedBackward1"
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [0.0, 2.0, 4.0, 2.0]


@pytest.mark.parametrize(
    "draw, name",
    [
        (lambda x: torch.bernoulli(x), "BernoulliBackward0"),
        (lambda x: torch.normal(x, 1.0), "NormalBackward1"),
        (lambda x: torch.normal(1.0, x), "NormalBackward2"),
        (lambda x: torch.normal(x, x), "NormalBackward3"),
    ],
)
def test_draws_have_a_gradient_of_zero(draw, name):
    x = torch.full((3,), 0.5, requires_grad=True)
    y = draw(x)
    assert y.grad_fn.name() == name
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [0.0, 0.0, 0.0]
    torch.manual_seed(1)
    recorded = draw(x).detach()
    torch.manual_seed(1)
    assert torch.equal(recorded, draw(x.detach()))


def test_draws_into_memory_of_another_order():
    """Torch draws row by row into a new tensor, however the means lie."""
    means = torch.arange(6.0).reshape(2, 3)
    torch.manual_seed(0)
    expected = torch.normal(means, 1.0)
    torch.manual_seed(0)
    assert torch.equal(torch.normal(means.t().contiguous().t(), 1.0), expected)


@pytest.mark.parametrize("draw", [lambda y: y.normal_(), lambda y: y.bernoulli_(torch.full((3,), 0.5))])
def test_draws_clear_the_tangent(draw):
    with forward_ad.dual_level():
        y = draw(forward_ad.make_dual(torch.ones(3), torch.ones(3)).clone())
        tangent = forward_ad.unpack_dual(y).tangent
        assert tangent is None or not tangent.any()
    with torch.func.not_vectorised() as report:
        filled = torch.func.vmap(lambda x: draw(x.clone()), randomness="same")(torch.ones(2, 3))
    assert torch.equal(filled[0], filled[1]) and not report


def test_what_is_put_into_whole_numbers_needs_no_gradient():
    source = torch.ones(3, requires_grad=True) * 2
    for change in (
        lambda t: t.copy_(source),
        lambda t: t.__setitem__(slice(None), source),
        lambda t: t.__setitem__(0, source[0]),
    ):
        whole = torch.ones(3, dtype=torch.int64)
        change(whole)
        assert not whole.requires_grad and whole.grad_fn is None


def _aliases(x):
    """Operands over the memory of x, at its own places and at others."""
    return {
        "itself": x,
        "a view of itself": x.view(x.shape),
        "the first column": x[:, :1],
        "the last column": x[:, -1:],
    }


@pytest.mark.parametrize("operand", list(_aliases(torch.ones(4, 4))))
@pytest.mark.parametrize("name", ["add_", "mul_", "sub_", "div_", "pow_", "maximum"])
def test_large_tensors_read_what_was_there_before(name, operand):
    """Programs of large tensors write over them as they go, unless an operand lies in the same memory."""
    torch.manual_seed(0)
    x = torch.rand(300, 200) + 0.5
    other = _aliases(x)[operand].clone()
    if name == "maximum":
        expected = torch.maximum(x, other)
        torch.maximum(x, _aliases(x)[operand], out=x)
    else:
        expected = getattr(x.clone(), name)(other)
        getattr(x, name)(_aliases(x)[operand])
    assert torch.equal(x, expected)


def test_a_large_tensor_and_its_history():
    """The node keeps what it needs although the program overwrites the tensor."""
    torch.manual_seed(0)
    a = torch.rand(300, 200, dtype=torch.float64, requires_grad=True)
    b = torch.rand(300, 200, dtype=torch.float64, requires_grad=True)

    def changed(y):
        y.mul_(b).sin_().add_(b[:1]).pow_(2)
        return y

    y = changed(a * 1)
    expected = ((a * b).sin() + b[:1]) ** 2
    c = torch.rand(y.shape, dtype=torch.float64)
    got, wanted = torch.autograd.grad(y, [a, b], c), torch.autograd.grad(expected, [a, b], c)
    assert torch.equal(y, expected)
    assert all(map(torch.allclose, got, wanted))


def test_a_large_integer_divided_by_zero_stays_as_it_was():
    x = torch.arange(100_000)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        x.remainder_(torch.zeros(100_000, dtype=torch.int64))
    assert torch.equal(x, torch.arange(100_000))
