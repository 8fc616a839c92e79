"""gradcheck and gradgradcheck: what passes, what each check finds, and PyTorch's words for it."""

import subprocess
import sys
import warnings

import pytest

import pullback as torch
from pullback.autograd.gradcheck import GradcheckError

Function = torch.autograd.Function
gradcheck, gradgradcheck = torch.autograd.gradcheck, torch.autograd.gradgradcheck
both_modes = pytest.mark.parametrize("fast_mode", [False, True])


def leaf(*values, dtype=torch.float64):
    return torch.tensor(list(values), dtype=dtype, requires_grad=True)


def pair():
    return leaf(1.0, 2.0)


def refuses(kind, text, call, *args, **named):
    """The error's text, which begins with PyTorch's line."""
    with pytest.raises(kind) as e:
        call(*args, **named)
    assert str(e.value).startswith(text), str(e.value)
    return str(e.value)


def operation(backward, forward=lambda x: x * x, materialize=True):
    """A Function of one input with the backward to be checked."""

    class Operation(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(materialize)
            ctx.save_for_backward(x)
            return forward(x)

        @staticmethod
        def backward(ctx, *grads):
            return backward(ctx.saved_tensors[0], *grads)

    return Operation.apply


wrong = operation(lambda x, g: g * x * 3)


@both_modes
def test_what_is_right_passes(fast_mode):
    a = torch.arange(6, dtype=torch.float64).reshape(2, 3).requires_grad_()
    b = torch.arange(6, dtype=torch.float64).reshape(2, 3).t().requires_grad_()
    i = torch.tensor([1, 0, 1])
    cases = [
        (lambda x: x * x, pair()),
        (lambda x: [x.sin(), x.sum().expand(3)], [pair()]),
        (lambda x: (x * 2, (x * 0).long()), (pair(),)),
        (lambda x: ((x * 0).long(), x * x), (pair(),)),
        (lambda a, b: (a @ b).tanh(), (a, b)),
        (lambda x, i, n: x[i] * n, (pair(), i, 3)),
        (lambda x, y: x * x, (pair(), pair())),  # y is not used
        (lambda x: x, (pair(),)),
        (lambda x: x * x, (pair() * 2,)),
        (lambda x: x * 2, (torch.ones(0, dtype=torch.float64, requires_grad=True),)),
        (lambda x: x.clone().mul_(x), (pair(),)),
        (lambda x: torch.ones(2), (pair(),)),
    ]
    for func, inputs in cases:
        assert gradcheck(func, inputs, fast_mode=fast_mode, check_batched_grad=True, masked=True) is True
        assert gradgradcheck(func, inputs, fast_mode=fast_mode, check_batched_grad=True) is True
    shared = pair()
    assert gradcheck(lambda x, y: x * y, (shared, shared), fast_mode=fast_mode)


def test_the_whole_jacobian_is_compared():
    text = refuses(
        GradcheckError,
        "Jacobian mismatch for output 1",
        gradcheck,
        lambda x, y: (x + y, wrong(y)),
        (pair(), pair()),
    )
    assert text == (
        "Jacobian mismatch for output 1 with respect to input 1,\n"
        "numerical:tensor([[2.0000, 0.0000],\n        [0.0000, 4.0000]], dtype=torch.float64)\n"
        "analytical:tensor([[3., 0.],\n        [0., 6.]], dtype=torch.float64)\n\n"
        "They differ most, by 2, for element 1 of the input and element 1 of the output, both flattened. "
        "Look at that element's derivative; where the function has a kink or is random, or the inputs are "
        "not float64, differences prove nothing."
    )
    nan = operation(lambda x, g: g * float("nan"))
    assert "by inf, for element 0" in refuses(GradcheckError, "Jacobian mismatch", gradcheck, nan, pair())


def test_fast_mode_compares_products_with_fixed_vectors():
    torch.manual_seed(3)
    before = torch.get_rng_state().tolist()
    text = refuses(GradcheckError, "Jacobian mismatch for output 0", gradcheck, wrong, pair(), fast_mode=True)
    head = text.split("\n")[:3]
    assert head[1].startswith("numerical:3.31477314") and head[2].startswith("analytical:4.97215972")
    assert "Analytical:\ntensor([[3., 0.],\n        [0., 6.]], dtype=torch.float64)\n" in text
    assert "The max per-element difference (slow mode) is: 1.99999" in text and "might've" not in text
    assert torch.get_rng_state().tolist() == before


def test_fast_mode_that_fails_where_slow_mode_would_not():
    tilted = operation(lambda x, g: g * x * 2 + (2.5e-2 if (g != 0).all() else 0))
    text = refuses(GradcheckError, "Jacobian mismatch", gradcheck, tilted, pair(), fast_mode=True)
    small = "Fast gradcheck failed but element-wise differences are small. This means that the test might've"
    assert small in text


@both_modes
def test_tolerances(fast_mode):
    near = operation(lambda x, g: g * x * 2.0001)
    assert gradcheck(near, pair(), fast_mode=fast_mode)
    assert not gradcheck(near, pair(), rtol=1e-6, raise_exception=False, fast_mode=fast_mode)
    assert gradcheck(near, pair(), rtol=1e-6, atol=1e-2, fast_mode=fast_mode)
    kink = leaf(1e-3)
    assert gradcheck(torch.abs, kink, fast_mode=fast_mode)
    assert not gradcheck(torch.abs, kink, eps=1e-2, raise_exception=False, fast_mode=fast_mode)


@both_modes
def test_inputs_of_single_precision_are_warned_of(fast_mode):
    x = leaf(1.0, 2.0, dtype=torch.float32)
    text = (
        "Input #1 requires gradient and is not a double precision floating point or complex. This check will "
        "likely fail if all the inputs are not of double precision floating point or complex. "
    )
    with pytest.warns(UserWarning) as found:
        assert gradcheck(lambda n, x: x * x, (2, x), eps=1e-2, atol=0.1, rtol=0.1, fast_mode=fast_mode)
    assert [str(w.message) for w in found] == [text] and found[0].filename == __file__
    with pytest.warns(UserWarning):
        text = refuses(GradcheckError, "Jacobian mismatch", gradcheck, lambda x: x * x, x)
    assert "numerical:tensor([[1.9670, 0.0000],\n        [0.0000, 3.8147]])" in text


def test_inputs_that_cannot_be_checked():
    constant = torch.ones(2, dtype=torch.float64)
    text = (
        "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad"
    )
    for check in (gradcheck, gradgradcheck):
        refuses(ValueError, text, check, lambda x: x * x, constant)
        refuses(ValueError, text, check, lambda: constant, ())
    x = torch.ones(1, dtype=torch.float64, requires_grad=True).expand(3)
    text = (
        "The 0th input has a dimension with stride 0. gradcheck only supports inputs that are "
        "non-overlapping to be able to compute the numerical gradients correctly. You should call .contiguous"
    )
    refuses(RuntimeError, text, gradcheck, lambda x: x * x, x)
    assert gradcheck(lambda x: x * x, torch.ones(3, dtype=torch.float64, requires_grad=True).expand(1, 3))
    overlapping = constant.new_ones(3).as_strided((2, 2), (1, 1)).requires_grad_()
    assert not gradcheck(lambda x: x * x, overlapping, raise_exception=False)


@both_modes
def test_functions_that_cannot_be_checked(fast_mode):
    for result, kind in ((None, "NoneType"), (3.0, "float"), ((pair(), 3.0), "float"), ({}, "dict")):
        text = f"'{kind}' object has no attribute 'requires_grad'"
        refuses(AttributeError, text, gradcheck, lambda x, r=result: r, pair(), fast_mode=fast_mode)
    calls = []

    def grows(x):
        calls.append(x)
        return x.repeat(len(calls))

    place = "by 1e-06" if fast_mode else "on index (0,) by 1e-06"
    text = (
        f"Expected `func` to return outputs with the same shape when inputs are perturbed {place}, but got: "
        "shapes torch.Size([4]) and torch.Size([6])."
    )
    refuses(AssertionError, text, gradcheck, grows, pair(), fast_mode=fast_mode)

    def changes(x):
        calls.append(x)
        return x.float() if len(calls) == 3 else x * 1

    calls.clear()
    text = "Expected `func` to return outputs with the same dtype when inputs are perturbed"
    refuses(AssertionError, text, gradcheck, changes, pair(), fast_mode=fast_mode)


@both_modes
def test_inputs_are_left_as_they_were(fast_mode):
    x = pair()
    calls = []

    def fails(x):
        calls.append(x.tolist())
        if len(calls) == 3:
            raise ZeroDivisionError("third")
        return x * x

    refuses(ZeroDivisionError, "third", gradcheck, fails, x, fast_mode=fast_mode)
    assert calls[0] == [1, 2] != calls[1] != calls[2] and x.tolist() == [1, 2] and x._version == 0
    assert gradcheck(lambda x: x * x, x, fast_mode=fast_mode) and x.grad is None and x.tolist() == [1, 2]


@both_modes
def test_outputs_that_need_no_gradient_must_be_constant(fast_mode):
    assert gradcheck(lambda x: torch.ones(2), pair(), fast_mode=fast_mode)
    text = "Numerical gradient for function expected to be zero"
    refuses(GradcheckError, text, gradcheck, lambda x: x.detach() * 2, pair(), fast_mode=fast_mode)


@both_modes
def test_backward_must_repeat_itself(fast_mode):
    calls = []
    drifting = operation(lambda x, g: (calls.append(0), g * 2 * x * (1 + 1e-9 * len(calls)))[1])
    text = refuses(
        GradcheckError,
        "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
        "gives different values, although analytical gradient matches numerical gradient.The tolerance for "
        "nondeterminism was 0.0.\n",
        gradcheck,
        drifting,
        pair(),
        fast_mode=fast_mode,
    )
    assert "nondet_tol=<tol>" in text
    assert gradcheck(drifting, pair(), fast_mode=fast_mode, nondet_tol=1e-5)


def test_batches_must_be_loops():
    calls = []
    drifting = operation(lambda x, g: (calls.append(0), g * 2 * x * (1 + 1e-4 * len(calls)))[1])
    text = refuses(
        GradcheckError,
        "For output 0 and input 0:\n\ngradcheck or gradgradcheck failed while testing batched gradient",
        gradcheck,
        drifting,
        pair(),
        nondet_tol=1.0,
        atol=1.0,
        check_batched_grad=True,
    )
    assert "\n\nGot:\ntensor([[" in text and "\n\nExpected:\ntensor([[" in text

    def raising(x, g):
        calls.append(0)
        if len(calls) == 7:
            raise RuntimeError("no batches")
        return g * 2 * x

    calls.clear()
    text = "While computing batched gradients, got: no batches\n\ngradcheck or gradgradcheck failed while"
    refuses(GradcheckError, text, gradcheck, operation(raising), pair(), check_batched_grad=True)


def test_zero_gives_zero():
    shifted = operation(lambda x, g: 2 * x * torch.where(g == 0, 5.0, g))
    text = "backward not multiplied by grad_output\n"
    for value in (5.0, float("nan")):
        shifted = operation(lambda x, g, v=value: 2 * x * torch.where(g == 0, v, g))
        refuses(GradcheckError, text, gradcheck, shifted, leaf(2.0))
    tiny = operation(lambda x, g: 2 * x * torch.where(g == 0, 1e-9, g))
    refuses(GradcheckError, text, gradcheck, tiny, leaf(2.0))
    assert gradcheck(tiny, leaf(2.0), masked=True, check_undefined_grad=False)


def test_undefined_gradients():
    def refusing(x, g):
        if g is None:
            raise RuntimeError("none")
        return g * 2 * x

    def check(func, text):
        with pytest.warns(UserWarning, match="^Backwards compatibility: New undefined gradient support") as w:
            text = refuses(GradcheckError, text, gradcheck, func, pair())
        assert w[0].filename == __file__
        assert (
            'Please look at "Notes about undefined output gradients" in "tools/autograd/derivatives.yaml"'
            in text
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert gradcheck(func, pair(), check_undefined_grad=False)

    text = "Expected backward function to handle undefined output grads. Please"
    check(operation(refusing, materialize=False), text)
    text = (
        "Expected all input grads to be undefined or zero when all output grads are undefined or zero. Please"
    )
    check(operation(lambda x, g: x if g is None else g * 2 * x, materialize=False), text)

    def one_missing(x, a, b):
        if a is None and b is not None and not b.any():
            return torch.ones(2, dtype=x.dtype)
        return sum((n * g for n, g in ((2, a), (3, b)) if g is not None), torch.zeros_like(x))

    # Only one of two outputs undefined finds it; with neither, the way through b gives the right numbers.
    check(operation(one_missing, lambda x: (x * 2, x * 3), materialize=False), text)
    assert gradcheck(operation(lambda x, g: g * 2 * x), pair())  # materialised


def test_options_that_exclude_each_other():
    def square(x):
        return x * x

    text = "Expected at least one of check_forward_ad or check_backward_ad to be True"
    refuses(AssertionError, text, gradcheck, square, pair(), check_backward_ad=False)
    text = "Setting check_batched_grad=True requires check_backward_ad to be True"
    forward = {"check_backward_ad": False, "check_forward_ad": True}
    refuses(AssertionError, text, gradcheck, square, pair(), check_batched_grad=True, **forward)
    text = "Setting check_batched_forward_grad=True requires check_forward_ad to be True"
    refuses(AssertionError, text, gradcheck, square, pair(), check_batched_forward_grad=True)
    text = "Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True"
    refuses(AssertionError, text, gradgradcheck, square, pair(), check_rev_over_rev=False)
    forward = {"check_rev_over_rev": False, "check_fwd_over_rev": True}
    text = "Setting check_undefined_grad=True requires check_rev_over_rev to be True"
    refuses(AssertionError, text, gradgradcheck, square, pair(), **forward)
    text = "Setting check_batched_grad=True requires check_rev_over_rev to be True"
    forward["check_undefined_grad"] = False
    refuses(AssertionError, text, gradgradcheck, square, pair(), check_batched_grad=True, **forward)


def test_only_failed_checks_become_false():
    assert gradcheck(wrong, pair(), raise_exception=False) is False
    refuses(ValueError, "gradcheck expects", gradcheck, torch.sin, torch.ones(2), raise_exception=False)


@both_modes
def test_second_derivatives(fast_mode):
    # Right first derivatives whose own derivative is wrong: the factor 2 x is taken as a constant.
    frozen = operation(lambda x, g: g * 2 * x.detach())
    assert gradcheck(frozen, pair(), fast_mode=fast_mode)
    text = "Jacobian mismatch for output 0 with respect to input 0,"
    refuses(GradcheckError, text, gradgradcheck, frozen, pair(), fast_mode=fast_mode)
    assert not gradgradcheck(frozen, pair(), raise_exception=False, fast_mode=fast_mode)


def test_random_cotangents_are_torchs():
    torch.manual_seed(0)
    once = operation(torch.autograd.function.once_differentiable(lambda x, g: g * 2 * x))
    text = refuses(GradcheckError, "Jacobian mismatch", gradgradcheck, once, pair())
    assert "numerical:tensor([[1.8802, 0.0000],\n        [0.0000, 0.8313]], dtype=torch.float64)" in text


def test_given_cotangents():
    seen = []

    class Product(Function):
        @staticmethod
        def forward(ctx, x, y):
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx, g):
            seen.append((g.tolist(), g.stride()))
            x, y = ctx.saved_tensors
            return g * y, g * x

    inputs = (pair(), leaf(3.0, 4.0))
    assert gradgradcheck(Product.apply, inputs, leaf(2.0, 5.0))
    assert seen[0] == ([2, 5], (1,))
    seen.clear()
    assert gradgradcheck(Product.apply, inputs, (torch.ones(2, dtype=torch.float64),))
    seen.clear()
    assert gradgradcheck(Product.apply, inputs, gen_non_contig_grad_outputs=True)
    assert seen[0][1] == (2,)
    assert gradgradcheck(lambda x: x.detach(), pair())  # no gradient, no derivative of it


# Forward mode


def only_recorded(x):
    """A function that gives others than its own derivatives in forward mode, where x requires none."""
    return x * x * (1 if x.requires_grad else 1.5)


@both_modes
def test_forward_mode(fast_mode):
    forward = {"check_forward_ad": True, "fast_mode": fast_mode}
    i = torch.tensor([1, 0, 1])
    shared = pair()
    for func, inputs in (
        (lambda x: x * x, pair()),
        (lambda x, i, n: (x[i] * n, x.sum().exp()), (pair(), i, 3)),
        (lambda x, y: x * x, (pair(), pair())),
        (lambda x: ((x * 0).long(), x * x), (pair(),)),
        (lambda x: torch.ones(2), (pair(),)),
        (lambda x, y: x * y, (shared, shared)),
    ):
        assert gradcheck(func, inputs, **forward, check_batched_forward_grad=True, check_grad_dtypes=True)
        assert gradcheck(func, inputs, **forward, check_backward_ad=False)
    text = "Jacobian computed with forward mode mismatch for output 0 with respect to input 0,\nnumerical:"
    found = refuses(GradcheckError, text, gradcheck, only_recorded, pair(), **forward)
    slow = "Analytical:\n" if fast_mode else "analytical:"
    assert f"{slow}tensor([[3., 0.],\n        [0., 6.]], dtype=torch.float64)" in found
    text = "Numerical gradient for function expected to be zero"
    named = {**forward, "check_backward_ad": False}
    refuses(GradcheckError, text, gradcheck, lambda x: x.detach() * 2, pair(), **named)


@both_modes
def test_forward_over_reverse(fast_mode):
    second = {"check_fwd_over_rev": True, "fast_mode": fast_mode}
    for func, inputs in (
        (lambda x: x**3, pair()),
        (lambda x, y, n: (x * x * y, y.sum() * n), (pair(), pair(), 3)),
        (lambda x, y: x.exp(), (pair(), pair())),
        (lambda x: ((x * 0).long(), x * x), (pair(),)),
        (lambda x: x.detach(), (pair(),)),
    ):
        assert gradgradcheck(func, inputs, **second)
        assert gradgradcheck(func, inputs, **second, check_rev_over_rev=False, check_undefined_grad=False)

    text = "Jacobian computed with forward mode mismatch for output 0 with respect to input 0,\nnumerical:"
    named = {"check_rev_over_rev": False, "check_undefined_grad": False}

    def changing(x):
        return x**3 if x.is_leaf and x.requires_grad else x**4  # another one in forward mode

    refuses(GradcheckError, text, gradgradcheck, changing, pair(), **second, **named)


def test_tangents_that_are_left_out():
    forward_ad = torch.autograd.forward_ad

    def noticing(x, y):
        missing = forward_ad.unpack_dual(y).tangent is None and not y.requires_grad
        return x * y * (2 if missing else 1)

    named = {"check_forward_ad": True, "check_backward_ad": False}
    text = "Mismatch in tangent values for output with index: 0 when input: tensor([1., 2.]"
    text = refuses(GradcheckError, text, gradcheck, noticing, (pair(), pair()), **named)
    assert " has an undefined tangent value. Got: tensor([" in text and " but expected: tensor([" in text
    assert gradcheck(noticing, (pair(), pair()), **named, check_undefined_grad=False)


def test_batches_of_tangents_must_be_loops():
    named = {"check_forward_ad": True, "check_batched_forward_grad": True, "check_undefined_grad": False}
    calls = []

    def growing(x):
        calls.append(0)
        return x * (1 + 1e-4 * len(calls))

    text = "For output 0 and input 0:\n\ngradcheck or gradgradcheck failed while testing batched gradient"
    refuses(GradcheckError, text, gradcheck, growing, pair(), **named, atol=1e9)

    def raising(x):
        calls.append(0)
        if len(calls) > 13:
            raise RuntimeError("no batches")
        return x * 1

    calls.clear()
    text = "While computing batched gradients, got: no batches\n\ngradcheck or gradgradcheck failed while"
    text = refuses(GradcheckError, text, gradcheck, raising, pair(), **named)
    assert "check_batched_forward_grad=False" in text


# Names


def test_the_name_is_a_function_and_a_module():
    program = """
import pullback
torch = pullback.as_torch()
assert callable(torch.autograd.gradcheck)
from torch.autograd.gradcheck import GradcheckError
import torch.autograd.gradcheck
from torch.autograd import gradcheck
assert callable(gradcheck) and callable(torch.autograd.gradcheck)
assert GradcheckError is pullback.errors.GradcheckError
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    assert callable(torch.autograd.gradcheck) and issubclass(GradcheckError, RuntimeError)


@pytest.mark.parametrize(
    "name",
    [
        "func",
        "vmap",
        "func.vmap",
        "autograd.forward_ad",
        "autograd.functional",
        "autograd.forward_ad.make_dual",
    ],
)
def test_what_is_imported_when_first_asked_for(name):
    for first in ("import pullback as torch", "import pullback; torch = pullback.as_torch()"):
        subprocess.run([sys.executable, "-c", f"{first}; torch.{name}"], check=True)
    refuses(AttributeError, "module 'pullback.autograd' has no attribute 'x'", getattr, torch.autograd, "x")
