"""einsum: products summed over named axes, as a chain of batched matrix products in torch's order."""

from __future__ import annotations

import functools
from string import ascii_letters

from pullback import _core, errors
from pullback.arguments import all_tensors
from pullback.composites.linalg import _product, reshaped
from pullback.primitives.registry import public
from pullback.trace.tracer import functions as f


def _parsed(equation, shapes):
    """The labels of each operand and of the result; "..." becomes labels of its own (negative numbers)."""
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        more = "more" if len(terms) < len(shapes) else "fewer"
        raise errors.ShapeError(f"einsum(): {more} operands were provided than specified in the equation")
    inputs, dots = [], 0
    for k, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
        named = len(term.replace("...", ""))
        extra = len(shape) - named
        if extra < 0 or (extra and "..." not in term):
            raise errors.ShapeError(
                f"einsum(): the number of subscripts in the equation ({named}) does not match the number of "
                f"dimensions ({len(shape)}) for operand "
                f"{k}" + ("" if "..." in term else " and no ellipsis was given")
            )
        dots = max(dots, extra if "..." in term else 0)
        inputs.append(_labels(term, extra))
    everything = [label for term in inputs for label in term]
    if arrow:
        result = _labels(right, dots)
    else:
        once = sorted(
            {label for label in everything if isinstance(label, str) and everything.count(label) == 1}
        )
        result = [*range(-dots, 0), *once]
    for label in result:
        if isinstance(label, str) and result.count(label) > 1:
            raise errors.ShapeError(
                f"einsum(): output subscript {label} appears more than once in the output"
            )
        if isinstance(label, str) and label not in everything:
            raise errors.ShapeError(
                f"einsum(): output subscript {label} does not appear in the equation for any input operand"
            )
    return inputs, result


def _labels(term, dots):
    head, ellipsis, tail = term.partition("...")
    return [*head, *(range(-dots, 0) if ellipsis else ()), *tail]


class _Value:
    """A tensor of a plan: its sizes by now. What happens to it is written down in the plan's steps.

    Where no graph shows them, moves of axes wait until something needs them: those that only move axes of
    size 1 are left out before the elements get another shape.
    """

    __slots__ = ("moves", "order", "place", "plan", "shape")

    def __init__(self, plan, place, shape):
        self.plan, self.place, self.shape = plan, place, list(shape)
        self.moves, self.order = [], range(len(shape))

    def do(self, function, *args):
        self.plan.steps += self.moves
        self.plan.steps.append((function, self.place, None, args))
        self.moves, self.order = [], range(len(self.shape))

    def move(self, function, argument):
        steps = self.plan.steps if self.plan.recorded else self.moves
        steps.append((function, self.place, None, (argument,)))

    def permute(self, order):
        self.move(f["permute"], order)
        self.order = [self.order[k] for k in order]
        self.shape = [self.shape[k] for k in order]

    def unsqueeze(self):
        self.move(f["unsqueeze"], len(self.shape))
        self.order = [*self.order, len(self.shape)]
        self.shape.append(1)

    def sum(self, axes):
        self.do(f["sum"], axes, True)
        for d in axes:
            self.shape[d] = 1

    def reshape(self, function, sizes):
        longer = [k for k, n in zip(self.order, self.shape, strict=True) if n != 1]
        if longer == sorted(longer):
            self.moves = []
        self.shape = list(sizes)
        self.do(function, sizes)

    def times(self, other, function):
        self.plan.steps += self.moves + other.moves
        self.plan.steps.append((function, self.place, other.place, ()))
        self.moves, other.moves = [], []

    def finish(self):
        self.plan.steps += self.moves
        return self.plan.steps


class _Plan:
    __slots__ = ("recorded", "steps")

    def __init__(self, recorded):
        self.recorded, self.steps = recorded, []


def _without_repeats(x, labels):
    """Diagonals for labels that an operand names twice."""
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            x.shape[i] = min(x.shape[i], x.shape.pop(j))
            x.do(f["diagonal"], 0, i, j)
            x.do(f["movedim"], -1, i)
            labels.pop(j)
    return labels


def _lay_out(x, labels, order):
    """One axis for each label of `order`, of size 1 where x has none."""
    missing = [n for n in order if n not in labels]
    for _ in missing:
        x.unsqueeze()
    have = [*labels, *missing]
    x.permute([have.index(n) for n in order])


