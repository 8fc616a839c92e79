"""Torch's words for calls that a function written in Python cannot take.

Python refuses them itself, and counts and names arguments in its own way. What is asked first (Overridable)
comes here when a call has failed; native functions have their words from native/bindings/refusal.cpp.
"""

from __future__ import annotations

import inspect
import re

from pullback import _core
from pullback.arguments import MISSING, kind_name

FUNCTION, METHOD, SHARED_METHOD = 1, 2, 3  # how a function is called; the last is also one of the package
_OF_TENSORS = frozenset(
    "input other self x y vec vec1 vec2 mat mat1 mat2 batch1 batch2 mask src boundaries index indices "
    "weight sorted_sequence tensor1 tensor2 end condition elements".split()
)
# What a function with *size finds out itself.
_OPTIONS = re.compile(
    r"got an unexpected keyword|required positional argument|"
    r"argument '(dtype|layout|device|pin_memory|requires_grad|generator)' must be"
)
_NUMBERS = dict.fromkeys("chunks start length bins steps split_size n dim source destination".split(), "int")
_NUMBERS |= dict.fromkeys("mean std lambd sigma".split(), "float")
# What comes of an argument that is no number, where the function only finds out as it uses it.
_NO_NUMBER = re.compile(
    r"Boolean value of Tensor with more than one value|could not convert string to float|"
    r"only one element tensors can be converted|not supported between instances of|can't multiply sequence|"
    r"float\(\) argument must be"
)
_POSITION = re.compile(r"(\w+)(\(\): argument '\w+' \(position )(\d+)\)")


def in_python(function):
    """Marks a function that is written in Python in torch too: Python's own words are torch's."""
    function.worded = "python"
    return function


def overloaded(function):
    """Marks a function of which torch has several signatures, and tells of them all."""
    function.worded = "overloads"
    return function


def explain(function, name, called, error, args, named):
    """The error of a call that failed, perhaps in torch's words."""
    worded = getattr(function, "worded", None)
    if worded == "python":
        return _as_of_tensor(name, called, error)
    if _NO_NUMBER.search(str(error)):
        text = _first_no_number(function, name, called, args, named)
        if text and worded == "overloads":
            text = combination(function, name, args[called != FUNCTION :], named)
        if text:
            return TypeError(text)
    if "out" in named and type(error) in (AttributeError, TypeError):
        text = _unfit_out(function, name, named["out"], error)
        if text:
            overloads = worded == "overloads"
            return TypeError(
                combination(function, name, args[called != FUNCTION :], named) if overloads else text
            )
    if isinstance(error, TypeError):
        code = _code(function)
        if code is None and str(error).startswith(f"Tensor.{name}() takes no"):
            return TypeError(str(error).replace("Tensor.", "TensorBase.", 1))
        text = code and _unfit(code, function, name, called, args, named)
        if text:
            if worded == "overloads":
                text = combination(function, name, args[called != FUNCTION :], named)
            return TypeError(text)
        if worded == "overloads" and _OPTIONS.search(str(error)):
            return TypeError(combination(function, name, args[called != FUNCTION :], named))
        place = _POSITION.match(str(error)) if called == SHARED_METHOD else None
        if place and place[1].rstrip("_") == name.rstrip("_"):
            return type(error)(f"{name}{place[2]}{int(place[3]) - 1}){str(error)[place.end() :]}")
    elif type(error) is AttributeError:
        return _no_tensor(function, name, called, args, named) or error
    return error


def _as_of_tensor(name, called, error):
    text = str(error)
    if called != FUNCTION and type(error) is TypeError and text.startswith(name + "()"):
        return TypeError("Tensor." + text)
    return error


def _code(function):
    inner = inspect.unwrap(function)
    return getattr(inner, "__code__", None)


def _parameters(code):
    """The names of what is given by position, and of what is given by name only."""
    positional = code.co_varnames[: code.co_argcount]
    return positional, code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]


