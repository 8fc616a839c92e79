"""Did this operation make a nan or an infinity, and how? Asked about results that hold one."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pullback import _core
from pullback.errors import NonFiniteError
from pullback.trace import signature as sig
from pullback.trace import tracer

# Backward nodes that hand on a gradient of zero where something else was chosen, and what they are called.
_CHOOSING = {
    "WhereBackward0": "where()",
    "MaskedFillBackward0": "masked_fill()",
    "MaskedFillBackward1": "masked_fill()",
    "MaskedScatterBackward0": "masked_scatter()",
    "IndexBackward0": "indexing",
    "MaskedSelectBackward0": "masked_select()",
    "CopySlices": "an assignment into a part of the tensor",
}
_ADVICE = {
    "sqrt": "A negative number has no square root: clamp(min=0) the operand, or find out why it is negative.",
    "log": "log() needs a positive number: clamp the operand away from 0, or use log1p() or xlogy().",
    "exp": "exp() exceeds the largest number: subtract the maximum first, or use logsumexp(), softmax() or "
    "log_softmax().",
    "div": "The divisor is 0 or too small: add a small number to it, or clamp it away from 0.",
    "reciprocal": "The divisor is 0 or too small: add a small number to it, or clamp it away from 0.",
}
_TOO_LARGE = "The result exceeds the largest {}: scale the operands down, or use a larger type."
_CHOOSE_FIRST = (
    "Where such elements are chosen away afterwards, choose before the operation too, so that it gets "
    "harmless values: op(torch.where(valid, x, 1.0))."
)
_STEEP = (
    "The derivative is infinite, or too large for the type, at this value: keep the operand away from it "
    "(add a small number, clamp), or use a larger type."
)


class _Value:
    """An operand, a gradient or a result: its name and its elements."""

    def __init__(self, name, elements, part_of_verdict=True):
        self.name, self.part_of_verdict = name, part_of_verdict
        if isinstance(elements, _core.Tensor):
            t = elements.detach()
            self.elements = (t if t.dtype in _NUMPY else t.float()).numpy()
        else:
            self.elements = np.asarray(elements)

    def at(self, index):
        """The element that meets `index` of a result, by broadcasting."""
        own = index[len(index) - self.elements.ndim :]
        return tuple(0 if n == 1 else i for i, n in zip(own, self.elements.shape, strict=True))

    def meets(self, shape):
        """Whether this broadcasts to the shape of a result."""
        own = self.elements.shape
        if len(own) > len(shape):
            return False
        return all(n in (1, m) for n, m in zip(own[::-1], shape[::-1], strict=False))

    def line(self, index, shape, element_by_element):
        """The operand's value at the element, or where it takes part in every element, its extremes."""
        e = self.elements
        if e.ndim == 0:
            return f"  {self.name} = {e[()]!s}"
        if element_by_element and self.meets(shape):
            own = self.at(index)
            return f"  {self.name}{list(own)} = {e[own]!s}"
        if e.size == 0:
            return f"  {self.name} of shape {list(e.shape)} has no elements"
        low, high = (tuple(int(i) for i in np.unravel_index(k, e.shape)) for k in (e.argmin(), e.argmax()))
        lowest, highest = f"{e[low]!s} (at {list(low)})", f"{e[high]!s} (at {list(high)})"
        return f"  {self.name} of shape {list(e.shape)} lies between {lowest} and {highest}"


_NUMPY = (_core.float32, _core.float64, _core.bool, _core.uint8, _core.int32, _core.int64)


def _floating(value):
    return value.elements.dtype.kind == "f"


def _new_elements(result, operands, element_by_element):
    """Where the result is a nan that no operand has, or an infinity although all operands are finite."""
    nan, infinite = np.isnan(result), np.isinf(result)
    for v in operands:
        if not v.part_of_verdict or not _floating(v):
            continue
        has_nan, has_any = np.isnan(v.elements), ~np.isfinite(v.elements)
        if not (element_by_element and v.meets(result.shape)):
            has_nan, has_any = has_nan.any(), has_any.any()
        nan, infinite = nan & ~has_nan, infinite & ~has_any
    return nan | infinite


