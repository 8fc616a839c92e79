"""A traced gradient as text: `g * cos(input)`."""

from __future__ import annotations

from pullback.primitives.registry import public
from pullback.trace import signature as sig
from pullback.trace.rules import Trace
from pullback.trace.sizes import NUMEL, SIZE, Size
from pullback.trace.tracer import (
    DTYPES,
    N_ADD,
    N_CONST,
    N_DIV,
    N_MUL,
    N_NEG,
    N_POW,
    N_SIZE,
    N_SUB,
    Number,
    Tracer,
    kind_of,
)

LONGEST = 90
ATOM, POWER, NEGATIVE, PRODUCT, SUM, COMPARISON, BOTH, EITHER = range(8)
INFIX = {
    "mul": ("*", PRODUCT),
    "div": ("/", PRODUCT),
    "add": ("+", SUM),
    "sub": ("-", SUM),
    "eq": ("==", COMPARISON),
    "ne": ("!=", COMPARISON),
    "lt": ("<", COMPARISON),
    "le": ("<=", COMPARISON),
    "gt": (">", COMPARISON),
    "ge": (">=", COMPARISON),
    "bitwise_and": ("&", BOTH),
    "bitwise_or": ("|", EITHER),
    "pow": ("**", POWER),
}
SILENT = ("cast", "expand", "sum_to", "clone", "first_power", "copy", "alias", "contiguous")
NUMBER = {
    N_ADD: ("+", SUM),
    N_SUB: ("-", SUM),
    N_MUL: ("*", PRODUCT),
    N_DIV: ("/", PRODUCT),
    N_POW: ("**", POWER),
}


class TooLong(Exception):
    """A formula that nobody would read."""


def formula(example) -> str:
    """The gradient of each float argument of an example; TooLong where it is not short."""
    args, named = example.arguments()
    declaration, values = recorded(example, args, named)
    operands, ints, _ = sig.encode(declaration.signature, values)
    metas = [_meta(x) if hasattr(x, "requires_grad") else (kind_of(x),) for x in operands]
    trace = Trace(declaration, metas, ints, 0, (1 << len(operands)) - 1)
    cotangents, gradients = trace.derive((1 << len(trace.outputs)) - 1)
    names = dict(zip(trace.operands, _names(declaration.signature, values)))
    for k, c in enumerate(cotangents):
        names[c] = "g" if len(cotangents) == 1 else f"g{k}"
    for k, o in enumerate(trace.visible_outputs):
        names.setdefault(o, "out" if trace.visible == 1 else f"out[{k}]")
    writer = Writer(names)
    texts = {names[w]: writer.write(g)[0] for w, g in zip(trace.wanted(), gradients)}
    if len(texts) == 1:
        return next(iter(texts.values()))
    text = "; ".join(f"{name}: {t}" for name, t in texts.items())
    if len(text) > 2 * LONGEST:
        raise TooLong
    return text


def _meta(t):
    return (t.dtype._id, tuple(t.shape), tuple(t.stride()))


def recorded(example, args, named):
    """The declaration that a call is recorded as, and the values of its parameters."""

    def wants(x):
        if isinstance(x, (tuple, list)):
            return type(x)(wants(v) for v in x)
        if hasattr(x, "requires_grad") and x.dtype.is_floating_point:
            x = x.requires_grad_()
            return x.clone() if example.in_place else x
        return x

    out = example.run([wants(x) for x in args], {k: wants(x) for k, x in named.items()})
    out = next(o for o in (out if isinstance(out, tuple) else (out,)) if o.requires_grad)
    declaration = out.grad_fn._application()[0]
    values = list(args)
    for p in declaration.signature.parameters[len(args) :]:
        values.append(named.get(p.name, None if p.optional and p.default is sig.REQUIRED else p.default))
    return declaration, values


