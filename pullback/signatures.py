"""How torch takes a call's arguments, and what it says where they do not fit.

signatures.txt holds the signatures of the functions and methods that are native in torch, a line each, in the
order in which it tries them; a name alone stands for a method without arguments, `functional.x=y` for what
torch.nn.functional offers as x. A call that has failed is judged by them (pullback/refusal.py): nothing here
runs while calls succeed.
"""

from __future__ import annotations

import copy
import functools
import re
from pathlib import Path

import numpy as np

from pullback import _core
from pullback.arguments import kind_name
from pullback.types import device, layout, memory_format

# Those that take a number where a tensor is asked for.
_TAKE_NUMBERS = frozenset(
    f"{name}{end}"
    for name in "add sub mul div divide multiply subtract true_divide floor_divide".split()
    for end in ("", "_")
) | {"copy_"}
_NUMPY_NAMES = {"dim": ("axis",), "keepdim": ("keepdims",), "input": ("x", "a", "x1"), "other": ("x2",)}
_INT64 = range(-(1 << 63), 1 << 63)
_OVERFLOW = "Overflow when unpacking long long"


# ---- what fits a type ----


def is_tensor(x):
    """Whether it is a tensor or stands for one: in a trace, or by __torch_function__."""
    if isinstance(x, type):
        return False
    return isinstance(x, _core.Tensor) or hasattr(type(x), "__torch_function__") or hasattr(x, "unsqueeze")


def _zero_dim(x, integral):
    if not isinstance(x, _core.Tensor) or x.dim() != 0 or x.requires_grad:
        return False
    return not integral or not (x.dtype.is_floating_point or x.dtype == _core.bool)


def _is_long(x):
    return (isinstance(x, int) and not isinstance(x, bool)) or isinstance(x, np.integer)


def is_index(x):
    """What may be one of several sizes."""
    if isinstance(x, (bool, np.bool_)):
        return False
    if isinstance(x, _core.Tensor):
        return x.numel() == 1 and not x.dtype.is_floating_point
    if _is_long(x):
        return True
    try:
        x.__index__()
    except (AttributeError, TypeError):
        return False
    return True


def _is_double(x):
    return isinstance(x, (float, int, np.floating, np.integer)) or _zero_dim(x, False)


def _is_scalar(x):
    return isinstance(x, (complex, np.number, np.bool_)) or _is_double(x)


def _is_dtype(x):
    return isinstance(x, _core.dtype) or any(x is kind for kind in (float, int, bool, complex))


def _is_device(x):
    return _is_long(x) or isinstance(x, (str, device))


def _is_generator(x):
    from pullback.random import Generator

    return isinstance(x, Generator)


def _is_storage(x):
    from pullback.storage import is_storage

    return is_storage(x)


def _is_list(of):
    return lambda x: isinstance(x, (tuple, list)) and (not x or of(x[0]))


# Torch's type -> its name in errors, and what fits it.
_TYPES = {
    "Tensor": ("Tensor", is_tensor),
    "TensorList": ("tuple of Tensors", lambda x: isinstance(x, (tuple, list))),
    "Scalar": ("Number", _is_scalar),
    "int64_t": ("int", lambda x: _is_long(x) or _zero_dim(x, True)),
    "SymInt": ("int", is_index),
    "double": ("float", _is_double),
    "bool": ("bool", lambda x: isinstance(x, bool)),
    "ScalarType": ("torch.dtype", _is_dtype),
    "Layout": ("torch.layout", lambda x: isinstance(x, layout)),
    "Device": ("torch.device", _is_device),
    "MemoryFormat": ("torch.memory_format", lambda x: isinstance(x, memory_format)),
    "Generator": ("torch.Generator", _is_generator),
    "Storage": ("torch.Storage", _is_storage),
    "std::string_view": ("str", lambda x: isinstance(x, str)),
    "c10::string_view": ("str", lambda x: isinstance(x, str)),
    "IntArrayRef": ("tuple of ints", _is_list(is_index)),
    "SymIntArrayRef": ("tuple of ints", _is_list(is_index)),
    "ArrayRef<double>": ("tuple of floats", _is_list(_is_double)),
    "ArrayRef<Scalar>": ("tuple of Scalars", _is_list(_is_scalar)),
    "PyObject*": ("object", lambda x: True),
    "DimnameList": ("tuple of names", lambda x: isinstance(x, (tuple, list))),
    "c10::List<::std::optional<Tensor>>": ("tuple of Tensors", lambda x: isinstance(x, (tuple, list))),
}
# The types of our own declarations, for functions that torch does not have.
_OURS = {
    "int": "int64_t",
    "size": "SymInt",
    "float": "double",
    "dtype": "ScalarType",
    "str": "std::string_view",
}
_OURS |= {"int[]": "IntArrayRef", "size[]": "SymIntArrayRef", "Tensor[]": "TensorList", "any": "PyObject*"}
_OURS |= {"Tensor?[]": "TensorList", "Number": "Scalar", "size...": "SymIntArrayRef", "int...": "IntArrayRef"}


