"""Tracers: what a rule or a composite runs on, once. They write down instructions instead of computing."""

from __future__ import annotations

from pullback import _core
from pullback.trace import signature as sig
from pullback.trace.sizes import NUMEL, PARAM, SIZE, Size, Symbolic, size, size_key

DTYPES = [
    _core.bool,
    _core.uint8,
    _core.int8,
    _core.int16,
    _core.int32,
    _core.int64,
    _core.float16,
    _core.bfloat16,
    _core.float32,
    _core.float64,
]
BOOL, INT, FLOAT = range(3)  # kinds of numbers, as in native/core/scalar.h

# Number expressions, as in native/program/program.h.
N_CONST, N_INPUT, N_SIZE, N_ADD, N_SUB, N_MUL, N_DIV, N_POW, N_NEG = range(9)


def kind_of(value) -> int:
    if isinstance(value, bool):
        return BOOL
    return INT if isinstance(value, int) else FLOAT


class Number(Symbolic):
    """A run-time scalar of a program (a learning rate, the 2 in `x * 2`), or arithmetic on such."""

    __slots__ = ("a", "b", "graph", "kind", "op", "value")

    def __init__(self, graph, op, a=None, b=None, kind=FLOAT, value=None):
        self.graph, self.op, self.a, self.b, self.kind, self.value = graph, op, a, b, kind, value

    def _join(self, op, a, b):
        if isinstance(a, Tracer) or isinstance(b, Tracer):
            return NotImplemented
        a, b = self.graph.number_of(a), self.graph.number_of(b)
        kind = FLOAT if op in (N_DIV, N_POW) else max(a.kind, b.kind, INT)
        return Number(self.graph, op, a, b, kind)

    def __add__(self, other):
        return self._join(N_ADD, self, other)

    def __radd__(self, other):
        return self._join(N_ADD, other, self)

    def __sub__(self, other):
        return self._join(N_SUB, self, other)

    def __rsub__(self, other):
        return self._join(N_SUB, other, self)

    def __mul__(self, other):
        return self._join(N_MUL, self, other)

    def __rmul__(self, other):
        return self._join(N_MUL, other, self)

    def __truediv__(self, other):
        return self._join(N_DIV, self, other)

    def __rtruediv__(self, other):
        return self._join(N_DIV, other, self)

    def __pow__(self, other):
        return self._join(N_POW, self, other)

    def __rpow__(self, other):
        return self._join(N_POW, other, self)

    def __neg__(self):
        return Number(self.graph, N_NEG, self, self, max(self.kind, INT))


class Instruction:
    __slots__ = ("ints", "op", "operands", "outputs")

    def __init__(self, op, operands, ints):
        self.op, self.operands, self.ints = op, operands, ints
        self.outputs = []


class Graph:
    """The instructions of one trace, each distinct one written down once."""

    def __init__(self):
        self.instructions: list[Instruction] = []
        self.guards: list[tuple] = []
        self.sizes: dict = {}  # each distinct expression, see sizes.size
        self._seen: dict = {}

    def input(self, meta, index) -> Tracer:
        return Tracer(self, meta, None, index)

    def companion(self, t, index) -> Tracer:
        """The cotangent or the tangent of a value: an input of its shape."""
        return Tracer(self, t.meta, None, index, t)

    def number_of(self, x) -> Number:
        if isinstance(x, Number):
            return x
        if isinstance(x, Size):
            key = size_key(x)
            made = lambda: Number(self, N_SIZE, x, None, INT, 0)  # noqa: E731
        else:
            key = ("const", type(x), repr(x))
            made = lambda: Number(self, N_CONST, None, None, kind_of(x), x)  # noqa: E731
        if key not in self._seen:
            self._seen[key] = made()
        return self._seen[key]

    def record(self, op, operands, ints) -> list[Tracer]:
        operands = [x if isinstance(x, Tracer) else self.number_of(x) for x in operands]
        key = (op.handle, tuple(map(id, operands)), tuple(map(size_key, ints)))
        if key not in self._seen:
            metas = [x.meta if isinstance(x, Tracer) else (x.kind,) for x in operands]
            results = _core.infer(op.handle, metas, [i.hint if isinstance(i, Size) else i for i in ints])
            i = Instruction(op, operands, list(ints))
            i.outputs = [Tracer(self, m, i, k) for k, m in enumerate(results)]
            self.instructions.append(i)
            self._seen[key] = i
        return self._seen[key].outputs

    def placeholder(self, full_like, t) -> Tracer:
        """A value of the shape of t that no other instruction shares: what a linear function is derived
        by."""
        op = full_like.declarations[0]
        i = Instruction(op, [t, self.number_of(1)], [])
        meta = _core.infer(op.handle, [t.meta, (INT,)], [])[0]
        i.outputs = [Tracer(self, meta, i, 0)]
        self.instructions.append(i)
        return i.outputs[0]


