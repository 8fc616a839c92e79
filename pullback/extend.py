"""Operations of your own, from outside the package: a kernel in Python over NumPy, and a rule like the
built-in ones.

A primitive is declared with a signature and one derivative in ordinary arithmetic. Backward, derivatives of
any order, forward mode, vmap, hooks, saved tensors and checks follow from it, as for the operations of the
package.

>>> import numpy as np
>>> import pullback as torch
>>> from pullback import extend
>>> @extend.elementwise("softsign(Tensor input)", lambda g, x, out: g / torch.square(1 + abs(x)))
... def softsign(x):
...     return x / (1 + np.abs(x))
>>> x = torch.tensor(1.0, requires_grad=True)
>>> softsign(x)
tensor(0.5000, grad_fn=<SoftsignBackward0>)
>>> torch.autograd.grad(softsign(x), x)
(tensor(0.2500),)

`check(softsign)` compares the rule with numerical derivatives, loops and its own transpose;
`pullback check-rules --import MODULE` does so for all that a module declares.
"""

from __future__ import annotations

import numpy as np

from pullback import _core
from pullback.primitives import family
from pullback.primitives.registry import ANY, FLOAT, ops
from pullback.trace import signature as sig
from pullback.trace.tracer import DTYPES, Tracer

__all__ = ["check", "elementwise", "kernel", "linear", "primitive_names"]

_kernels: list = []  # the number of one is the last integer of its calls
_mine: dict[str, object] = {}


class _Foreign:
    """What a family of the package becomes when its kernel is written in Python."""

    def __init__(self, function, shape, signature, rule, **options):
        self.number = len(_kernels)
        self.compute, self.shape_of = function, shape
        _kernels.append(self)
        head, tail = signature.rsplit(")", 1)
        star = ", " if ", *" in head or "(*" in head else ", *, " if not head.endswith("(") else "*, "
        super().__init__(f"{head}{star}int kernel={self.number}){tail}", rule, kernel="foreign", **options)

    def arguments(self, tensors, numbers, ints):
        """The values that the kernel's function takes, by the signature."""
        tensors, numbers = iter(tensors), iter(numbers)
        operands = []
        for p in self.signature.parameters:
            if p.takes_tensor:
                operands.append(next(tensors) if p.kind == "Tensor" else next(numbers))
        return sig.decode(self.signature, operands, ints, DTYPES)[:-1]

    def parameters(self, instruction):
        return super().parameters(instruction)[:-1]


class _Elementwise(_Foreign, family.Elementwise):
    family = "kernel"

    def by_operand(self, g, i):
        out = self.grad(g, *self.parameters(i), i.outputs[0])
        given = iter(out if isinstance(out, tuple) else (out,))
        return [next(given) if isinstance(x, Tracer) else None for x in i.operands]


class _Linear(_Foreign, family.Linear):
    family = "kernel"


class _Kernel(_Foreign, family.Kernel):
    family = "kernel"


def _checked(signature):
    parsed = sig.Signature(signature)
    for p in parsed.parameters:
        plain = not (p.list or p.optional)
        if p.kind == "Operand" or (p.kind in ("Tensor", "Scalar") and not plain):
            raise TypeError(
                f"a primitive's parameter '{p.name}' is neither one Tensor nor one number\n"
                "Use Tensor, Scalar, int, int[], size, size[], bool, float, dtype or str{a|b}."
            )
    if not parsed.parameters or parsed.parameters[0].kind != "Tensor":
        raise TypeError("a primitive's first parameter must be a Tensor")
    if parsed.name in ops:
        raise ValueError(f"the op {parsed.name} is declared twice\nGive the primitive a name of its own.")
    return parsed


def _declare(cls, signature, rule, shape, options, samples=()):
    _checked(signature)

    def decorate(function):
        op = cls(function, shape, signature, rule, **options)
        op.given_samples = samples
        _mine[op.name] = op
        made = _core.op_function(
            op.name, [(op.signature.text, op.handle)], False, None, function.__doc__ or ""
        )
        made.declarations = (op,)
        return made

    return decorate


def elementwise(signature, grad=None, *, samples=None, edges=None, dtypes=FLOAT, tex=None):
    """Declares f(x, y, ...) element by element, with broadcasting; decorates the kernel.

    signature  as text: "name(Tensor input, Tensor other, float scale=1.0)"
    grad       grad(g, x, y, ..., out) -> g times the partial, one for each tensor; None: not differentiable
    The kernel gets NumPy arrays (and the other parameters) and gives an array of their common shape.

    Errors    TypeError for parameters that a primitive cannot have, ValueError for a name that is taken; at
              the call ValueError where the kernel's result has another shape or type
    Example   >>> from pullback import extend
              >>> @extend.elementwise("example_cube(Tensor x)", lambda g, x, out: g * 3 * x * x)
              ... def cube(x):
              ...     return x**3
              >>> x = torch.tensor(2.0, requires_grad=True)
              >>> torch.autograd.grad(cube(x), x)
              (tensor(12.),)
    """
    options = {"samples": samples, "edges": edges, "dtypes": dtypes, "tex": tex}
    return _declare(_Elementwise, signature, grad, None, options)


