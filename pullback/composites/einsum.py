"""einsum: products summed over named axes, as a chain of batched matrix products in torch's order."""

from __future__ import annotations

from string import ascii_letters

from pullback import errors
from pullback.arguments import all_tensors
from pullback.composites.linalg import _product, reshaped
from pullback.primitives.registry import public
from pullback.trace.tracer import functions as f


def _parsed(equation, operands):
    """The labels of each operand and of the result; "..." becomes labels of its own (negative numbers)."""
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        more = "more" if len(terms) < len(operands) else "fewer"
        raise errors.ShapeError(f"einsum(): {more} operands were provided than specified in the equation")
    inputs, dots = [], 0
    for k, (term, x) in enumerate(zip(terms, operands, strict=True)):
        named = len(term.replace("...", ""))
        extra = x.dim() - named
        if extra < 0 or (extra and "..." not in term):
            raise errors.ShapeError(
                f"einsum(): the number of subscripts in the equation ({named}) does not match the number of "
                f"dimensions ({x.dim()}) for operand "
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


def _without_repeats(x, labels):
    """Diagonals for labels that an operand names twice."""
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            x = f["movedim"](f["diagonal"](x, 0, i, j), -1, i)
            labels.pop(j)
    return x, labels


def _laid_out(x, labels, order):
    """x with one axis for each label of `order`, of size 1 where it has none."""
    missing = [n for n in order if n not in labels]
    for _ in missing:
        x = f["unsqueeze"](x, x.dim())
    have = [*labels, *missing]
    return f["permute"](x, [have.index(n) for n in order])


def _pair(a, b, summed):
    """The product of two tensors laid out alike, summed over axes that stay, of size 1."""
    axes = range(a.dim())
    alone_a = [d for d in summed if a.size(d) != 1 and b.size(d) == 1]
    alone_b = [d for d in summed if b.size(d) != 1 and a.size(d) == 1]
    a = f["sum"](a, alone_a, True) if alone_a else a
    b = f["sum"](b, alone_b, True) if alone_b else b
    over = [d for d in summed if a.size(d) != 1 and b.size(d) != 1]
    if not over:
        return f["mul"](a, b)
    rest = [d for d in axes if d in summed and d not in over]
    both = [d for d in axes if d not in summed and a.size(d) != 1 and b.size(d) != 1]
    only_a = [d for d in axes if d not in summed and a.size(d) != 1 and b.size(d) == 1]
    only_b = [d for d in axes if d not in summed and a.size(d) == 1]
    batch, m = _product(a.size(d) for d in both), _product(a.size(d) for d in only_a)
    k, p = _product(a.size(d) for d in over), _product(b.size(d) for d in only_b)
    left = reshaped(f["permute"](a, [*both, *only_a, *over, *only_b, *rest]), (batch, m, k))
    right = reshaped(f["permute"](b, [*both, *over, *only_b, *only_a, *rest]), (batch, k, p))
    order = [*both, *only_a, *over, *only_b, *rest]
    sizes = tuple(1 if d in summed else a.size(d) if d in both or d in only_a else b.size(d) for d in order)
    return f["permute"](f["_view"](f["bmm"](left, right), sizes), [order.index(d) for d in axes])


def _check_sizes(operands, inputs):
    seen = {}
    for k, (x, labels) in enumerate(zip(operands, inputs, strict=True)):
        for d, label in enumerate(labels):
            size = x.size(d)
            if seen.setdefault(label, size) == 1:
                seen[label] = size
            elif size != 1 and size != seen[label]:
                raise errors.ShapeError(
                    f"einsum(): subscript {label} has size {size} for operand {k} which does not broadcast "
                    f"with previously seen size {seen[label]}"
                )


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
    inputs, result = _parsed(equation, all_tensors(operands))
    pairs = [_without_repeats(x, labels) for x, labels in zip(operands, inputs, strict=True)]
    _check_sizes([x for x, _ in pairs], [labels for _, labels in pairs])
    gone = sorted({n for _, labels in pairs for n in labels if n not in result}, key=str)
    order = [*result, *gone]
    laid = [_laid_out(x, labels, order) for x, labels in pairs]
    kept = len(result)
    if len(laid) == 1:
        return f["sum"](laid[0], tuple(range(kept, len(order)))) if gone else laid[0]
    last_use = {n: max(k for k, (_, labels) in enumerate(pairs) if n in labels) for n in gone}
    out = laid[0]
    for k in range(1, len(laid)):
        if k == 1:  # what only the first operand has
            alone = [order.index(n) for n in gone if last_use[n] == 0]
            out = f["sum"](out, alone, True) if alone else out
        out = _pair(out, laid[k], [order.index(n) for n in gone if last_use[n] == k])
    return f["_view"](out, tuple(out.shape)[:kept]) if gone else out


public["einsum"] = f["einsum"] = einsum