def _first(mask):
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))


def _named(declaration, operands, ints):
    """(name, value) for each operand, and for parameters that are numbers."""
    signature = getattr(declaration, "signature", None)
    if signature is None:
        return [(f"operand {k}", v) for k, v in enumerate(operands)]
    out = []
    values = sig.decode(signature, operands, ints, tracer.DTYPES)
    for p, value in zip(signature.parameters, values, strict=True):
        if p.takes_tensor and p.list:
            out += [(f"{p.name}[{k}]", v) for k, v in enumerate(value) if v is not None]
        elif p.takes_tensor or p.kind == "float":
            out.append((p.name, value))
    return [(n, v) for n, v in out if v is not None]


def _name_of(declaration, name):
    signature = getattr(declaration, "signature", None)
    return name if signature is None else signature.name


def _raise(head, value, index, operation, lines):
    error = NonFiniteError("\n".join([head, *lines]))
    error.op, error.index, error.value = operation, index, float(value)
    raise error


def _spot(index):
    return f"at {list(index)}" if index else "in the single element"


def _raise_parameter(operation, operand, changed_at):
    """An optimizer's step is no operation: what it has left is found when it is used."""
    elements = _Value("parameter", operand).elements
    index = _first(~np.isfinite(elements))
    head = f"A parameter (shape {list(elements.shape)}) holds {elements[index]} {_spot(index)}"
    lines = [
        "An optimizer's step has left it there.",
        _core.place_text(changed_at).rstrip("\n"),
        f"It was found when {operation} used the parameter at",
        _core.place_text(_core.place_here()).rstrip("\n"),
        "Lower the learning rate, or clip the gradients (torch.nn.utils.clip_grad_norm_).",
    ]
    _raise(head, elements[index], index, operation, filter(None, lines))


def results(name, declaration, operands, ints, outputs, element_by_element, purpose, spoilt):
    """Raises if an operation of the forward pass made an element that is not finite."""
    for k, changed_at in spoilt:
        _raise_parameter(_name_of(declaration, name), operands[k], changed_at)
    values = [_Value(n, v) for n, v in _named(declaration, operands, ints)]
    visible = getattr(declaration, "visible", len(outputs))
    for k, out in enumerate(outputs[:visible]):
        if out is None or not out.dtype.is_floating_point:
            continue
        result = _Value("result", out).elements
        new = _new_elements(result, values, element_by_element)
        if not new.any():
            continue
        index = _first(new)
        operation = declaration.signature.name if hasattr(declaration, "signature") else name
        which = "its result" if visible == 1 else f"its result {k}"
        doing = f", {purpose}," if purpose else ""
        head = (
            f"{operation}{doing} made {result[index]} {_spot(index)} of {which} (shape {list(result.shape)})"
        )
        lines = [v.line(index, result.shape, element_by_element) for v in values]
        lines.append(_core.place_text(_core.place_here()).rstrip("\n"))
        if operation in _ADVICE:
            lines.append(_ADVICE[operation])
        if np.isinf(result[index]) and operation not in _ADVICE:
            lines.append(_TOO_LARGE.format(result.dtype))
        elif element_by_element:
            lines.append(_CHOOSE_FIRST)
        _raise(head, result[index], index, operation, lines)