class Misfit(Exception):
    """Why a call does not fit a signature: the words, and the class of the error."""

    def __init__(self, text, kind=TypeError):
        super().__init__(text)
        self.kind = kind


class Parameter:
    """One parameter: `SymIntArrayRef[1]? dim=None`."""

    def __init__(self, text, keyword_only, takes_numbers):
        declared, _, name = text.partition("=")[0].rpartition(" ")
        self.fallback = text.partition("=")[2] or None
        self.name, self.keyword_only = name, keyword_only
        self.allows_none = declared.endswith("?") or self.fallback in ("None", "none")
        declared = _OURS.get(declared.rstrip("?"), declared.rstrip("?"))
        sized = re.fullmatch(r"(\w+)\[(\d+)\]", declared)
        self.type = _OURS.get(declared, sized[1] if sized else declared)
        self.is_sizes = self.type.endswith("IntArrayRef")
        self.one_will_do = self.is_sizes and bool(sized)
        self.shown, self._check = _TYPES.get(self.type, _TYPES["PyObject*"])
        self.takes_numbers = takes_numbers and self.type == "Tensor"

    def fits(self, x, at):
        """Whether a value fits; a list of tensors that holds something else is refused at once."""
        if self.shown == "tuple of Tensors" and isinstance(x, (tuple, list)):
            for k, item in enumerate(x):
                if not is_tensor(item):
                    wrong = f"expected Tensor as element {k} in argument {at}, but got {kind_name(item)}"
                    raise Misfit(wrong)
        if self.one_will_do and is_index(x):
            return True
        return self._check(x) or (self.takes_numbers and _is_scalar(x))

    def __str__(self):
        text = f"{self.shown} {self.name}"
        return text if self.fallback is None else f"{text} = {self.fallback}"


class Signature:
    """One signature, and whether a call fits it."""

    def __init__(self, text):
        text, _, mark = text.partition("|")
        self.name, _, rest = text.rstrip(")").partition("(")
        self.hidden = bool(mark)
        self.parameters = []
        keyword_only = False
        for part in filter(None, rest.split(", ")):
            if part == "*":
                keyword_only = True
            else:
                self.parameters.append(Parameter(part, keyword_only, self.name in _TAKE_NUMBERS))
        self.takes_numbers = self.name in _TAKE_NUMBERS
        self._count()

    def renamed(self, name, skip):
        """The same under another name, without its first parameters."""
        other = copy.copy(self)
        other.name, other.parameters = name, self.parameters[skip:]
        other._count()
        return other

    def _count(self):
        self.least = sum(p.fallback is None for p in self.parameters)
        self.most_by_position = sum(not p.keyword_only for p in self.parameters)

    def __str__(self):
        shown, keyword_only = [], False
        for p in self.parameters:
            if p.keyword_only and not keyword_only:
                shown.append("*")
            keyword_only = p.keyword_only
            shown.append(str(p))
        return f"({', '.join(shown)})"

    def match(self, args, named):
        """The values by parameter (None: not given). Misfit with torch's words where they do not fit."""
        one_by_one = self.most_by_position == 1 and self.parameters[0].is_sizes
        one_by_one = one_by_one and bool(args) and is_index(args[0])
        if len(args) > self.most_by_position and not one_by_one:
            raise Misfit(self._surplus(len(args)))
        values, at, left = [], 0, len(named)
        for k, p in enumerate(self.parameters):
            by_name = at >= len(args)
            if not by_name and p.keyword_only:
                raise Misfit(self._surplus(len(args)))
            x = self._named(p, named) if by_name else args[at]
            given = x is not _ABSENT
            if (not given and p.fallback is not None) or (x is None and p.allows_none):
                values.append(None)
            elif not given:
                raise Misfit(self._missing(k))
            elif p.fits(x, k):
                values.append(x)
            elif one_by_one and at == 0 and not by_name:
                values.append(args)
                at = len(args)
                continue
            else:
                raise Misfit(self._wrong(p, x, None if by_name else at))
            at += not by_name
            left -= by_name and given
        if left > 0:
            raise Misfit(self._unknown(named, len(args)))
        return values

    def unpack(self, values):
        """Looks whether integers can be taken out of values that fit."""
        for p, x in zip(self.parameters, values, strict=True):
            if x is None:
                continue
            if p.type in ("int64_t", "SymInt", "Device") and _is_long(x) and int(x) not in _INT64:
                raise Misfit(_OVERFLOW, ValueError)
            if p.is_sizes:
                self._unpack_sizes(p, x)

    def _unpack_sizes(self, p, sizes):
        if not isinstance(sizes, (tuple, list)):
            if _is_long(sizes) and int(sizes) not in _INT64:
                raise Misfit(_OVERFLOW, ValueError)
            return
        for k, x in enumerate(sizes):
            if hasattr(x, "unsqueeze") and not isinstance(x, _core.Tensor):
                continue  # in a trace
            wrong = "" if is_index(x) else f"type must be {p.shown},but got {kind_name(x)}"
            if not wrong and _is_long(x) and int(x) not in _INT64:
                wrong = _OVERFLOW
            if wrong:
                end = "\n" if wrong is _OVERFLOW else '"'
                raise Misfit(
                    f"{self.name}(): argument '{p.name}' failed to unpack the object at pos {k + 1} with "
                    f'error "{wrong}{end}'
                )

    def _named(self, p, named):
        for name in (p.name, *_NUMPY_NAMES.get(p.name, ())):
            if name in named:
                return named[name]
        return _ABSENT

    def _surplus(self, given):
        most = self.most_by_position
        if self.least != most:
            return (
                f"{self.name}() takes from {self.least} to {most} positional arguments but {given} were given"
            )
        plural, were = "" if most == 1 else "s", "was" if given == 1 else "were"
        return f"{self.name}() takes {most} positional argument{plural} but {given} {were} given"

    def _missing(self, first):
        names = [f'"{p.name}"' for p in self.parameters[first:] if p.fallback is None]
        plural = "s" if len(names) == 1 else ""
        return f"{self.name}() missing {len(names)} required positional argument{plural}: {', '.join(names)}"

    def _wrong(self, p, x, at):
        text = f"{self.name}(): argument '{p.name}' "
        if at is not None:
            text += f"(position {at + 1}) "
        text += f"must be {p.shown}, "
        if at is not None and p.is_sizes and isinstance(x, (tuple, list)):
            return text + f"but found element of type {kind_name(x[0])} at pos 0"
        return text + f"not {kind_name(x)}"

    def _unknown(self, named, given):
        names = [p.name for p in self.parameters]
        for key in named:
            if key not in names:
                return f"{self.name}() got an unexpected keyword argument '{key}'"
            if names.index(key) < given:
                return f"{self.name}() got multiple values for argument '{key}'"
        return "invalid keyword arguments"


