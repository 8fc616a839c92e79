"""What an operation's operands and results are called, whatever transformations it was derived by."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pullback import _core
from pullback.trace import signature as sig
from pullback.trace import tracer
from pullback.trace.derived import SHARED, BatchOp, DualOp
from pullback.trace.rules import BackwardOp

_NUMPY = (_core.float32, _core.float64, _core.bool, _core.uint8, _core.int32, _core.int64)
ARRIVING = "arriving gradient"
TANGENT = "tangent of "


class Value:
    """An operand, a gradient or a result: its name and its elements."""

    def __init__(self, name, elements, part_of_verdict=True):
        self.name, self.part_of_verdict = name, part_of_verdict
        if isinstance(elements, _core.Tensor):
            t = elements.detach()
            self.elements = (t if t.dtype in _NUMPY else t.float()).numpy()
        else:
            self.elements = np.asarray(elements)
        self.own_axes = range(self.elements.ndim)

    @property
    def is_floating(self):
        return self.elements.dtype.kind == "f"

    def align(self, shape):
        """Takes the shape in which it meets a result element by element: with axes of length 1 put in."""
        if len(shape) == self.elements.ndim:
            return
        inserted = len(shape) - self.elements.ndim
        lead = next(k for k, (n, m) in enumerate(zip(shape, (*self.elements.shape, None))) if n != m)
        self.elements = self.elements.reshape(shape)
        self.own_axes = [k for k in range(len(shape)) if not lead <= k < lead + inserted]

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

    def met(self, index, shape, element_by_element):
        """The element that takes part in that of a result; all of them where none can be singled out."""
        return self.elements[self.at(index)] if element_by_element and self.meets(shape) else self.elements

    def line(self, index, shape, element_by_element):
        """The operand's value at the element, or where it takes part in every element, its extremes."""
        e = self.elements
        if e.ndim == 0:
            return f"  {self.name} = {e[()]!s}"
        if element_by_element and self.meets(shape):
            own = self.at(index)
            return f"  {self.name}{[own[k] for k in self.own_axes]} = {e[own]!s}"
        if e.size == 0:
            return f"  {self.name} of shape {list(e.shape)} has no elements"
        low, high = (tuple(int(i) for i in np.unravel_index(k, e.shape)) for k in (e.argmin(), e.argmax()))
        lowest, highest = f"{e[low]!s} (at {list(low)})", f"{e[high]!s} (at {list(high)})"
        return f"  {self.name} of shape {list(e.shape)} lies between {lowest} and {highest}"


class Place(NamedTuple):
    """Stands for the operand of that number."""

    index: int


def origin_of(declaration):
    """The operation that transformations were applied to."""
    while hasattr(declaration, "origin"):
        declaration = declaration.origin
    return declaration


def name_of(declaration, otherwise):
    """The operation's name as the user calls it."""
    declaration = origin_of(declaration)
    if isinstance(declaration, BackwardOp):
        return f"the backward pass of {name_of(declaration.trace.op, otherwise)}"
    signature = getattr(declaration, "signature", None)
    return otherwise if signature is None else signature.name


def under(declaration):
    """Which transformations the operation runs under; completes "sqrt, ..."."""
    out = []
    while hasattr(declaration, "origin"):
        text = "for one of the samples of vmap" if isinstance(declaration, BatchOp) else "in forward mode"
        out.insert(0, text)
        declaration = declaration.origin
    return " and ".join(dict.fromkeys(out))