class _Recorded:
    """A node, with the names that its operation's signature gives to operands and gradients."""

    def __init__(self, node):
        self.node, self.name = node, node.name()
        self.declaration, self.operation, self.visible = None, self.name.removesuffix("Backward"), 1
        self.tensor_names, self.numbers = [], []
        application = node._application()
        if application is None:
            return
        self.declaration, operands, numbers, ints, tensors = application[:5]
        self.operation = _name_of(self.declaration, self.operation)
        self.visible = getattr(self.declaration, "visible", 1)
        rest = iter(numbers)
        operands = [_Tensor(tensors.index(k)) if k in tensors else next(rest) for k in range(len(operands))]
        named = _named(self.declaration, operands, ints)
        by_tensor = {v.index: n for n, v in named if isinstance(v, _Tensor)}
        self.tensor_names = [by_tensor.get(k, f"operand {k}") for k in range(len(tensors))]
        self.numbers = [_Value(n, v) for n, v in named if not isinstance(v, _Tensor)]

    def values(self):
        """What the node keeps. A hidden result was never the user's: it has no say in who made what."""
        out = []
        for place, (is_output, k) in enumerate(self.node._saves()):
            tensor = self.node._kept_value(place)
            if tensor is None:
                continue
            if not is_output:
                out.append(_Value(self.tensor_names[k], tensor))
            elif k >= self.visible:
                out.append(_Value(f"intermediate {k - self.visible}", tensor, False))
            else:
                out.append(_Value("result" if self.visible == 1 else f"result {k}", tensor))
        return [*out, *self.numbers]

    def gradient_name(self, k):
        return f"`{self.tensor_names[k]}`" if k < len(self.tensor_names) else f"input {k}"

    def place(self):
        place = _core.place_text(_core.place_of_node(self.node)).rstrip("\n")
        if place:
            return f"It was recorded by\n{place}"
        return "Run the forward pass within nonfinite() too, to learn which line recorded it."


class _Tensor(NamedTuple):
    """Stands for the tensor operand of that number."""

    index: int


def _choosing_node(node, roots):
    """The nearest node between the roots and `node` that hands on zeros where it chose something else."""
    above, stack, seen = {}, list(roots), set(roots)
    while stack:
        n = stack.pop()
        for below, _ in n._edges:
            if below is None:
                continue
            above.setdefault(below, []).append(n)
            if below not in seen:
                seen.add(below)
                stack.append(below)
    level, met = [node], {node}
    while level:
        level = [a for n in level for a in above.get(n, ())]
        level = [a for k, a in enumerate(level) if a not in met and a not in level[:k]]
        met.update(level)
        for a in level:
            if a.name().rpartition("::")[2] in _CHOOSING:
                return a
    return None


def _zero_times_infinity(recorded, roots):
    chooser, operation = _choosing_node(recorded.node, roots), recorded.operation
    cause, lines = "what follows does not depend on this element", []
    if chooser is not None:
        cause = f"{_CHOOSING[chooser.name().rpartition('::')[2]]} did not select this element"
        place = _core.place_text(_core.place_of_node(chooser)).rstrip("\n")
        lines += [f"The choice was made by\n{place}"] if place else []
    return [
        f"This is zero times infinity: the gradient that arrives is 0, because {cause}, but the derivative "
        f"of {operation} is infinite there.",
        *lines,
        "Choose before the operation as well as after it:",
        "    safe = torch.where(selected, x, 1.0)  # a value at which the derivative is finite",
        f"    y = torch.where(selected, {operation}(safe), other)",
    ]


def gradients(node, cotangents, computed, roots):
    """Raises if a node made an element of a gradient that is not finite."""
    recorded = _Recorded(node)
    arriving = [_Value("arriving gradient", g) for g in cotangents if g is not None]
    values = [*arriving, *recorded.values()]
    element_by_element = _core.is_elementwise(node)
    for k, g in enumerate(computed):
        if g is None:
            continue
        gradient = _Value("gradient", g).elements
        # A gradient that was summed down to a broadcast operand is not one element of its operands.
        single = element_by_element and all(v.elements.shape == gradient.shape for v in arriving)
        new = _new_elements(gradient, values, single)
        if new.any():
            _raise_gradient(recorded, k, gradient, _first(new), (arriving, values), single, roots)


def _raise_gradient(recorded, k, gradient, index, operands, single, roots):
    arriving, values = operands
    which = f"the gradient of {recorded.gradient_name(k)} (shape {list(gradient.shape)})"
    head = f"{recorded.name} made {gradient[index]} {_spot(index)} of {which}"
    lines = [*(v.line(index, gradient.shape, single) for v in values), recorded.place()]
    parts = [v.elements[v.at(index)] if single else v.elements for v in arriving]
    if math.isnan(gradient[index]) and not any(np.any(p) for p in parts):
        lines += _zero_times_infinity(recorded, roots)
    else:
        lines.append(_STEEP)
    _raise(head, gradient[index], index, recorded.name, lines)
