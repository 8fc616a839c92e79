"""What derivatives promise beyond their values: zero for zero, undefined for zero, a batch for a loop."""

from __future__ import annotations

import warnings

from pullback import _core
from pullback.autograd.backward import grad
from pullback.autograd.function import Function
from pullback.autograd.gradcheck import jacobians
from pullback.autograd.gradcheck.comparison import fixed_generator, random_direction
from pullback.autograd.gradcheck.jacobians import differentiable, floating, outputs_of
from pullback.errors import GradcheckError

Tensor = _core.Tensor


def _zeros(tensors):
    from pullback._api import zeros_like

    return [zeros_like(t.detach()) for t in tensors]


def _compare_batched(found, expected, numbers):
    from pullback._api import allclose

    for i, (got, wanted) in enumerate(zip(found, expected, strict=True)):
        if not allclose(got, wanted):
            j, i = numbers(i)
            raise GradcheckError(
                f"For output {j} and input {i}:\n\n"
                "gradcheck or gradgradcheck failed while testing batched gradient computation: a batch of "
                "vectors gives other derivatives than the vectors one by one.\n\n"
                f"Got:\n{got}\n\nExpected:\n{wanted}"
            )


def _batching_failed(error, option):
    return GradcheckError(
        f"While computing batched gradients, got: {error}\n\n"
        "gradcheck or gradgradcheck failed while testing batched gradient computation. Leave the test out "
        f"with {option}=False, or write the function so that it runs under vmap."
    )


def check_batched(inputs, output, j):
    """Two gradients at once are the two gradients one by one."""
    from pullback._api import randn_like, stack

    xs = differentiable(inputs)
    cotangents = [randn_like(output.detach()) for _ in range(2)]

    def run(g, batched):
        found = grad(output, xs, g, True, False, True, True, batched)
        shapes = [(2, *x.shape) if batched else x.shape for x in xs]
        return [
            x.detach().new_zeros(s) if gx is None else gx for gx, x, s in zip(found, xs, shapes, strict=True)
        ]

    expected = [stack(rows) for rows in zip(*(run(g, False) for g in cotangents), strict=True)]
    try:
        found = run(stack(cotangents), True)
    except RuntimeError as error:
        raise _batching_failed(error, "check_batched_grad") from error
    _compare_batched(found, expected, lambda i: (j, i))


def check_batched_forward(func, inputs):
    """Two tangents at once are the two tangents one by one."""
    from pullback._api import randn_like, stack
    from pullback.func import vmap

    for i, x in enumerate(inputs):
        if not (isinstance(x, Tensor) and x.requires_grad):
            continue

        def run(tangent, x=x):
            return jacobians.along(func, inputs, x, tangent)

        tangents = [randn_like(x.detach()) for _ in range(2)]
        expected = [stack(rows) for rows in zip(*map(run, tangents), strict=True)]
        try:
            found = vmap(run)(stack(tangents))
        except RuntimeError as error:
            raise _batching_failed(error, "check_batched_forward_grad") from error
        _compare_batched(found, expected, lambda j, i=i: (j, i))


def check_zero_in_zero_out(outputs, inputs, masked):
    """A gradient is linear in the one it comes from, so zeros give zeros."""
    found = grad(outputs, differentiable(inputs), _zeros(outputs), retain_graph=True, allow_unused=True)
    for g in found:
        if g is None:
            continue
        if (g.abs() > (1e-8 if masked else 0)).any() or (g != g).any():
            raise GradcheckError(
                "backward not multiplied by grad_output\n"
                "The gradient of the inputs is not zero where that of the outputs is: return a product with "
                "the gradient that backward is given."
            )


class _Undefined(Function):
    """The tensor itself, with no gradient coming back."""

    @staticmethod
    def forward(ctx, x):
        return x.view_as(x)

    @staticmethod
    def backward(ctx, g):
        return None


def _undefined_failed(text, hint, cause=None):
    warnings.warn(
        "Backwards compatibility: New undefined gradient support checking feature is enabled by default, but "
        "it may break existing callers of this function. If this is true for you, you can call this function "
        'with "check_undefined_grad=False" to disable the feature',
        stacklevel=5,
    )
    where = 'Please look at "Notes about undefined output gradients" in "tools/autograd/derivatives.yaml"'
    raise GradcheckError(f"{text} {where}\n{hint}") from cause


def check_undefined(func, inputs):
    """Gradients that are left undefined count as zeros: all of them, and one at a time."""
    count = len(differentiable(outputs_of(func(*inputs))))
    cases = [set(range(count))]
    if count > 1:
        cases += [{k} for k in range(count)]
    for undefined in cases:
        outputs = differentiable(outputs_of(func(*inputs)))
        outputs = [_Undefined.apply(o) if k in undefined else o for k, o in enumerate(outputs)]
        try:
            found = grad(outputs, differentiable(inputs), _zeros(outputs), allow_unused=True)
        except RuntimeError as error:
            text = "Expected backward function to handle undefined output grads."
            _undefined_failed(text, "backward() was given None for an output that nobody uses.", error)
        if any(g is not None and (g != 0).any() for g in found):
            text = "Expected all input grads to be undefined or zero when all output grads are undefined or "
            text += "zero."
            _undefined_failed(text, "backward() was given None for a gradient and made something of it.")


def check_undefined_forward(func, inputs):
    """A tangent that is left out counts as zeros."""
    from pullback._api import allclose, zeros_like
    from pullback.autograd import forward_ad

    generator = fixed_generator()
    xs = differentiable(inputs)
    us = iter([random_direction(x, generator).reshape(x.shape) for x in xs])
    tangents = [next(us) if isinstance(x, Tensor) and x.requires_grad else None for x in inputs]

    def run(left_out, replacement):
        moving = [
            x
            if t is None
            else replacement(x.detach())
            if k == left_out
            else forward_ad.make_dual(x.detach(), t)
            for k, (x, t) in enumerate(zip(inputs, tangents, strict=True))
        ]
        return [forward_ad.unpack_dual(o)[1] for o in floating(outputs_of(func(*moving)))]

    for k, t in enumerate(tangents):
        if t is None:
            continue
        with forward_ad.dual_level():
            zero = run(k, lambda x: forward_ad.make_dual(x, zeros_like(x)))
            missing = run(k, lambda x: x)
            for j, (a, b) in enumerate(zip(zero, missing, strict=True)):
                if a is not None and b is not None and not allclose(a, b):
                    raise GradcheckError(
                        f"Mismatch in tangent values for output with index: {j} when input: {inputs[k]} has "
                        f"an undefined tangent value. Got: {b} but expected: {a}"
                    )
