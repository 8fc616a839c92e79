"""The two public functions and the order of their checks."""

from __future__ import annotations

import warnings

from pullback import _core
from pullback.autograd.backward import grad
from pullback.autograd.gradcheck import properties
from pullback.autograd.gradcheck.comparison import Options, check_fast, check_slowly
from pullback.autograd.gradcheck.jacobians import as_tuple, differentiable, outputs_of
from pullback.errors import GradcheckError

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

Tensor = _core.Tensor


def _check_inputs(inputs):
    for k, x in enumerate(inputs):
        if not (isinstance(x, Tensor) and x.requires_grad):
            continue
        if x.dtype != _core.float64:
            warnings.warn(
                f"Input #{k} requires gradient and is not a double precision floating point or complex. This "
                "check will likely fail if all the inputs are not of double precision floating point or "
                "complex. ",
                stacklevel=4,
            )
        if any(stride == 0 and size > 1 for stride, size in zip(x.stride(), x.shape, strict=True)):
            raise RuntimeError(
                f"The {k}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                "non-overlapping to be able to compute the numerical gradients correctly. You should call "
                ".contiguous on the input before passing it to gradcheck."
            )
    if not differentiable(inputs):
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have "
            "requires_grad=True.\nCall requires_grad_() on the inputs to differentiate by."
        )


def _choose(a, wants_a, b, wants_b):
    if not (wants_a or wants_b):
        raise AssertionError(f"Expected at least one of {a} or {b} to be True")


def _requires(option, wanted, other, given):
    if wanted and not given:
        raise AssertionError(f"Setting {option}=True requires {other} to be True")


def _check(func, inputs, options, ways, undefined, batched):
    """`ways` of differentiation, and of these the `batched` ones in batches too."""
    inputs = as_tuple(inputs)
    _check_inputs(inputs)
    results = outputs_of(func(*inputs))
    outputs = differentiable(results)
    compare = check_fast if options.fast_mode else check_slowly
    for way in ways:
        compare(func, inputs, results, options, way)
        if way == "forward" and undefined:
            properties.check_undefined_forward(func, inputs)
    if "forward" in batched:
        properties.check_batched_forward(func, inputs)
    if "reverse" not in ways or not outputs:
        return
    if "reverse" in batched:
        for j, output in enumerate(outputs):
            properties.check_batched(inputs, output, j)
    properties.check_zero_in_zero_out(outputs, inputs, options.masked)
    if undefined:
        properties.check_undefined(func, inputs)


def gradcheck(
    func,
    inputs,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_batched_forward_grad=False,
    check_forward_ad=False,
    check_backward_ad=True,
    fast_mode=False,
    masked=None,
):
    """Whether the derivatives of `func` are those that differences of its values give.

    Shapes    `inputs` is a tensor or a tuple: the arguments of `func`. Those that require a gradient are
              checked and should be float64. `func` returns a tensor or a tuple of tensors.
    Compared  every element of the jacobian with (func(x + eps) - func(x - eps)) / (2 eps), within
              atol + rtol * |difference|; fast_mode compares products with random vectors instead
    Also      backward twice gives the same (within nondet_tol), zero gradients give zero, undefined ones
              count as zeros (check_undefined_grad), and the same in forward mode (check_forward_ad); batches
              of gradients (check_batched_grad) and tangents (check_batched_forward_grad) equal loops
    Accepted  check_grad_dtypes: gradients and tangents always have the type of what they belong to.
              masked: there are no sparse tensors; it allows 1e-8 where zeros are expected.
    Returns   True; where a check fails it raises, or returns False with raise_exception=False
    Errors    GradcheckError; ValueError where no input requires a gradient; RuntimeError for expanded ones

    >>> import pullback as torch
    >>> x = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(lambda x: x.exp() * x, (x,))
    True
    >>> torch.autograd.gradcheck(lambda x: x.detach() * x, (x,), raise_exception=False)
    False
    """
    _choose("check_forward_ad", check_forward_ad, "check_backward_ad", check_backward_ad)
    _requires("check_batched_grad", check_batched_grad, "check_backward_ad", check_backward_ad)
    _requires("check_batched_forward_grad", check_batched_forward_grad, "check_forward_ad", check_forward_ad)
    options = Options(eps, atol, rtol, nondet_tol, fast_mode, masked)
    ways = ["reverse"] * bool(check_backward_ad) + ["forward"] * bool(check_forward_ad)
    batched = ["reverse"] * bool(check_batched_grad) + ["forward"] * bool(check_batched_forward_grad)
    try:
        _check(func, inputs, options, ways, check_undefined_grad, batched)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _random_cotangent(output, spread):
    """Uniform in [-1, 1), every second element of its memory where it is to be spread."""
    from pullback._api import empty

    g = empty(output.shape, dtype=output.dtype).uniform_(-1, 1)
    if spread and g.numel() > 1:
        g = g.repeat_interleave(2, dim=-1)[..., ::2]
    return g.requires_grad_()


