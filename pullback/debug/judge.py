"""Did this operation make a nan or an infinity, and how? Asked about results that hold one."""

from __future__ import annotations

import math

import numpy as np

from pullback import _core
from pullback.debug import causes
from pullback.debug.operands import ARRIVING, Value, name_of, names, origin_of, result_names, under, values
from pullback.errors import NonFiniteError
from pullback.trace.rules import BackwardOp

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


_NOT_BY_AN_OPERATION = (
    "No operation inside made it of finite operands: look for constants, and for what is computed outside of "
    "tensors."
)


def _new_elements(result, operands, element_by_element):
    """Where the result is a nan that no operand has, or an infinity although all operands are finite."""
    nan, infinite = np.isnan(result), np.isinf(result)
    for v in operands:
        if not v.part_of_verdict or not v.is_floating:
            continue
        has_nan, has_any = np.isnan(v.elements), ~np.isfinite(v.elements)
        if not (element_by_element and v.meets(result.shape)):
            has_nan, has_any = has_nan.any(), has_any.any()
        nan, infinite = nan & ~has_nan, infinite & ~has_any
    return nan | infinite


def _first(mask):
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(mask)), mask.shape))


def _raise(head, value, index, operation, lines):
    error = NonFiniteError("\n".join([head, *lines]))
    error.op, error.index, error.value = operation, index, float(value)
    raise error


def _spot(index):
    return f"at {list(index)}" if index else "in the single element"


def _raise_parameter(operation, operand, changed_at):
    """An optimizer's step is no operation: what it has left is found when it is used."""
    elements = Value("parameter", operand).elements
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


def _goes_by_element(origin, met, shape):
    """Whether elements meet as they are aligned: the program of a derived op also moves axes."""
    if isinstance(origin, BackwardOp):
        # Not if gradients are summed down to a broadcast operand: what arrives is larger then.
        return all(v.meets(shape) for v in met) and _goes_by_element(origin_of(origin.trace.op), met, shape)
    return getattr(origin, "family", None) == "elementwise"


def results(name, declaration, operands, ints, outputs, element_by_element, purpose, spoilt):
    """Raises if an operation of the forward pass made an element that is not finite."""
    for k, changed_at in spoilt:
        _raise_parameter(name_of(declaration, name), operands[k], changed_at)
    origin = origin_of(declaration)
    operation = name_of(declaration, name)
    for out, which in zip(outputs, result_names(declaration, outputs), strict=False):
        if out is None or not out.dtype.is_floating_point:
            continue
        result = Value("result", out).elements
        met = values(declaration, operands, ints, result.ndim)
        single = element_by_element or _goes_by_element(origin, met, result.shape)
        new = _new_elements(result, met, single)
        if not new.any():
            continue
        index = _first(new)
        circumstances = "".join(f", {text}" for text in (under(declaration), purpose) if text)
        head = f"{operation}{circumstances}{',' if circumstances else ''} made {result[index]} {_spot(index)}"
        lines = [v.line(index, result.shape, single) for v in met]
        lines.append(_core.place_text(_core.place_here()).rstrip("\n"))
        if which.startswith("the tangent") or isinstance(origin, BackwardOp):
            slope = name_of(origin.trace.op, name) if isinstance(origin, BackwardOp) else operation
            is_nan = math.isnan(result[index])
            lines += causes.of_tangent(slope, met, result.shape, index, single, is_nan)
        else:
            lines += causes.of_result(operation, met, result, index, single)
        _raise(f"{head} of {which} (shape {list(result.shape)})", result[index], index, operation, lines)


def user_function(name, operands, outputs):
    """Raises if the forward of an autograd.Function made an element that is not finite."""
    known = [Value(f"argument {k}", t) for k, t in enumerate(operands)]
    tensors = [t for t in outputs if isinstance(t, _core.Tensor)]
    for k, out in enumerate(tensors):
        result = Value("result", out).elements
        new = _new_elements(result, known, False) if result.dtype.kind == "f" else np.zeros(1, bool)
        if new.any():
            index = _first(new)
            which = "its result" if len(tensors) == 1 else f"its result {k}"
            head = f"{name}.forward made {result[index]} {_spot(index)} of {which}"
            lines = [v.line(index, result.shape, False) for v in known]
            lines.append(_core.place_text(_core.place_here()).rstrip("\n"))
            lines.append(_NOT_BY_AN_OPERATION)
            _raise(f"{head} (shape {list(result.shape)})", result[index], index, name, lines)