def _unfit(code, function, name, called, args, named):
    """Why the arguments do not fit, from left to right as torch looks at them; None where they do."""
    inner = inspect.unwrap(function)
    positional, by_name = _parameters(code)
    own = called != FUNCTION  # the tensor that a method belongs to is not counted
    required = len(positional) - sum(d is not MISSING for d in inner.__defaults__ or ())
    takes_any = bool(code.co_flags & inspect.CO_VARARGS)
    if own and len(positional) == 1 and not by_name and not takes_any and (named or len(args) > 1):
        refused = "no keyword arguments" if named else f"no arguments ({len(args) - 1} given)"
        return f"TensorBase.{name}() takes {refused}"
    if len(args) > len(positional) and not takes_any:
        return _surplus(name, len(args) - own, required - own, len(positional) - own)
    missing = [p for p in positional[len(args) : required] if p not in named]
    before = positional.index(missing[0]) if missing else len(args)
    if (missing or _unknown(code, function, args, named)) and called == FUNCTION:
        wrong = _first_no_tensor(name, called, positional[:before], args)
        if wrong:
            return wrong
    if missing:
        names = ", ".join(f'"{p}"' for p in missing)
        plural = "s" if len(missing) == 1 else ""
        return f"{name}() missing {len(missing)} required positional argument{plural}: {names}"
    return _unknown(code, function, args, named, name)


def _unfit_out(function, name, out, error):
    """Why no result goes into `out`, where the call has failed over it."""
    if out is None or isinstance(out, _core.Tensor) or "out" not in _known(_code(function), function):
        return None
    text = str(error)
    return (
        text
        if "argument 'out' must be" in text
        else f"{name}(): argument 'out' must be Tensor, not {kind_name(out)}"
    )


def _surplus(name, given, least, most):
    were = "was" if given == 1 else "were"
    count = f"{most}" if least == most else f"from {least} to {most}"
    plural = "" if count == "1" else "s"
    return f"{name}() takes {count} positional argument{plural} but {given} {were} given"


def _known(code, function):
    """The names that a call may use: with_out() (pullback/results.py) adds one to those of the function."""
    positional, by_name = _parameters(code) if code else ((), ())
    return {*positional, *by_name} | ({"out"} if function is not inspect.unwrap(function) else set())


def _unknown(code, function, args, named, name=""):
    positional, _ = _parameters(code)
    if code.co_flags & inspect.CO_VARKEYWORDS:
        return None
    known = _known(code, function)
    for key in named:
        if key not in known:
            return f"{name}() got an unexpected keyword argument '{key}'"
        if key in positional[: len(args)]:
            return f"{name}() got multiple values for argument '{key}'"
    return None


def _first_no_tensor(name, called, positional, args):
    for k, (p, x) in enumerate(zip(positional, args, strict=False)):
        if p in _OF_TENSORS and not isinstance(x, _core.Tensor):
            where = f"(position {k + (called == FUNCTION)})"
            return f"{name}(): argument '{p}' {where} must be Tensor, not {kind_name(x)}"
    return None


def _first_no_number(function, name, called, args, named):
    code = _code(function)
    given = list(zip(_parameters(code)[0], args, strict=False)) if code else []
    for k, (p, x) in enumerate(given + list(named.items())):
        wrong = isinstance(x, (str, list, tuple, dict, type(None), _core.dtype))
        wrong = wrong or (isinstance(x, _core.Tensor) and x.numel() != 1)
        if p in _NUMBERS and (wrong or (isinstance(x, float) and _NUMBERS[p] == "int")):
            where = f" (position {k + (called == FUNCTION)})" if k < len(given) else ""
            return f"{name}(): argument '{p}'{where} must be {_NUMBERS[p]}, not {kind_name(x)}"
    return None


def _no_tensor(function, name, called, args, named):
    """A call that failed as it looked for a tensor's attributes in what is none."""
    code = _code(function)
    text = code and _first_no_tensor(name, called, _parameters(code)[0], args)
    if text and getattr(function, "worded", None) == "overloads":
        text = combination(function, name, args[called != FUNCTION :], named)
    return TypeError(text) if text else None


def combination(function, name, args, named):
    """Torch's words where none of several signatures fits, and ours for what does."""
    found = ", ".join([kind_name(x) for x in args] + [f"{k}={kind_name(named[k])}" for k in sorted(named)])
    if named and not args:
        found += ", "
    return (
        f"{name}() received an invalid combination of arguments - got ({found}), but expected one of:\n"
        f" * {inspect.signature(inspect.unwrap(function))}"
    )
