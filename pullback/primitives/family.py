"""Families of primitives: from one declared derivative come vjp, jvp and vmap, here and nowhere else."""

from __future__ import annotations

from pullback.primitives.registry import Op, expose
from pullback.results import EXACT
from pullback.trace.tracer import Tracer, functions


def sum_to(g, like):
    """The transpose of broadcasting: sums g down to the shape of `like`."""
    if g.ndim == like.ndim == 0:
        return g
    return functions["_sum_to"](g, like.shape)


def fit(g, like):
    """A cotangent in the shape and dtype of the value that it belongs to."""
    if g is None:
        return None
    g = sum_to(g, like)
    return g if g.dtype == like.dtype else functions["_cast"](g, like.dtype)


def broadcast(t, like):
    """A tangent in the shape and dtype of the value that it belongs to: both may broadcast in other cases
    than the one that is traced."""
    t = functions["expand"](t, like.shape)
    return t if t.dtype == like.dtype else functions["_cast"](t, like.dtype)


class Elementwise(Op):
    """f(x, y, ...) element by element, with broadcasting.

    `grad(g, x, y, ..., out)` returns one cotangent per operand, linear in g: g times the partial, written so
    that it is right at the edges too (`where` instead of multiplying by 0). The Jacobian is diagonal, so the
    tangent of the result is the sum of the same expressions with the operands' tangents in place of g.
    """

    family = "elementwise"

    def __init__(self, signature, grad=None, *, cheap=False, made_again=False, **options):
        self.grad = grad
        self.dear = not cheap
        self.made_again = made_again
        super().__init__(signature, differentiable=grad is not None, **options)

    def by_operand(self, g, i):
        """g times the partial by each operand."""
        out = self.grad(g, *i.operands, i.outputs[0])
        return out if isinstance(out, tuple) else (out,)

    def vjp(self, i, gs, need):
        out = self.by_operand(gs[0], i)
        return [fit(g, x) if n and g is not None else None for g, x, n in zip(out, i.operands, need)]

    def jvp(self, i, tangents):
        total, out = None, i.outputs[0]
        for k, t in enumerate(tangents):
            if t is None:
                continue
            part = self.by_operand(t, i)[k]
            if part is not None:
                total = part if total is None else total + part
        if total is None or sum(isinstance(x, Tracer) for x in i.operands) == 1:
            return [
                total if total is None or total.dtype == out.dtype else functions["_cast"](total, out.dtype)
            ]
        return [broadcast(total, out)]


class Linear(Op):
    """Linear in its first operand; the others (indices, masks) are constants. `transpose(g, x,
    *parameters)`."""

    out = EXACT

    def __init__(self, signature, transpose, *, family="kernel", cheap=False, shape_only=False, **options):
        self.transpose = transpose
        self.shape_only = shape_only
        self.family = family
        self.dear = not cheap
        super().__init__(signature, differentiable=transpose is not None, **options)

    def vjp(self, i, gs, need):
        values = self.parameters(i)
        g = self.transpose(gs[0], *values)
        return [g if k == 0 else None for k in range(len(i.operands))]


class View(Linear):
    """The same elements under another shape; `transpose` brings a cotangent back."""

    out = None

    def __init__(self, signature, transpose, **options):
        super().__init__(signature, transpose, family="view", cheap=True, **options)


class Multilinear(Op):
    """Linear in each of several operands: transposes(g, *values) -> a cotangent for each tensor operand."""

    family = "kernel"
    out = EXACT

    def __init__(self, signature, transposes, **options):
        self.transposes = transposes
        super().__init__(signature, **options)

    def vjp(self, i, gs, need):
        out = self.transposes(gs[0], *self.parameters(i))
        return [g if n else None for g, n in zip(out, need)]


class Kernel(Op):
    """A kernel with a vjp given by hand: vjp(gs, values, outputs) -> a cotangent for each tensor operand.

    `gs` has one entry an output, None where no cotangent arrives. A rule of one output gets g itself.
    """

    family = "kernel"
    out = EXACT

    def __init__(self, signature, vjp=None, **options):
        self.rule = vjp
        super().__init__(signature, differentiable=vjp is not None, **options)

    def vjp(self, i, gs, need):
        one = len(i.outputs) == 1
        out = self.rule(gs[0] if one else gs, self.parameters(i), i.outputs[0] if one else i.outputs)
        out = out if isinstance(out, (tuple, list)) else (out,)
        return [g if n else None for g, n in zip(out, need)]


class Composite(Op):
    """A Python function over primitives. It is differentiated through, unless a vjp is given by hand."""

    family = "composite"

    def __init__(self, signature, function, vjp=None, **options):
        self.function = function
        self.custom_vjp = vjp
        options.setdefault("differentiable", True)
        super().__init__(signature, **options)

    def vjp_of_composite(self, trace, cotangents):
        from pullback.trace import signature as sig
        from pullback.trace.tracer import DTYPES

        values = sig.decode(self.signature, trace.operands, trace.ints, DTYPES)
        outputs = trace.visible_outputs
        one = len(outputs) == 1
        out = self.custom_vjp(cotangents[0] if one else cotangents, values, outputs[0] if one else outputs)
        out = out if isinstance(out, (tuple, list)) else (out,)
        tensors = [k for k, o in enumerate(trace.operands) if isinstance(o, Tracer)]
        by_operand = dict(zip((trace.operands[k] for k in tensors), (out[k] for k in range(len(tensors)))))
        return [by_operand.get(w) for w in trace.wanted()]


def _declare(family):
    def declare(signature, *args, expose_as=None, **options):
        named = ("method", "in_place", "result", "function")
        public = {k: options.pop(k) for k in named if k in options}
        op = family(signature, *args, **options)
        name = expose_as or op.signature.name
        if name != "-":
            expose(name, op, **public)
        return op

    declare.__doc__ = family.__doc__
    return declare


elementwise = _declare(Elementwise)
linear = _declare(Linear)
view = _declare(View)
multilinear = _declare(Multilinear)
kernel = _declare(Kernel)
composite = _declare(Composite)
