"""The derivatives held against differences: every element, or in fast mode a product with random vectors."""

from __future__ import annotations

from typing import NamedTuple

from pullback.autograd.gradcheck import jacobians
from pullback.autograd.gradcheck.jacobians import differentiable, floating
from pullback.errors import GradcheckError


class Options(NamedTuple):
    """How closely to compare, and by which ways of differentiation."""

    eps: float
    atol: float
    rtol: float
    nondet_tol: float
    fast_mode: bool
    masked: bool | None


def fixed_generator():
    """Always the same numbers, and the program's own stream goes on untouched."""
    from pullback._api import Generator

    return Generator()


def random_direction(t, generator):
    """Of length 1, without negative elements, so that errors do not cancel."""
    from pullback._api import rand

    v = rand(t.numel(), generator=generator).to(t.dtype)
    return v / v.norm()


def _close(a, b, options, scale=1.0):
    from pullback._api import allclose, promote_types

    common = promote_types(a.dtype, b.dtype)
    return allclose(a.to(common), b.to(common), options.rtol, options.atol * scale)


def _mismatch(numbers, j, i, way):
    how = "computed with forward mode " if way == "forward" else ""
    numerical, analytical = numbers
    return (
        f"Jacobian {how}mismatch for output {j} with respect to input {i},\n"
        f"numerical:{numerical}\nanalytical:{analytical}\n"
    )


def _where(numerical, analytical):
    """The element that differs most, and what may be the reason."""
    difference = (numerical - analytical).abs()
    difference = difference.where(difference == difference, float("inf"))  # a nan differs most
    row, column = divmod(int(difference.argmax()), difference.shape[1])
    return (
        f"\nThey differ most, by {difference[row, column].item():.3g}, for element {row} of the input and "
        f"element {column} of the output, both flattened. Look at that element's derivative; where the "
        "function has a kink or is random, or the inputs are not float64, differences prove nothing."
    )


def _compare(numerical, analytical, options, j, i, way):
    if not _close(analytical, numerical, options):
        text = _mismatch((numerical, analytical), j, i, way)
        raise GradcheckError(text + _where(numerical, analytical))


def _check_repeats(first, second, options):
    for a, b in zip(first, second, strict=True):
        if a.numel() and (a - b).abs().max() > options.nondet_tol:
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with same input and grad_output multiple "
                "times gives different values, although analytical gradient matches numerical gradient.The "
                f"tolerance for nondeterminism was {options.nondet_tol}.\n\n"
                "The backward of some operation depends on more than its inputs: on random numbers, or on "
                "state that it changes. If this is meant, allow for it with nondet_tol=<tol>."
            )


def _reverse(inputs, output, options, direction=None):
    first = jacobians.reverse(inputs, output, direction)
    second = jacobians.reverse(inputs, output, direction)
    _check_repeats(first, second, options)
    return first


def _check_constant(all_numerical, tolerance):
    for n in all_numerical:
        if n.numel() and n.abs().max() > tolerance:
            raise GradcheckError(
                "Numerical gradient for function expected to be zero\n"
                "No output requires a gradient, but the outputs change with the inputs: check for detach(), "
                ".item(), .numpy() or no_grad() on the way."
            )


def check_slowly(func, inputs, results, options, way):
    """Every element of every jacobian."""
    outputs = floating(results)
    xs = differentiable(inputs)
    by_input = [jacobians.numerical(func, inputs, x, results, options.eps) for x in xs]
    recorded = [k for k, o in enumerate(outputs) if o.requires_grad]
    if not recorded:
        _check_constant([n for per_output in by_input for n in per_output], 0)
    elif way == "forward":
        found = [jacobians.forward(func, inputs, x, results) for x in xs]
        for j, k in enumerate(recorded):
            for i, per_output in enumerate(found):
                _compare(by_input[i][k], per_output[k], options, j, i, way)
    else:
        for j, k in enumerate(recorded):
            for i, analytical in enumerate(_reverse(inputs, outputs[k], options)):
                _compare(by_input[i][k], analytical, options, j, i, way)


# Fast mode: a product of the jacobian with one random vector (forward) or two (reverse) instead of all of it


def _slow_report(func, inputs, results, options, k, i, way):
    """Both jacobians in full: what the two numbers of fast mode do not show."""
    x, output = differentiable(inputs)[i], floating(results)[k]
    numerical = jacobians.numerical(func, inputs, x, results, options.eps)[k]
    if way == "forward":
        analytical = jacobians.forward(func, inputs, x, results)[k]
    else:
        analytical = jacobians.reverse(inputs, output)[i]
    largest = (numerical - analytical).abs().max().item()
    text = (
        "\nThe above quantities relating the numerical and analytical jacobians are computed in fast mode: "
        "they are products with random vectors. In slow mode the jacobians are\n\n"
        f"Numerical:\n {numerical}\nAnalytical:\n{analytical}\n\n"
        f"The max per-element difference (slow mode) is: {largest}.\n"
    )
    if _close(analytical, numerical, options):
        text += (
            "Fast gradcheck failed but element-wise differences are small. This means that the test might've "
            "passed in slow_mode!\nCall with fast_mode=False to compare element by element."
        )
    return text


def _products_forward(func, inputs, results, options, us):
    """(difference, derivative, scale of the tolerance) for each input and output."""
    found = []
    for x, u in zip(differentiable(inputs), us, strict=True):
        numerical = jacobians.numerical(func, inputs, x, results, options.eps, u)
        analytical = jacobians.forward(func, inputs, x, results, u)
        scale = float(u.sum())
        found.append(
            [(n.reshape(-1), a.reshape(-1), scale) for n, a in zip(numerical, analytical, strict=True)]
        )
    return found


def _products_reverse(func, inputs, results, options, us, vs):
    """The same with the vector v of each output on the other side, so that the products are numbers."""
    outputs = floating(results)
    xs = differentiable(inputs)
    by_input = [
        jacobians.numerical(func, inputs, x, results, options.eps, u) for x, u in zip(xs, us, strict=True)
    ]
    found = [[None] * len(outputs) for _ in xs]
    for k, v in vs.items():
        for i, row in enumerate(_reverse(inputs, outputs[k], options, v)):
            numerical = by_input[i][k].reshape(-1).to(v.dtype).dot(v)
            found[i][k] = numerical, row.reshape(-1).dot(us[i]), float(us[i].sum()) * float(v.sum())
    return found


def check_fast(func, inputs, results, options, way):
    """One product of every jacobian."""
    outputs = floating(results)
    xs = differentiable(inputs)
    generator = fixed_generator()
    us = [random_direction(x, generator) for x in xs]
    vs = {k: random_direction(o, generator) for k, o in enumerate(outputs) if o.requires_grad}
    if not vs:
        for x, u in zip(xs, us, strict=True):
            _check_constant(jacobians.numerical(func, inputs, x, results, options.eps, u), options.nondet_tol)
        return
    if way == "forward":
        found = _products_forward(func, inputs, results, options, us)
    else:
        found = _products_reverse(func, inputs, results, options, us, vs)
    for i, per_output in enumerate(found):
        for j, k in enumerate(vs):
            numerical, analytical, scale = per_output[k]
            if not _close(analytical, numerical, options, scale):
                text = _mismatch((numerical, analytical), j, i, way)
                raise GradcheckError(text + _slow_report(func, inputs, results, options, k, i, way))