def _multiply(a, b, summed):
    """a times b, which are laid out alike, summed over axes that stay, of size 1."""
    axes = range(len(a.shape))
    alone_a = [d for d in summed if a.shape[d] != 1 and b.shape[d] == 1]
    alone_b = [d for d in summed if b.shape[d] != 1 and a.shape[d] == 1]
    if alone_a:
        a.sum(alone_a)
    if alone_b:
        b.sum(alone_b)
    size_a, size_b = a.shape, b.shape
    over = [d for d in summed if size_a[d] != 1 and size_b[d] != 1]
    if not over:
        a.times(b, f["mul"])
        a.shape = [m if n == 1 else n for n, m in zip(size_a, size_b, strict=True)]
        return
    rest = [d for d in axes if d in summed and d not in over]
    both = [d for d in axes if d not in summed and size_a[d] != 1 and size_b[d] != 1]
    only_a = [d for d in axes if d not in summed and size_a[d] != 1 and size_b[d] == 1]
    only_b = [d for d in axes if d not in summed and size_a[d] == 1]
    batch, m = _product(size_a[d] for d in both), _product(size_a[d] for d in only_a)
    k, p = _product(size_a[d] for d in over), _product(size_b[d] for d in only_b)
    order = [*both, *only_a, *over, *only_b, *rest]
    sizes = [1 if d in summed else size_a[d] if d in both or d in only_a else size_b[d] for d in order]
    a.permute(order)
    a.reshape(reshaped, (batch, m, k))
    b.permute([*both, *over, *only_b, *only_a, *rest])
    b.reshape(reshaped, (batch, k, p))
    a.times(b, f["bmm"])
    a.reshape(f["_view"], tuple(sizes))
    a.permute([order.index(d) for d in axes])


def _check_sizes(values, inputs):
    seen = {}
    for k, (x, labels) in enumerate(zip(values, inputs, strict=True)):
        for d, label in enumerate(labels):
            size = x.shape[d]
            if seen.setdefault(label, size) == 1:
                seen[label] = size
            elif size != 1 and size != seen[label]:
                raise errors.ShapeError(
                    f"einsum(): subscript {label} has size {size} for operand {k} which does not broadcast "
                    f"with previously seen size {seen[label]}"
                )


def _plan(equation, shapes, recorded):
    """What einsum does with operands of these shapes, as steps: (function, place, other place, arguments).

    A step replaces the value at its place, at first the operands; the result is at place 0.
    """
    inputs, result = _parsed(equation, shapes)
    plan = _Plan(recorded)
    values = [_Value(plan, k, shape) for k, shape in enumerate(shapes)]
    inputs = [_without_repeats(x, labels) for x, labels in zip(values, inputs, strict=True)]
    _check_sizes(values, inputs)
    gone = sorted({n for labels in inputs for n in labels if n not in result}, key=str)
    order = [*result, *gone]
    for x, labels in zip(values, inputs, strict=True):
        _lay_out(x, labels, order)
    kept, out = len(result), values[0]
    if len(values) == 1:
        if gone:
            out.do(f["sum"], tuple(range(kept, len(order))))
        return out.finish()
    last_use = {n: max(k for k, labels in enumerate(inputs) if n in labels) for n in gone}
    alone = [order.index(n) for n in gone if last_use[n] == 0]  # what only the first operand has
    if alone:
        out.sum(alone)
    for k in range(1, len(values)):
        _multiply(out, values[k], [order.index(n) for n in gone if last_use[n] == k])
    if gone:
        out.reshape(f["_view"], tuple(out.shape[:kept]))
    return out.finish()


_known_plan = functools.lru_cache(maxsize=1024)(_plan)


def _letters(labels):
    """The letters for a list of axes: 0 to 51, and Ellipsis."""
    for n in labels:
        if n is not Ellipsis and not 0 <= n < 52:
            raise ValueError(
                "einsum(): subscript in subscript list is not within the valid range [0, 52)\n"
                f"Axis {n} has no letter."
            )
    return "".join("..." if n is Ellipsis else ascii_letters[(n + 26) % 52] for n in labels)


def _in_letters(args):
    """einsum(x, [0, 1], y, [1, 2], [0, 2]) as the equation and the operands; the result's list may be left
    out."""
    equation = ",".join(_letters(labels) for labels in args[1::2])
    if len(args) % 2:
        equation = ",".join(_letters(labels) for labels in args[1:-1:2]) + "->" + _letters(args[-1])
    return equation, args[: len(args) // 2 * 2 : 2]


def einsum(*args):
    """Sums of products, described by letters for the axes, or by lists of numbers behind each operand.

    Shapes    those of the letters: "ij,jk->ik" takes (i, j) and (j, k) to (i, k)
    Gradient  for every operand: the product of g and the others, summed the same way
    Errors    RuntimeError for letters and axes that do not match

    >>> import pullback as torch
    >>> torch.einsum("ij,j->i", torch.ones(2, 3), torch.ones(3))
    tensor([3., 3.])
    >>> torch.einsum(torch.ones(2, 3), [0, 1], torch.ones(3), [1], [0])
    tensor([3., 3.])

    """
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one operand "
            "and its subscripts list"
        )
    equation, operands = (args[0], args[1:]) if isinstance(args[0], str) else _in_letters(args)
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = operands[0]
    shapes, plan, recorded = [], _known_plan, False
    for x in all_tensors(operands):
        shapes.append(x.shape)
        if not isinstance(x, _core.Tensor):
            plan, recorded = _plan, True  # sizes in a trace are expressions
        elif x.requires_grad:
            recorded = True
    values = list(operands)
    for function, k, other, args in plan(equation, tuple(shapes), recorded):
        values[k] = function(values[k], *args) if other is None else function(values[k], values[other])
    return values[0]


public["einsum"] = f["einsum"] = einsum
