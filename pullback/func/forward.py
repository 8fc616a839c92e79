"""Forward mode as functions: jvp, jacfwd, linearize, hessian."""

from __future__ import annotations

import functools

from pullback import _core
from pullback.func import levels
from pullback.func.arguments import check_argnums, function_name, picked, replaced, split_aux
from pullback.func.reverse import _vjp, basis_of, jacrev
from pullback.func.vmap import check_randomness, run_batched
from pullback.utils._pytree import tree_flatten, tree_map, tree_unflatten


def check_dtypes(primal, tangent):
    for what, t in (("primal", primal), ("tangent", tangent)):
        if not t.is_floating_point():
            raise ValueError(f"Expected {what} to be floating point or complex, but got: {t.dtype}")


def check_size(primal, tangent):
    """Raises torch's RuntimeError for a tangent of another shape."""
    if tuple(primal.shape) != tuple(tangent.shape):
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original Tensor, "
            f"this is not supported. Tensor is of size {list(primal.shape)} while the given forward gradient "
            f"is of size {list(tangent.shape)}."
        )


def make_dual(level, primal, tangent):
    """A tensor with a tangent, after torch's checks."""
    check_size(primal, tangent)
    check_dtypes(primal, tangent)
    return _core.add_tangent(
        level, primal, tangent if tangent.dtype == primal.dtype else tangent.to(primal.dtype)
    )


def leave_level(t, level):
    """(value, tangent) of a result, on its way out of a level; zeros where no tangent arrived."""
    value, tangent = levels.parts(t, level)
    return value, value.new_zeros(value.shape) if tangent is None else tangent


def _checked(primals, tangents):
    if not isinstance(primals, tuple):
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals to be a tuple. E.g. it should be valid to call "
            "f(*primals)."
        )
    flat, spec = tree_flatten(primals)
    flat_tangents, tangents_spec = tree_flatten(tangents)
    if spec != tangents_spec:
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals and tangents to have the same python structure. For "
            "example, if primals is a tuple of 3 tensors, tangents also must be. Got primals with structure "
            f"{spec} and tangents with structure {tangents_spec}"
        )
    for who, leaves in (("primals", flat), ("tangents", flat_tangents)):
        if not leaves:
            raise RuntimeError(f"jvp(f, primals, tangents): Expected {who} to contain at least one Tensor.")
        for x in leaves:
            if not isinstance(x, _core.Tensor):
                raise RuntimeError(
                    f"jvp(f, primals, tangents): Expected {who} to only contain Tensors, got {type(x)}"
                )
    return flat, flat_tangents, spec


def jvp(func, primals, tangents, *, strict=False, has_aux=False):
    """The value of func at `primals`, and its derivative in the direction `tangents`.

    Shapes    tangents as primals; the derivative as the output
    strict    raise where an output does not depend on the inputs, instead of giving zeros
    Errors    RuntimeError where structures, shapes or outputs do not fit

    >>> import pullback as torch
    >>> torch.func.jvp(lambda x: x * x, (torch.tensor(3.0),), (torch.tensor(1.0),))
    (tensor(9.), tensor(6.))
    """
    flat, flat_tangents, spec = _checked(primals, tangents)
    with levels.level(False) as level:
        duals = [make_dual(level, x, t) for x, t in zip(flat, flat_tangents)]
        output, aux = split_aux("jvp(f, primals, tangents)", func(*tree_unflatten(duals, spec)), has_aux)
        flat_out, out_spec = tree_flatten(output)
        for y in flat_out:
            if not isinstance(y, _core.Tensor):
                raise RuntimeError(
                    "jvp(f, primals, tangents): expected f(*primals) to return only tensors, got unsupported "
                    f"type {type(y)}"
                )
            if strict and levels.parts(y, level)[1] is None:
                raise RuntimeError(
                    "jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs. "
                    "This is not allowed with strict=True."
                )
        pairs = [leave_level(y, level) for y in flat_out]
        if has_aux:
            aux = tree_map(lambda t: levels.parts(t, level)[0] if isinstance(t, _core.Tensor) else t, aux)
    values = tree_unflatten([v for v, _ in pairs], out_spec)
    dots = tree_unflatten([d for _, d in pairs], out_spec)
    return (values, dots, aux) if has_aux else (values, dots)


