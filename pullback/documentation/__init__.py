"""The docstrings of ops, written when somebody asks for one: from the declaration, and by running an example.

What an op is for, its example, and its shapes where they do not follow from its family, are in `ops.py`. How
it treats dtypes is found out by calling the example with each of them; the gradient is the traced rule, as a
formula. The native side imports this at the first `__doc__` of an op: nothing of it runs at import.
"""

from __future__ import annotations

import ast
import functools
import textwrap
import warnings
from dataclasses import dataclass, field

from pullback.autograd.grad_mode import enable_grad, inference_mode
from pullback.documentation.formula import TooLong, formula

WIDTH = 106
ANYTHING = ("bool", "uint8", "int32", "int64", "float32", "float64")


@dataclass
class Row:
    """What `ops.py` says of one op."""

    summary: str
    parts: dict[str, str] = field(default_factory=dict)
    example: str = ""


@functools.cache
def rows() -> dict[str, Row]:
    """The table of ops, by name."""
    from pullback.documentation.ops import TABLE

    found: dict[str, Row] = {}
    for line in filter(None, TABLE.splitlines()):
        if not line.startswith(" "):
            name, _, summary = line.partition(" ")
            row = found[name] = found[summary[2:]] if summary.startswith("= ") else Row(summary)
        elif line.startswith("    > "):
            row.example = line[6:]
        else:
            part, _, text = line.strip().partition(" ")
            row.parts[part] = text.strip()
    return found


def of_op(function, own):
    """The docstring of an op's public function; `own` is the text that it was made with."""
    name = function.__name__
    declarations = getattr(function, "declarations", ())
    if name.removesuffix("_") not in rows() or not declarations or declarations[0].kernel == "foreign":
        return own
    with inference_mode(False), enable_grad():
        return _written(name, declarations, function.in_place)


@functools.cache
def _written(name, declarations, in_place) -> str:
    row = rows()[name.removesuffix("_")]
    example = Example(row.example, name, in_place)
    parts = {
        "Shapes": row.parts.get("Shapes") or _shapes(declarations[0], in_place),
        "Dtypes": row.parts.get("Dtypes") or _dtypes(example),
        "Gradient": row.parts.get("Gradient") or _gradient(example, declarations),
        "Errors": row.parts.get("Errors") or ("" if "Shapes" in row.parts else _errors(declarations[0])),
        "Source": next((d.source for d in declarations if d.source), ""),
    }
    start = f"In-place form of {name[:-1]}(): {row.summary}" if in_place else row.summary
    lines = [*textwrap.wrap(start, WIDTH), ""]
    for part, text in parts.items():
        if text:
            lines += _wrapped(part, text)
    return "\n".join([*lines, *example.lines(), ""])


def _wrapped(part, text):
    return textwrap.wrap(text, WIDTH, initial_indent=f"{part:10}", subsequent_indent=" " * 10)


# ---- the example ----


class _Names(ast.NodeTransformer):
    def visit_Name(self, node):
        return ast.Name(f"torch.{node.id}") if node.id in ("inf", "nan") else node


class _Tensors(ast.NodeTransformer):
    def visit_List(self, node):
        return ast.Call(ast.Name("torch.tensor"), [node], [])


def _without_lists(node):
    return _Tensors().visit(_Names().visit(node))


class Example:
    """A call of the op: lists in it are tensors. In place it is the method of its first tensor."""

    def __init__(self, source, name, in_place):
        self.name, self.in_place = name, in_place
        call = ast.parse(source, mode="eval").body
        self.args = [ast.unparse(_without_lists(a)) for a in call.args]
        self.named = {k.arg: ast.unparse(_without_lists(k.value)) for k in call.keywords}

    def source(self) -> str:
        """The call as a user writes it."""
        rest = [*self.args[self.in_place :], *(f"{k}={v}" for k, v in self.named.items())]
        owner = self.args[0] if self.in_place else "torch"
        return f"{owner}.{self.name}({', '.join(rest)})"

    def arguments(self):
        """The arguments, evaluated: (positional, named)."""
        import pullback

        scope = {"torch": pullback}
        return [eval(a, scope) for a in self.args], {k: eval(v, scope) for k, v in self.named.items()}

    def run(self, args, named):
        """The op of these arguments."""
        import pullback

        function = pullback.Tensor.__dict__.get(self.name) if self.in_place else getattr(pullback, self.name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*args, **named)

    def lines(self):
        """The example as it stands in the docstring."""
        args, named = self.arguments()
        text = repr(self.run(args, named)).splitlines()
        begin = "Example   >>> import pullback as torch"
        return [begin, *(" " * 10 + line for line in (">>> " + self.source(), *text))]