class Tracer(Symbolic):
    """A tensor of a program. Has a dtype and a rank; its sizes are symbolic, its elements unknown."""

    __slots__ = ("__weakref__", "graph", "index", "like", "meta", "source")

    def __init__(self, graph, meta, source, index, like=None):
        self.graph = graph
        self.meta = meta  # (dtype id, sizes, strides) for the case that caused the trace
        self.source = source  # the instruction that makes it; None for an input
        self.index = index
        self.like = like  # of a companion: the value whose shape it has

    @property
    def dtype(self):
        return DTYPES[self.meta[0]]

    @property
    def ndim(self):
        return len(self.meta[1])

    def dim(self):
        return len(self.meta[1])

    @property
    def shape(self):
        return tuple(self.size(i) for i in range(self.ndim))

    def size(self, axis=None):
        if axis is None:
            return self.shape
        axis = axis % self.ndim
        return size(self.graph, SIZE, self, axis, self.meta[1][axis])

    def numel(self):
        n = 1
        for s in self.meta[1]:
            n *= s
        return size(self.graph, NUMEL, self, None, n)

    def __getattr__(self, name):
        function = functions.get(name)
        if function is None:
            raise AttributeError(f"a rule asked for '{name}', which is no op")
        return lambda *args, **kwargs: function(self, *args, **kwargs)

    def __getitem__(self, key):
        raise TypeError("rules index with select, slice and narrow, so that ranks stay plain to see")

    def __bool__(self):
        raise TypeError("a rule cannot branch on the values of a tensor: use where()")

    __hash__ = object.__hash__


functions: dict = {}  # public functions by name; filled by the registry


def _binary(name, swapped=False):
    def method(self, other):
        if not isinstance(other, (Tracer, Number, Size, int, float)):
            return NotImplemented
        return functions[name](other, self) if swapped else functions[name](self, other)

    return method


def _install_operators():
    for name, slot in {
        "add": "add",
        "sub": "sub",
        "mul": "mul",
        "div": "truediv",
        "eq": "eq",
        "ne": "ne",
        "lt": "lt",
        "le": "le",
        "gt": "gt",
        "ge": "ge",
        "matmul": "matmul",
        "bitwise_and": "and",
        "bitwise_or": "or",
        "pow": "pow",
        "bitwise_xor": "xor",
    }.items():
        setattr(Tracer, f"__{slot}__", _binary(name))
        if name in ("add", "sub", "mul", "div", "pow"):
            setattr(Tracer, f"__r{slot}__", _binary(name, swapped=name not in ("add", "mul")))
    Tracer.__neg__ = lambda self: functions["neg"](self)
    Tracer.__invert__ = lambda self: functions["bitwise_not"](self)
    Tracer.__abs__ = lambda self: functions["abs"](self)


_install_operators()


def graph_of(values):
    for v in values:
        if isinstance(v, (Tracer, Number, Size)):
            return v.graph
        if isinstance(v, (list, tuple)):
            g = graph_of(v)
            if g is not None:
                return g
    return None


def param(graph, index, hint) -> Size:
    return size(graph, PARAM, index, None, hint)


def apply_traced(op, values):
    """An op called with a tracer among its arguments: written down, or traced through if it is a
    composite."""
    graph = graph_of(values)
    if op.family == "composite":
        out = op.function(*values)
        return tuple(out) if isinstance(out, list) else out
    operands, ints, _ = sig.encode(op.signature, values)
    out = graph.record(op, operands, ints)
    visible = op.visible
    return out[0] if visible == 1 else tuple(out[:visible])


def dispatch(function, overload, values):
    """Called by the native side when an argument is no plain tensor."""
    _, handle = function.overloads[overload]
    return apply_traced(ops_by_handle[handle], values)


ops_by_handle: dict = {}  # filled by the registry
_core.set_tracer_classes(Symbolic, Tracer)
_core.set_dispatcher(dispatch)