def _gradient_function(func, inputs):
    """(inputs, cotangents) -> the gradients of those inputs that require one and have an influence."""
    asked = [isinstance(x, Tensor) and x.requires_grad for x in inputs]
    recorded, reached = (
        [],
        [],
    )  # outputs and inputs with a gradient, known from the run on the inputs themselves

    def all_outputs(primals, targets):
        targets = iter(targets)
        args = [next(targets) if wanted else x for x, wanted in zip(primals, asked, strict=True)]
        return outputs_of(func(*args))

    def gradient(*args):
        primals, cotangents = args[: len(inputs)], args[len(inputs) :]
        targets = [x for x, wanted in zip(primals, asked, strict=True) if wanted]
        if all(x.requires_grad for x in targets):
            outputs = all_outputs(primals, targets)
            recorded[:] = [k for k, o in enumerate(outputs) if o.requires_grad]
            outputs = [outputs[k] for k in recorded]
            if not (outputs and targets):
                return ()
            found = grad(outputs, targets, cotangents, create_graph=True, allow_unused=True)
            reached[:] = [g is not None for g in found]
        elif not recorded:
            return ()
        else:
            found = _gradient_of_duals(all_outputs, recorded, primals, targets, cotangents)
        return tuple(g for g, wanted in zip(found, reached, strict=True) if wanted)

    return gradient


def _gradient_of_duals(all_outputs, recorded, primals, targets, cotangents):
    """Tensors with tangents require no gradient: they are differentiated as vjp() does it."""
    from pullback.func import vjp

    def chosen(*targets):
        outputs = all_outputs(primals, targets)
        return tuple(outputs[k] for k in recorded)

    _, pull = vjp(chosen, *targets)
    return pull(tuple(cotangents))


def gradgradcheck(
    func,
    inputs,
    grad_outputs=None,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    gen_non_contig_grad_outputs=False,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_fwd_over_rev=False,
    check_rev_over_rev=True,
    fast_mode=False,
    masked=False,
):
    """Whether the second derivatives of `func` are right: gradcheck() of its gradient.

    Shapes    as in gradcheck(). grad_outputs has the shapes of the outputs that require a gradient, and is
              checked as further inputs; None draws it at random (gen_non_contig_grad_outputs: strided).
    Compared  the gradient's derivative, by reverse mode (check_rev_over_rev) and forward mode
              (check_fwd_over_rev)
    Errors    as in gradcheck()

    >>> import pullback as torch
    >>> x = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradgradcheck(lambda x: x.exp() * x, (x,))
    True
    """
    _choose("check_fwd_over_rev", check_fwd_over_rev, "check_rev_over_rev", check_rev_over_rev)
    _requires("check_undefined_grad", check_undefined_grad, "check_rev_over_rev", check_rev_over_rev)
    _requires("check_batched_grad", check_batched_grad, "check_rev_over_rev", check_rev_over_rev)
    inputs = as_tuple(inputs)
    if grad_outputs is None:
        outputs = differentiable(outputs_of(func(*inputs)))
        grad_outputs = tuple(_random_cotangent(o, gen_non_contig_grad_outputs) for o in outputs)
    grad_outputs = as_tuple(grad_outputs)
    return gradcheck(
        _gradient_function(func, inputs),
        inputs + grad_outputs,
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        fast_mode=fast_mode,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        masked=masked,
    )
