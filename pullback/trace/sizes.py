"""Symbolic sizes: integers that a program works out when it is bound to the metas of its inputs."""

from __future__ import annotations

CONST, SIZE, NUMEL, PARAM, ADD, SUB, MUL, FLOORDIV, MIN, MAX = range(10)
EQ, NE, LT, LE = range(4)

FOLD = {
    ADD: lambda a, b: a + b,
    SUB: lambda a, b: a - b,
    MUL: lambda a, b: a * b,
    FLOORDIV: lambda a, b: a // b if b else 0,
    MIN: min,
    MAX: max,
}


class Symbolic:
    """What a program's values are while it is traced: the native side hands calls with such arguments to
    Python."""

    __slots__ = ()


class Size(Symbolic):
    """An integer expression over the sizes of a program's values.

    `hint` is its value for the metas that caused the trace. Arithmetic makes new expressions; a comparison
    answers for the hint and records a guard, so that the program is used only where the answer is the same.
    Made by `size`, so that equal expressions of one graph are the same object.
    """

    __slots__ = ("a", "b", "graph", "hint", "kind")

    def __init__(self, graph, kind, a, b, hint):
        self.graph, self.kind, self.a, self.b, self.hint = graph, kind, a, b, hint

    def _join(self, kind, a, b):
        ha, hb = (x.hint if isinstance(x, Size) else x for x in (a, b))
        if not isinstance(ha, int) or not isinstance(hb, int):
            return NotImplemented
        return size(self.graph, kind, a, b, FOLD[kind](ha, hb))

    def __add__(self, other):
        return self if isinstance(other, int) and other == 0 else self._join(ADD, self, other)

    def __radd__(self, other):
        return self + other

    def __sub__(self, other):
        return self._join(SUB, self, other)

    def __rsub__(self, other):
        return self._join(SUB, other, self)

    def __mul__(self, other):
        if isinstance(other, float):
            return self.graph.number_of(self) * other
        return self if isinstance(other, int) and other == 1 else self._join(MUL, self, other)

    def __rmul__(self, other):
        return self * other

    def __floordiv__(self, other):
        return self._join(FLOORDIV, self, other)

    def __truediv__(self, other):
        return self.graph.number_of(self) / other

    def __rtruediv__(self, other):
        return other / self.graph.number_of(self)

    def __neg__(self):
        return self._join(SUB, 0, self)

    def minimum(self, other):
        return self._join(MIN, self, other)

    def maximum(self, other):
        return self._join(MAX, self, other)

    def _compare(self, relation, a, b, answer):
        self.graph.guards.append((relation, a, b, answer))
        return answer

    def __eq__(self, other):
        if self is other:
            return True
        hint = other.hint if isinstance(other, Size) else other
        return self._compare(EQ, self, other, self.hint == hint)

    def __ne__(self, other):
        return not self == other

    def __lt__(self, other):
        hint = other.hint if isinstance(other, Size) else other
        return self._compare(LT, self, other, self.hint < hint)

    def __le__(self, other):
        hint = other.hint if isinstance(other, Size) else other
        return self._compare(LE, self, other, self.hint <= hint)

    def __gt__(self, other):
        return not self <= other

    def __ge__(self, other):
        return not self < other

    def __bool__(self):
        return self != 0

    def __index__(self):
        """Pins the size: the program is valid for this value only."""
        self._compare(EQ, self, self.hint, True)
        return self.hint

    __int__ = __index__
    __hash__ = object.__hash__

    def __repr__(self):
        return f"Size({self.hint})"


def size(graph, kind, a, b, hint) -> Size:
    """The expression `a kind b` of a graph."""
    if kind in (SIZE, NUMEL):
        key = (kind, id(a), b)
    else:
        key = (kind, size_key(a), size_key(b))
    if key not in graph.sizes:
        graph.sizes[key] = Size(graph, kind, a, b, hint)
    return graph.sizes[key]


def size_key(x):
    """What tells integers and expressions of a graph apart, in a dictionary: never a nest of tuples."""
    return ("size", id(x)) if isinstance(x, Size) else x


def work_out(e, leaf, join, done):
    """An expression from its leaves upwards: leaf(what is no sum or product), join(kind, a, b).

    `done` keeps what is known. No recursion: the bounds of the last of n pieces are n sums deep.
    """
    stack = [e] if isinstance(e, Size) else []
    while stack:
        x = stack[-1]
        parts = (x.a, x.b) if x.kind >= ADD else ()
        missing = [y for y in parts if isinstance(y, Size) and y not in done]
        if missing and x not in done:
            stack.extend(missing)
            continue
        if x not in done:
            known = [done[y] if isinstance(y, Size) else leaf(y) for y in parts]
            done[x] = join(x.kind, *known) if parts else leaf(x)
        stack.pop()
    return done[e] if isinstance(e, Size) else leaf(e)
