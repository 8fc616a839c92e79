"""Signatures as text, read the same way as native/bindings/signature.h: one contract in two halves."""

from __future__ import annotations

import struct
from functools import cached_property

REQUIRED = object()


class Parameter:
    """What the text says of one parameter; what it does not say is as below."""

    list = optional = optional_items = variadic = False
    choices: tuple = ()
    default: object = REQUIRED

    def __init__(self, name: str, kind: str, keyword_only: bool):
        self.name = name
        self.kind = kind  # Tensor, Operand, Scalar, int, size, bool, float, dtype, str, any
        self.keyword_only = keyword_only

    @property
    def takes_tensor(self) -> bool:
        return self.kind in ("Tensor", "Operand", "Scalar")


class Signature:
    """A name and parameters. The parameters are read when first asked for: most ops of the package are never
    traced in a process."""

    def __init__(self, text: str):
        self.text = text
        self.name = text.partition("(")[0]

    @cached_property
    def parameters(self) -> list[Parameter]:
        _, _, rest = self.text.partition("(")
        out: list[Parameter] = []
        keyword_only = False
        for part in filter(None, rest[: rest.rindex(")")].split(", ")):
            if part == "*":
                keyword_only = True
            else:
                out.append(_parameter(part, keyword_only))
        return out


def _default(text: str):
    special = {"None": None, "True": True, "False": False, "[]": ()}
    if text in special:
        return special[text]
    if text.startswith("'"):
        return text[1:-1]
    return float(text) if "." in text or "e" in text else int(text)


def _parameter(text: str, keyword_only: bool) -> Parameter:
    kind, _, rest = text.partition(" ")
    p = Parameter(rest, kind, keyword_only)
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