def _names(signature, values):
    """The name of each operand: its parameter's."""
    for p, value in zip(signature.parameters, values):
        if p.takes_tensor and value is not None:
            yield from [f"{p.name}[{k}]" for k in range(len(value))] if p.list else [p.name]


class Writer:
    """Writes values of a trace as formulas of the values that have names."""

    def __init__(self, names):
        self.names = names

    def write(self, x):
        """(text, how tightly it binds)"""
        text, rank = self._write(x)
        if len(text) > LONGEST:
            raise TooLong
        return text, rank

    def _write(self, x):
        if x in self.names:
            return self.names[x], ATOM
        if isinstance(x, Number):
            return self._number(x)
        if x.source is None:
            raise TooLong
        op, operands = x.source.op, x.source.operands
        if op.name in SILENT:
            return self.write(operands[0])
        if op.name in ("full_like", "full_like_scalar"):
            return self.write(operands[1])
        if op.name in INFIX:
            return self._infix(*INFIX[op.name], *operands)
        if op.name in ("neg", "square", "fma"):
            return getattr(self, "_" + op.name)(*operands)
        if op.signature.name not in public:
            raise TooLong
        values = sig.decode(op.signature, operands, x.source.ints, DTYPES)
        return f"{op.signature.name}({', '.join(self._arguments(op.signature, values))})", ATOM

    def _arguments(self, signature, values):
        """The arguments of a call, without those at the end that have their defaults."""
        given = list(zip(signature.parameters, values))
        while given and self._is_default(*given[-1]):
            given.pop()
        return [f"{p.name}=" * p.keyword_only + self._argument(v) for p, v in given]

    def _is_default(self, p, value):
        return isinstance(value, (int, float, str, tuple, type(None))) and value == p.default

    def _inside(self, x, rank):
        text, own = self.write(x)
        return f"({text})" if own > rank else text

    def _infix(self, sign, rank, a, b):
        if sign == "*" and "0" in (self.write(a)[0], self.write(b)[0]):
            return "0", ATOM
        strict = sign in ("-", "/") or rank >= COMPARISON
        left = self._inside(a, rank if rank < COMPARISON else SUM)
        return (
            f"{left} {sign} {self._inside(b, (SUM if rank >= COMPARISON else rank - 1) if strict else rank)}",
            rank,
        )

    def _neg(self, a):
        return "-" + self._inside(a, PRODUCT), PRODUCT

    def _square(self, a):
        return self._inside(a, ATOM) + "**2", POWER

    def _fma(self, a, b, c):
        return f"{self._infix('*', PRODUCT, a, b)[0]} + {self._inside(c, SUM)}", SUM

    def _number(self, n):
        if n.op == N_CONST:
            text = f"{n.value:.6g}" if isinstance(n.value, float) else str(n.value)
            return text, NEGATIVE if text.startswith("-") else ATOM
        if n.op == N_SIZE:
            return self._size(n.a), ATOM
        if n.op in NUMBER:
            return self._infix(*NUMBER[n.op], n.a, n.b)
        if n.op == N_NEG:
            return self._neg(n.a)
        raise TooLong

    def _size(self, e):
        if not isinstance(e, Size):
            return str(e)
        if e.kind in (SIZE, NUMEL):
            return f"{self._inside(e.a, ATOM)}.{f'size({e.b})' if e.kind == SIZE else 'numel()'}"
        raise TooLong

    def _argument(self, v):
        if isinstance(v, (Tracer, Number)):
            return self.write(v)[0]
        if isinstance(v, Size):
            return self._size(v)
        if isinstance(v, (tuple, list)):
            if len(v) > 1 and all(isinstance(s, Size) and s.kind == SIZE for s in v):
                if [s.b for s in v] == list(range(v[0].a.ndim)) and len({s.a for s in v}) == 1:
                    return self.write(v[0].a)[0] + ".shape"
            inside = ", ".join(map(self._argument, v))
            return f"({inside}{',' * (len(v) == 1)})"
        return str(v)