def _map(change, x):
    """The tensors of an argument, changed; everything else as it is."""
    if isinstance(x, (tuple, list)):
        return type(x)(_map(change, v) for v in x)
    return change(x) if hasattr(x, "requires_grad") else x


# ---- the parts ----


def _shapes(op, in_place):
    names = [p.name for p in op.signature.parameters if p.kind in ("Tensor", "Operand")]
    if len(names) == 1:
        return f"{names[0]} (*) -> (*)"
    letters = [f"{n} (*{letter})" for n, letter in zip(names, "abcd")]
    if in_place:
        return f"{', '.join(letters)} -> (*a); the others broadcast to it"
    return f"{', '.join(letters)} -> broadcast({', '.join('abcd'[: len(names)])})"


def _errors(op):
    tensors = [p for p in op.signature.parameters if p.kind in ("Tensor", "Operand")]
    return "ShapeError where the shapes do not broadcast" if tensors[1:] else ""


def _dtypes(example):
    """How the op treats each dtype, by calling it: those of its example's floats, or else of its integers."""
    args, named = example.arguments()
    floats: list = []
    _map(lambda t: floats.append(t.dtype.is_floating_point), (*args, *named.values()))

    def call(*dtypes):
        left = list(dtypes)

        def change(t):
            if t.dtype.is_floating_point != any(floats) or t.dtype._name == "bool":
                return t
            return t.type(f"torch.{_legacy(left.pop(0) if left[1:] else left[0])}")

        try:
            given = [_map(change, _number(x, dtypes[0])) for x in args]
            out = example.run(given, {k: _map(change, _number(x, dtypes[0])) for k, x in named.items()})
        except (RuntimeError, TypeError, ValueError):
            return None
        return (out[0] if isinstance(out, tuple) else out).dtype._name

    results = {d: call(d) for d in ANYTHING}
    several = sum(f == any(floats) for f in floats) > 1 and not example.in_place
    return _summed_up(results) + (_mixed(call("float32", "float64")) if several and any(floats) else "")


def _legacy(name):
    import pullback

    return getattr(pullback, name)._legacy


def _number(x, dtype):
    """A whole number as an int, beside tensors that are no floats."""
    return int(x) if isinstance(x, float) and x.is_integer() and not dtype.startswith("float") else x


def _mixed(result):
    return (
        "; both types must agree" if result is None else "; mixed ones are promoted" * (result == "float64")
    )


def _summed_up(results):
    """The result's dtype for each dtype (None: it raises), in words."""
    taken = [d for d, r in results.items() if r]
    refused = [d for d in results if d not in taken]
    end = f"; {_group(refused)} raise" if refused else ""
    if len({results[d] for d in taken}) == 1 and taken[1:]:
        return f"{_group(taken)} -> {results[taken[0]]}{end}"
    groups: dict = {"kept": [d for d in taken if results[d] == d]}
    for d in taken:
        if results[d] != d:
            to = "the default float type" if results[d].startswith("float") else results[d]
            groups.setdefault(f"-> {to}", []).append(d)
    return "; ".join(f"{_group(ds)} {key}" for key, ds in groups.items() if ds) + end


def _group(names):
    kinds = {"integers": ["uint8", "int32", "int64"], "floats": ["float32", "float64"]}
    if len(names) == len(ANYTHING):
        return "all"
    text = []
    for n in names:
        kind = next((k for k, all_of in kinds.items() if n in all_of and set(all_of) <= set(names)), n)
        text += [kind] if kind not in text else []
    return ", ".join(text)


def _gradient(example, declarations):
    """The gradient as a formula of its traced rule, and what is declared at the edges."""
    if not any(d.differentiable for d in declarations):
        return "none: the result is no smooth function"
    try:
        text = formula(example)
    except TooLong:
        text = "by its rule, checked in docs/rules.md"
    edges = declarations[0].edges
    if edges:
        text += "; slope " + ", ".join(f"{_plain(slope)} at {_plain(at)}" for at, slope in edges.items())
    return text


def _plain(x):
    return f"({', '.join(map(_plain, x))})" if isinstance(x, tuple) else f"{x:g}"
