"""Signatures as text, read the same way as native/bindings/signature.h: one contract in two halves."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

REQUIRED = object()


@dataclass(slots=True)
class Parameter:
    name: str
    kind: str  # Tensor, Operand, Scalar, int, size, bool, float, dtype, str, any
    list: bool = False
    optional: bool = False
    optional_items: bool = False
    keyword_only: bool = False
    variadic: bool = False
    choices: tuple = ()
    default: object = REQUIRED

    @property
    def takes_tensor(self) -> bool:
        return self.kind in ("Tensor", "Operand", "Scalar")


@dataclass(slots=True)
class Signature:
    name: str
    text: str
    parameters: list[Parameter] = field(default_factory=list)


def _default(text: str):
    special = {"None": None, "True": True, "False": False, "[]": ()}
    if text in special:
        return special[text]
    if text.startswith("'"):
        return text[1:-1]
    return float(text) if "." in text or "e" in text else int(text)


def _parameter(text: str, keyword_only: bool) -> Parameter:
    kind, _, rest = text.partition(" ")
    p = Parameter(name=rest, kind=kind, keyword_only=keyword_only)
    if kind.endswith("..."):
        p.variadic, kind = True, kind[:-3]
    if kind.endswith("?"):
        p.optional, kind = True, kind[:-1]
    if kind.endswith("[]"):
        p.list, kind = True, kind[:-2]
    if p.list and kind.endswith("?"):
        p.optional_items, kind = True, kind[:-1]
    if "{" in kind:
        kind, _, choices = kind[:-1].partition("{")
        p.choices = tuple(choices.split("|"))
    p.kind = "Scalar" if kind == "Number" else kind  # a Number is a Scalar in a place of old
    if "=" in rest:
        p.name, _, default = rest.partition("=")
        p.default = _default(default)
    return p


def parse(text: str) -> Signature:
    name, _, rest = text.partition("(")
    s = Signature(name, text)
    keyword_only = False
    for part in filter(None, rest[: rest.rindex(")")].split(", ")):
        if part == "*":
            keyword_only = True
        else:
            s.parameters.append(_parameter(part, keyword_only))
    return s


def bits(value: float) -> int:
    return struct.unpack("<q", struct.pack("<d", float(value)))[0]


def real(pattern: int) -> float:
    return struct.unpack("<d", struct.pack("<q", pattern))[0]


def encode(signature: Signature, values) -> tuple[list, list, int]:
    """Values in the parameters' order -> (operands, integers, mask of the symbolic ones)."""
    operands: list = []
    ints: list = []
    symbolic = 0

    def push(value, is_size=False):
        nonlocal symbolic
        if is_size and len(ints) < 64:
            symbolic |= 1 << len(ints)
        ints.append(value)

    for p, value in zip(signature.parameters, values):
        if p.kind == "any":
            continue
        if p.optional:
            push(0 if value is None else 1)
            if value is None:
                continue
        if p.list and p.kind == "Tensor":
            push(len(value))
            for v in value:
                if p.optional_items:
                    push(0 if v is None else 1)
                if v is not None:
                    operands.append(v)
        elif p.list:
            value = tuple(value) if isinstance(value, (tuple, list)) else (value,)
            push(len(value))
            for v in value:
                push(v, p.kind == "size")
        elif p.takes_tensor:
            operands.append(value)
        elif p.kind == "float":
            push(bits(value))
        elif p.kind == "str":
            push(p.choices.index(value))
        elif p.kind == "dtype":
            push(value._id)
        elif p.kind == "bool":
            push(int(value))
        else:
            push(value, p.kind == "size")
    return operands, ints, symbolic


def decode(signature: Signature, operands, ints, dtypes) -> list:
    """The inverse of encode: the values that a Python function of this signature takes."""
    operands = iter(operands)
    ints = iter(ints)
    out = []
    for p in signature.parameters:
        if p.kind == "any":
            out.append(p.default)
            continue
        if p.optional and not next(ints):
            out.append(None)
            continue
        if p.list and p.kind == "Tensor":
            n = next(ints)
            if p.optional_items:
                out.append([next(operands) if next(ints) else None for _ in range(n)])
            else:
                out.append([next(operands) for _ in range(n)])
        elif p.list:
            out.append(tuple(next(ints) for _ in range(next(ints))))
        elif p.takes_tensor:
            out.append(next(operands))
        elif p.kind == "float":
            out.append(real(next(ints)))
        elif p.kind == "str":
            out.append(p.choices[next(ints)])
        elif p.kind == "dtype":
            out.append(dtypes[next(ints)])
        elif p.kind == "bool":
            out.append(bool(next(ints)))
        else:
            out.append(next(ints))
    return out
