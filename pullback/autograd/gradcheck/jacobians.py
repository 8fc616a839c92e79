"""Jacobians for gradcheck, three ways: by differences, by reverse mode and by forward mode.

A jacobian has a row for each element of the input and a column for each element of the output. A `direction`
asks for the product with one vector instead: what it runs along then counts as one element.
"""

from __future__ import annotations

from itertools import product

from pullback import _core
from pullback.autograd.backward import grad

Tensor = _core.Tensor


def as_tuple(x):
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def outputs_of(result):
    """What the function returned, as a tuple; only tensors will do."""
    result = as_tuple(result)
    for o in result:
        if not isinstance(o, Tensor):
            raise AttributeError(
                f"'{type(o).__name__}' object has no attribute 'requires_grad'\n"
                "The function to check must return a tensor, or a tuple of tensors and nothing else."
            )
    return result


def differentiable(tensors):
    return tuple(t for t in tensors if isinstance(t, Tensor) and t.requires_grad)


def floating(tensors):
    return tuple(t for t in tensors if t.is_floating_point())


def _indices(t):
    return product(*(range(n) for n in t.shape))


def _check_alike(a, b, place, eps):
    for what in ("shape", "dtype"):
        before, after = getattr(a, what), getattr(b, what)
        if before != after:
            raise AssertionError(
                f"Expected `func` to return outputs with the same {what} when inputs are perturbed {place}by "
                f"{eps}, but got: {what}s {before} and {after}.\n"
                "Such a function has no derivative to compare with."
            )


def _difference(run, entry, step, eps, place=""):
    """(run(entry + step) - run(entry - step)) / (2 eps), flat, for each output; `entry` is part of x."""
    before = entry.clone()
    try:
        entry.copy_(before - step)
        low = run()
        entry.copy_(before + step)
        high = run()
    finally:
        entry.copy_(before)
    for a, b in zip(low, high, strict=True):
        _check_alike(a, b, place, eps)
    return tuple(((b - a) / (2 * eps)).reshape(-1) for a, b in zip(low, high, strict=True))


def numerical(func, inputs, x, outputs, eps, direction=None):
    """The jacobians of the floating outputs by `x`, one of the inputs, by central differences."""
    data = x.data  # not seen by the version check: nobody else changes what was saved of x

    def run():
        return tuple(o.detach().clone() for o in floating(outputs_of(func(*inputs))))

    if direction is not None:
        columns = _difference(run, data, eps * direction.reshape(x.shape), eps)
        return tuple(c.reshape(1, -1) for c in columns)
    result = tuple(o.new_zeros((x.numel(), o.numel())) for o in floating(outputs))
    for row, index in enumerate(_indices(data)):
        columns = _difference(run, data[index], eps, eps, f"on index {index} ")
        for jacobian, column in zip(result, columns, strict=True):
            jacobian[row] = column
    return result


def _directions(t, direction):
    """The given direction, or else one unit tensor of t's shape after the other."""
    if direction is not None:
        yield direction.reshape(t.shape)
        return
    for index in _indices(t):
        unit = t.detach().new_zeros(t.shape)
        unit[index] = 1
        yield unit


def reverse(inputs, output, direction=None):
    """The jacobians of one output by the inputs that need a gradient: a column for each run backward."""
    inputs = differentiable(inputs)
    width = output.numel() if direction is None else 1
    result = tuple(x.detach().new_zeros((x.numel(), width)) for x in inputs)
    for column, g in enumerate(_directions(output, direction)):
        found = grad(output, inputs, g, retain_graph=True, allow_unused=True)
        for jacobian, gx in zip(result, found, strict=True):
            if gx is not None:
                jacobian[:, column] = gx.detach().reshape(-1)
    return result


def along(func, inputs, x, tangent):
    """The tangents of the floating outputs where `x` moves along `tangent` and the rest stands."""
    from pullback._api import zeros_like
    from pullback.autograd import forward_ad

    result = []
    with forward_ad.dual_level():
        moving = [
            forward_ad.make_dual(t.detach(), tangent if t is x else zeros_like(t.detach()))
            if isinstance(t, Tensor) and t.requires_grad
            else t
            for t in inputs
        ]
        for output in floating(outputs_of(func(*moving))):
            primal, out = forward_ad.unpack_dual(output)
            result.append(zeros_like(primal.detach()) if out is None else out.detach().clone())
    return tuple(result)


def forward(func, inputs, x, outputs, direction=None):
    """The jacobians of the floating outputs by `x`: a row for each run forward."""
    height = x.numel() if direction is None else 1
    result = tuple(o.detach().new_zeros((height, o.numel())) for o in floating(outputs))
    for row, tangent in enumerate(_directions(x, direction)):
        for jacobian, t in zip(result, along(func, inputs, x, tangent), strict=True):
            jacobian[row] = t.reshape(-1)
    return result
