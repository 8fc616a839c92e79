"""nonfinite(): what the error says of the cause, for plain operations and under transformations."""

import numpy as np
import pytest

import pullback as torch
from pullback.errors import NonFiniteError
from pullback.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap

O3, Z3 = torch.ones(3), torch.zeros(3)
BY_ZERO = "This divides by 0: add a small number to the divisor"
TOO_LARGE = "The result exceeds the largest float32: scale the operands down"


def caught(call):
    with pytest.raises(NonFiniteError) as e, torch.debug.nonfinite():
        call()
    return e.value


CAUSES = {
    "log": (lambda: Z3.log(), "log(0) is -inf: clamp the operand"),
    "log of less": (lambda: (-O3).log(), "log() needs a number above 0"),
    "log1p": (lambda: (-O3).log1p(), "log1p(-1) is -inf"),
    "pow": (lambda: Z3.pow(-1), "0 to a negative power is infinite"),
    "pow of tensors": (lambda: Z3.pow(-O3), "0 to a negative power is infinite"),
    "root by pow": (lambda: (-O3).pow(0.5), "A negative number to a fractional power is nan"),
    "large pow": (lambda: (O3 * 1e5).pow(10), TOO_LARGE),
    "div": (lambda: O3 / Z3, BY_ZERO),
    "0 / 0": (lambda: Z3 / Z3, "0 / 0 is nan"),
    "small divisor": (lambda: (O3 * 1e30) / (O3 * 1e-30), "The divisor is too small"),
    "reciprocal": (lambda: 1 / Z3, BY_ZERO),
    "rsqrt": (lambda: Z3.rsqrt(), "1 / sqrt(0) is infinite"),
    "sqrt": (lambda: (-O3).sqrt(), "A negative number has no square root"),
    "exp": (lambda: (O3 * 100).exp(), "exp() exceeds the largest number"),
    "mul": (lambda: (O3 * 1e30) * 1e30, TOO_LARGE),
    "acos": (lambda: (O3 * 2).acos(), "acos() is defined between -1 and 1"),
    "atanh": (lambda: O3.atanh(), "atanh() is infinite at -1 and 1"),
    "lgamma": (lambda: Z3.lgamma(), "lgamma() is infinite or undefined at 0"),
    "nothing": (lambda: torch.ones(0, 2).logsumexp(0), "`input` has no elements"),
    "inside": (lambda: torch.nn.functional.poisson_nll_loss(O3 * 100, O3), "exceeds the largest float32"),
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_read_from_the_operands(name):
    call, cause = CAUSES[name]
    text = str(caught(call))
    assert cause in text
    assert (TOO_LARGE in text) == (cause == TOO_LARGE)


def where(x):
    return torch.where(x > 0, x.sqrt(), 0.0)


VMAP = ", for one of the samples of vmap, made "
FORWARD = ", in forward mode, made "
BOTH = ", in forward mode and for one of the samples of vmap, made "
SLOPE = "The slope of sqrt at input = 0.0 is infinite"
TRANSFORMED = {
    "vmap": (lambda: vmap(torch.log)(Z3), "log", VMAP, "  input[0] = 0.0", "log(0) is -inf"),
    "vmap twice": (
        lambda: vmap(vmap(torch.log))(torch.zeros(2, 3)),
        "log",
        VMAP,
        "  input[0, 0] = 0.0",
        "log(0) is -inf",
    ),
    "a number for each sample": (
        lambda: vmap(torch.div)(torch.ones(3, 2), torch.tensor([1.0, 0.0, 1.0])),
        "div",
        VMAP + "inf at [1, 0] of its result (shape [3, 2])",
        "  other[1] = 0.0",
        BY_ZERO,
    ),
    "shared": (
        lambda: vmap(torch.pow, (None, 0))(Z3, -torch.ones(2, 3)),
        "pow",
        VMAP,
        "  input[0] = 0.0\n  exponent[0, 0] = -1.0",
        "0 to a negative power",
    ),
    "pow": (lambda: vmap(lambda x: x.pow(-1))(Z3), "pow", VMAP, "  exponent = -1.0", "0 to a negative power"),
    "sum": (lambda: vmap(torch.sum)(torch.ones(2, 3) * 3e38), "sum", VMAP, "3e+38", TOO_LARGE),
    "jvp": (
        lambda: jvp(torch.sqrt, (Z3,), (O3,)),
        "sqrt",
        FORWARD + "inf at [0] of the tangent of its result (shape [3])",
        "  tangent of input[0] = 1.0\n  input[0] = 0.0",
        SLOPE,
    ),
    "a value in forward mode": (
        lambda: jvp(torch.log, (Z3,), (O3,)),
        "log",
        FORWARD + "-inf at [0] of its result",
        "  input[0] = 0.0",
        "log(0) is -inf",
    ),
    "tangents of 0": (
        lambda: jvp(where, (Z3,), (Z3,)),
        "sqrt",
        FORWARD + "nan",
        "  tangent of input[0] = 0.0",
        "zero times infinity: the tangent that arrives is 0, but the derivative of sqrt is infinite there",
    ),
    "jacfwd": (lambda: jacfwd(torch.sqrt)(Z3), "sqrt", BOTH, "  input[0] = 0.0", SLOPE),
    "hessian": (lambda: hessian(lambda x: x.sqrt().sum())(Z3), "sqrt", BOTH, "  input[0, 0] = 0.0", SLOPE),
    "vmap of grad": (
        lambda: vmap(grad(where))(torch.tensor([4.0, 0.0])),
        "SqrtBackward0",
        VMAP + "nan at [1] of the gradient of `input`",
        "  result[1] = 0.0",
        "because where() did not select this element, but the derivative of sqrt is infinite there",
    ),
    "jacrev": (
        lambda: jacrev(torch.sqrt)(Z3),
        "the backward pass of sqrt",
        VMAP + "inf at [0, 0] of its gradient",
        "  arriving gradient[0, 0] = 1.0\n  result[0] = 0.0",
        SLOPE,
    ),
    "vmap of a vjp": (
        lambda: vmap(vjp(torch.sqrt, Z3)[1])(torch.zeros(2, 3)),
        "the backward pass of sqrt",
        VMAP + "nan",
        "  arriving gradient[0, 0] = 0.0",
        "zero times infinity: the gradient that arrives is 0",
    ),
    "grad of jvp": (
        lambda: grad(lambda x: jvp(lambda y: y**1.5, (x,), (O3,))[1].sum())(Z3),
        "PowBackward0",
        FORWARD + "inf",
        "  tangent of input[0] = 1.0",
        "The derivative is infinite, or too large for the type",
    ),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_under_transformations(name):
    call, operation, circumstances, values, cause = TRANSFORMED[name]
    error = caught(call)
    assert str(error).startswith(operation + circumstances)
    assert error.op == operation
    assert values in str(error)
    assert cause in str(error)


def function(forward):
    def backward(ctx, g):
        return g

    members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    return type("Mine", (torch.autograd.Function,), members)


def test_the_forward_of_a_users_function():
    apply = function(lambda ctx, x: x * float("nan")).apply  # looked up before anybody watches
    for x in (O3, O3.clone().requires_grad_()):
        error = caught(lambda x=x: apply(x))
        assert str(error).startswith(
            "Mine.forward made nan at [0] of its result (shape [3])\n  argument 0 of "
        )
        assert "No operation inside made it of finite operands" in str(error)
        assert (error.op, error.index) == ("Mine", (0,))
    outside = function(lambda ctx, x, k: (x * 1, torch.from_numpy(np.float32([k, np.inf])), 3))
    assert str(caught(lambda: outside.apply(O3, 1))).startswith(
        "Mine.forward made inf at [1] of its result 1"
    )
    assert caught(lambda: vmap(apply)(torch.ones(2, 3))).op == "Mine"
    assert caught(lambda: jvp(apply, (O3,), (O3,))).op == "Mine"
    assert caught(lambda: function(lambda ctx, x: x.log()).apply(Z3)).op == "log"
    with torch.debug.nonfinite():  # what comes in may pass
        assert apply(torch.tensor([float("nan")])).isnan().all()
    assert apply(O3).isnan().all()