def linear(signature, transpose=None, *, shape=None, dtypes=ANY, samples=()):
    """Declares a function that is linear in its first tensor; decorates the kernel.

    transpose  transpose(g, x, *parameters) -> what the transposed map makes of g; None: not differentiable
    shape      shape(*parameters, with shapes in the places of tensors) -> the result's shape; None: that of
               the first
    samples    what check() and `pullback check-rules --import` call it with: tensors, or tuples of arguments

    Errors    as of elementwise
    Example   >>> from pullback import extend
              >>> @extend.linear("example_reversed(Tensor x)", lambda g, x: torch.flip(g, [0]))
              ... def reversed(x):
              ...     return x[::-1].copy()
              >>> x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
              >>> torch.autograd.grad(reversed(x)[0], x)
              (tensor([0., 0., 1.]),)
    """
    return _declare(_Linear, signature, transpose, shape, {"dtypes": dtypes}, samples)


def kernel(signature, vjp=None, *, shape=None, outputs=1, dtypes=FLOAT, samples=()):
    """Declares any other function; decorates the kernel.

    vjp      vjp(g, values, out) -> a cotangent for each tensor; g and out are lists where there are several
             outputs
    shape    as for linear(); a list of shapes where there are several outputs
    outputs  how many arrays the kernel gives
    samples  as for linear()

    Errors    as of elementwise
    Example   >>> from pullback import extend
              >>> @extend.kernel(
              ...     "example_sum(Tensor x)", lambda g, v, out: g.expand(v[0].shape), shape=lambda x: ()
              ... )
              ... def total(x):
              ...     return x.sum()
              >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
              >>> torch.autograd.grad(total(x), x)
              (tensor([1., 1.]),)
    """
    return _declare(_Kernel, signature, vjp, shape, {"outputs": outputs, "dtypes": dtypes}, samples)


def primitive_names() -> list[str]:
    """The names of the primitives that were declared here.

    Example   >>> from pullback import extend
              >>> @extend.linear("example_twice(Tensor x)", lambda g, x: 2 * g)
              ... def twice(x):
              ...     return 2 * x
              >>> "example_twice" in extend.primitive_names()
              True
    """
    return list(_mine)


def check(function, *samples):
    """Checks a primitive's rule as `pullback check-rules` does: the row of its worst errors.

    function  what the decorator gave
    samples   tensors, or tuples of arguments; none: those of the declaration, or of elementwise() drawn ones
    Result    a row: `passed`, `failures`, `outcomes` (the error of each check by its name); it prints as one
              line a check
    Gradient  none
    Errors    TypeError for another function, ValueError where no samples are known

    >>> import numpy as np
    >>> import pullback as torch
    >>> from pullback import extend
    >>> @extend.elementwise("wrong_cube(Tensor x)", lambda g, x, out: 2 * g * x * x)
    ... def cube(x):
    ...     return x**3
    >>> row = extend.check(cube, torch.tensor([1.0, 2.0]))
    >>> row.passed, list(row.failures)[0]
    (False, 'slope')
    """
    from pullback.checking import page

    declared = getattr(function, "declarations", ())
    if len(declared) != 1 or not isinstance(declared[0], _Foreign):
        raise TypeError(
            f"check(): {function!r} is no primitive\n"
            "Give the function that elementwise(), linear() or kernel() made. `pullback check-rules` checks "
            "the package's own rules."
        )
    return page.check_outside(declared[0], samples)


# ---- what the core asks ----


def _infer(operands, ints):
    """Shapes and types of a call's results: [(dtype number, sizes), ...]."""
    op = _kernels[ints[-1]]
    metas = [o for o in operands if len(o) > 1]
    shapes = [tuple(o[1]) for o in metas]
    if op.shape_of is not None:
        values = op.arguments(shapes, [0] * (len(operands) - len(metas)), ints)
        found = op.shape_of(*values)
        found = [found] if op.visible == 1 else list(found)
    elif isinstance(op, family.Elementwise):
        found = [np.broadcast_shapes(*shapes)]
    else:
        found = [shapes[0]] * op.visible
    dtype = metas[0][0]
    if isinstance(op, family.Elementwise):
        for other in metas[1:]:
            dtype = _core.promote_types(DTYPES[dtype], DTYPES[other[0]])._id
    return [(dtype, [int(n) for n in s]) for s in found]


def _run(inputs, numbers, ints):
    """The results of a call, as tensors."""
    from pullback.from_data import from_numpy

    op = _kernels[ints[-1]]
    wanted = _infer([(t.dtype._id, tuple(t.shape)) for t in inputs] + [(2,)] * len(numbers), ints)
    arrays = [t.numpy() for t in inputs]
    out = op.compute(*op.arguments(arrays, numbers, ints))
    out = out if isinstance(out, (tuple, list)) else (out,)
    if len(out) != len(wanted):
        raise ValueError(f"{op.name}: the kernel gave {len(out)} results, and {len(wanted)} were declared")
    results = []
    for value, (dtype, shape) in zip(out, wanted, strict=True):
        value = np.asarray(value)
        if value.shape != tuple(shape):
            raise ValueError(
                f"{op.name}: the kernel gave an array of shape {value.shape}, and {tuple(shape)} was "
                f"declared\n"
                "Give shape= a function of the inputs' shapes where the result has another shape than the "
                "first."
            )
        own = np.array(value, order="C", copy=True)
        results.append(from_numpy(own).to(DTYPES[dtype]))
    return results


_core.set_foreign_hooks(_infer, _run)