class _Recorded:
    """A node, with the names that its operation's signature gives to operands and gradients."""

    def __init__(self, node):
        self.node, self.name = node, node.name()
        self.operation, self.under, self.kept_results = self.name.removesuffix("Backward"), "", ["result"]
        self.tensor_names, self.numbers = [], []
        application = node._application()
        if application is None:
            return
        declaration, operands, numbers, ints, tensors = application[:5]
        self.operation, self.under = name_of(declaration, self.operation), under(declaration)
        self.kept_results = _kept_results(declaration)
        found, more = names(declaration, len(operands), ints)
        self.tensor_names = [found[k] or f"operand {k}" for k in tensors]
        rest = [found[k] for k in range(len(operands)) if k not in tensors]
        self.numbers = [Value(n, v) for n, v in [*zip(rest, numbers, strict=True), *more]]

    def values(self):
        """What the node keeps. A hidden result was never the user's: it has no say in who made what."""
        out = []
        for place, (is_output, k) in enumerate(self.node._saves()):
            tensor = self.node._kept_value(place)
            if tensor is None:
                continue
            if not is_output:
                out.append(Value(self.tensor_names[k], tensor))
            elif k >= len(self.kept_results):
                out.append(Value(f"intermediate {k - len(self.kept_results)}", tensor, False))
            else:
                out.append(Value(self.kept_results[k], tensor))
        return [*out, *self.numbers]

    def gradient_name(self, k):
        return f"`{self.tensor_names[k]}`" if k < len(self.tensor_names) else f"input {k}"

    def place(self):
        place = _core.place_text(_core.place_of_node(self.node)).rstrip("\n")
        if place:
            return f"It was recorded by\n{place}"
        return "Run the forward pass within nonfinite() too, to learn which line recorded it."


def _kept_results(declaration):
    """The names of the visible results that a node may keep."""
    visible = getattr(origin_of(declaration), "visible", 1)
    own = ["result"] if visible == 1 else [f"result {k}" for k in range(visible)]
    while hasattr(declaration, "origin"):
        if getattr(declaration, "with_values", None) is not None:
            moving = [f"tangent of {name}" for name in own]
            own = [n for pair in zip(own, moving) for n in pair] if declaration.with_values else moving
        declaration = declaration.origin
    return own


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
    if chooser is None:
        return [causes.zero_times_infinity(operation, "gradient"), *causes.choose_twice(operation)]
    because = f", because {_CHOOSING[chooser.name().rpartition('::')[2]]} did not select this element"
    place = _core.place_text(_core.place_of_node(chooser)).rstrip("\n")
    return [
        causes.zero_times_infinity(operation, "gradient", because),
        *([f"The choice was made by\n{place}"] if place else []),
        *causes.choose_twice(operation),
    ]


def gradients(node, cotangents, computed, roots):
    """Raises if a node made an element of a gradient that is not finite."""
    recorded = _Recorded(node)
    of = [f" of {name}" for name in recorded.kept_results] if len(recorded.kept_results) > 1 else [""]
    arriving = [
        Value(ARRIVING + (of[k] if k < len(of) else ""), g) for k, g in enumerate(cotangents) if g is not None
    ]
    known = [*arriving, *recorded.values()]
    element_by_element = _core.is_elementwise(node)
    for k, g in enumerate(computed):
        if g is None:
            continue
        gradient = Value("gradient", g).elements
        # A gradient that was summed down to a broadcast operand is not one element of its operands.
        single = element_by_element and all(v.elements.shape == gradient.shape for v in arriving)
        new = _new_elements(gradient, known, single)
        if new.any():
            _raise_gradient(recorded, k, gradient, _first(new), (arriving, known), single, roots)


def _raise_gradient(recorded, k, gradient, index, operands, single, roots):
    arriving, known = operands
    which = f"the gradient of {recorded.gradient_name(k)} (shape {list(gradient.shape)})"
    circumstances = f", {recorded.under}," if recorded.under else ""
    head = f"{recorded.name}{circumstances} made {gradient[index]} {_spot(index)} of {which}"
    lines = [*(v.line(index, gradient.shape, single) for v in known), recorded.place()]
    parts = [v.elements[v.at(index)] if single else v.elements for v in arriving]
    if math.isnan(gradient[index]) and not any(np.any(p) for p in parts):
        lines += _zero_times_infinity(recorded, roots)
    else:
        lines += causes.of_slope(recorded.operation, known, gradient.shape, index, single)
    _raise(head, gradient[index], index, recorded.name, lines)