def names(declaration, n, ints):
    """(a name for each of n operands, [(name, value)] of the parameters that are numbers).

    An operand without a name has no elements: a backward pass is not given what it does not read.
    """
    if isinstance(declaration, BatchOp):
        return names(declaration.origin, n, ints)
    if isinstance(declaration, DualOp) and not declaration.mask >> SHARED:
        moving = [k for k in range(SHARED) if declaration.mask >> k & 1]
        own, numbers = names(declaration.origin, n - len(moving), ints)
        return [TANGENT + (own[k] or "an operand") for k in moving] + own, numbers
    out: list = [f"operand {k}" for k in range(n)]
    if isinstance(declaration, BackwardOp):
        return _names_in_backward(declaration, out), []
    signature = getattr(declaration, "signature", None)
    if signature is None:
        return out, []
    numbers = []
    values = sig.decode(signature, [Place(k) for k in range(n)], ints, tracer.DTYPES)
    for p, value in zip(signature.parameters, values, strict=True):
        if p.takes_tensor and p.list:
            for k, v in enumerate(value):
                if v is not None:
                    out[v.index] = f"{p.name}[{k}]"
        elif isinstance(value, Place):
            out[value.index] = p.name
        elif p.kind == "float" and value is not None:
            numbers.append((p.name, value))
    return out, numbers


def _names_in_backward(op, out):
    """Of the cotangents, then all inputs and outputs, of which only the kept ones are there, then numbers."""
    trace = op.trace
    cotangents, _ = trace.programs[op.mask]
    at = len(cotangents)
    out[:at] = [ARRIVING] * at
    kept = set(trace.saves)
    inputs = ["input" if name == "self" else name for name in trace.names_of_inputs()]
    for k, name in enumerate(inputs):
        out[at + k] = name if (False, k) in kept else None
    at += len(inputs)
    for k in range(len(trace.outputs)):
        out[at + k] = "result" if (True, k) in kept else None
    return out


def values(declaration, operands, ints, rank):
    """Operands and parameters that are numbers, to be compared with results of that rank."""
    found, numbers = names(declaration, len(operands), ints)
    out = []
    for k, (name, operand) in enumerate(zip(found, operands, strict=True)):
        if name is None:
            continue
        out.append(Value(name, operand))
        if isinstance(operand, _core.Tensor):
            out[-1].align(_aligned(declaration, k, tuple(operand.shape), rank))
    return out + [Value(name, number) for name, number in numbers]


def _aligned(declaration, k, shape, rank):
    """The shape of operand k with the samples of vmap in front of all other axes of a result."""
    if isinstance(declaration, BatchOp) and rank and shape:
        has_samples = declaration.mask >> min(k, SHARED) & 1
        lead = shape[:1] if has_samples else ()
        rest = _aligned(declaration.origin, k, shape[len(lead) :], rank - 1)
        return lead + (1,) * (rank - 1 - len(rest)) * bool(lead) + rest
    if isinstance(declaration, DualOp) and not declaration.mask >> SHARED:
        moving = [k for k in range(SHARED) if declaration.mask >> k & 1]
        k = moving[k] if k < len(moving) else k - len(moving)
        return _aligned(declaration.origin, k, shape, rank)
    return shape


def result_names(declaration, outputs):
    """What each visible result is called; fewer than the outputs, where some are only kept for backward."""
    if isinstance(declaration, BatchOp):
        return result_names(declaration.origin, outputs)
    if isinstance(declaration, DualOp):
        values, moving = list(outputs), []
        if declaration.with_values:  # each is followed by its tangent
            values, rest = [], list(outputs)
            while rest:
                values.append(rest.pop(0))
                moving.append(rest.pop(0) if _takes_tangent(values[-1]) and rest else None)
        own = result_names(declaration.origin, values)
        if not declaration.with_values:
            return [f"the tangent of {name}" for name in own]
        pairs = ((name, f"the tangent of {name}", t) for name, t in zip(own, moving, strict=False))
        return [text for name, tangent, t in pairs for text in ((name,) if t is None else (name, tangent))]
    if isinstance(declaration, BackwardOp):
        return ["its gradient"] * len(outputs)
    visible = getattr(declaration, "visible", len(outputs))
    return ["its result"] if visible == 1 else [f"its result {k}" for k in range(visible)]


def _takes_tangent(output):
    return output is not None and output.dtype.is_floating_point