def jacfwd(func, argnums=0, has_aux=False, *, randomness="error"):
    """The function that gives the Jacobian of func by its argument(s), column by column in forward mode.

    Shapes    (*output.shape, *argument.shape) for each pair of an output and an argument
    Errors    as jvp() and vmap()

    >>> import pullback as torch
    >>> torch.func.jacfwd(lambda x: x * x)(torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        check_argnums(argnums)
        check_randomness(randomness)
        primals = picked(args, argnums)
        flat, spec = tree_flatten(primals)

        def column(*tangents):
            def partial(*values):
                given = tree_unflatten(values, spec)
                return func(*replaced(args, argnums, given), **kwargs)

            out = jvp(partial, tuple(flat), tangents, has_aux=has_aux)
            return (out[1], out[2]) if has_aux else out[1]

        out_dims = (0, None) if has_aux else 0
        columns = run_batched(column, basis_of(flat), {}, "column", 0, out_dims, randomness)
        columns, aux = columns if has_aux else (columns, None)
        flat_columns, out_spec = tree_flatten(columns)
        result = []
        for y in flat_columns:
            parts, start = [], 0
            for x in flat:
                part = y[start : start + x.numel()].movedim(0, -1)
                parts.append(part.reshape((*y.shape[1:], *x.shape)))
                start += x.numel()
            result.append(tree_unflatten(parts, spec))
        result = tree_unflatten(result, out_spec)
        return (result, aux) if has_aux else result

    wrapper.__name__ = function_name(func)
    return wrapper


def hessian(func, argnums=0):
    """The function that gives the matrix of second derivatives: forward over reverse mode.

    Shapes    (*output.shape, *argument.shape, *argument.shape)

    >>> import pullback as torch
    >>> torch.func.hessian(lambda x: (x**3).sum())(torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)


def linearize(func, *primals):
    """The value of func at `primals`, and its derivative there as a linear function of tangents.

    The function is run once: what is given applies the derivative again and again without it.
    Errors    RuntimeError for tangents of another structure, shape or dtype than the primals

    >>> import pullback as torch
    >>> y, push = torch.func.linearize(torch.sin, torch.zeros(2))
    >>> push(torch.ones(2))
    tensor([1., 1.])
    """
    flat, spec = tree_flatten(primals)
    output, pull = _vjp(func, primals, None, False, forward=True)
    flat_out, out_spec = tree_flatten(output)
    if not all(levels.is_plain(y) for y in flat_out):
        return output, lambda *tangents: jvp(func, primals, tangents)[1]
    # The derivative is the transpose of the pullback, which is linear in the probes. They have a scope of
    # their own, so that what is computed by them leads nowhere else; the one around it takes the pullback's
    # bit.
    with levels.scope(), levels.scope() as bit:
        probes = _core.open_inputs([y.new_zeros(y.shape) for y in flat_out], (), bit)
        pulled = tree_flatten(pull(tree_unflatten(probes, out_spec)))[0]

    def push(*tangents):
        given, tangents_spec = tree_flatten(tangents)
        if tangents_spec != spec:
            raise RuntimeError(
                f"Expected the tangents {tangents_spec} to have the same argspec as the primals {spec}"
            )
        for k, (t, x) in enumerate(zip(given, flat)):
            for what in ("shape", "dtype"):
                if getattr(t, what) != getattr(x, what):
                    raise RuntimeError(
                        f"tangent:{k} with {what} {getattr(t, what)} in flattened pytree doesn't match the "
                        f"{what} {getattr(x, what)} of the corresponding primal."
                    )
        return tree_unflatten(_transposed(pulled, given, probes), out_spec)

    return output, push


def _transposed(pulled, tangents, probes):
    """The transpose of the pullback. It is recorded where what it is applied to, or what it was made of, is
    being differentiated."""
    from pullback.autograd.backward import grad

    pairs = [(g, t) for g, t in zip(pulled, tangents) if g.requires_grad]
    if not pairs:
        return [p.new_zeros(p.shape) for p in probes]
    outputs, cotangents = zip(*pairs)
    outer = any(_core.scopes(g) & levels.outer_scopes(0) for g in outputs)
    record = _core.is_grad_enabled() and bool(outer or _core.all_scopes(cotangents))
    found = grad(outputs, probes, cotangents, retain_graph=True, create_graph=record, allow_unused=True)
    return [p.new_zeros(p.shape) if d is None else d for p, d in zip(probes, found)]