_ABSENT = object()


# ---- a function's signatures ----


@functools.cache
def _lines():
    text = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8")
    table = {}
    for line in text.splitlines():
        table.setdefault(re.split("[(=]", line, maxsplit=1)[0], []).append(line)
    return table


@functools.cache
def of(key):
    """The signatures of `add` or `Tensor.add`; None where torch has no native function of that name."""
    lines = _lines().get(key)
    alias = lines and key.startswith("functional.")
    if alias:
        return of(lines[0].partition("=")[2])
    return lines and [Signature(s.removeprefix("Tensor.").removeprefix("_VF.")) for s in lines]


def takes_nothing(key):
    """Whether it is a method without arguments."""
    return _lines().get(key) == [key]


def judge(signatures, args, named):
    """Misfit where no signature takes the arguments."""
    if len(signatures) == 1:
        return signatures[0].unpack(signatures[0].match(args, named))
    for s in signatures:
        try:
            values = s.match(args, named)
        except Misfit as misfit:
            if str(misfit).startswith("expected Tensor as element"):
                raise
            continue
        return s.unpack(values)
    count = len(args) + len(named)
    likely = [s for s in signatures if s.least <= count <= len(s.parameters) and not s.hidden]
    if len(likely) == 1:
        likely[0].match(args, named)
    raise Misfit(combination(signatures, args, named))


def combination(signatures, args, named):
    """Torch's words where none of several signatures fits."""
    name = signatures[0].name
    options = [s for s in signatures if not s.hidden]
    named = {key: named[key] for key in _core.hashed_order(list(named))}
    head = f"{name}() received an invalid combination of arguments - got "
    if len(options) == 1 and named:
        unmatched = _unmatched(options[0], named)
        if unmatched:
            return f"{head}unrecognized keyword arguments: {', '.join(unmatched)}"
    found = ", ".join(map(kind_name, args))
    for key, x in named.items():
        found += f", {key}={kind_name(x)}" if args else f"{key}={kind_name(x)}, "
    if len(options) == 1:
        return f"{head}({found}), but expected {options[0]}"
    return f"{head}({found}), but expected one of:\n" + "".join(f" * {s}\n" for s in options)


def _unmatched(option, named):
    """The keywords that torch does not find at the end of a signature as it is printed."""
    printed = str(option)[1:-1].split(", ")
    start = max(len(printed) - len(named), 0)
    names = [part.rpartition(" ")[2] for part in printed[start:]]
    return [key for key in named if key not in names]
