"""The errors of calls that fail, in torch's words.

Python and the native half refuse arguments in ways of their own. Once a call of a public function has failed,
its arguments are judged by the signatures that torch has for it (pullback/signatures.py). Where they do not
fit, the error says so as torch does; where they do, the error stays what it was.
"""

from __future__ import annotations

import functools
import inspect

from pullback import signatures
from pullback.arguments import kind_name
from pullback.overrides import FUNCTIONAL, METHOD
from pullback.signatures import Misfit, Signature


def explain(function, name, called, error, args, named):
    """The error of a call that failed, perhaps in torch's words. Asked by native/bindings/override.cpp."""
    method = called == METHOD
    key = f"functional.{name}" if called == FUNCTIONAL else _key(function, name, method)
    known = signatures.of(key)
    if known is not None and method and not signatures.is_tensor(args[0]):
        owner = "for 'torch._C.TensorBase' objects doesn't apply to a"
        return TypeError(f"descriptor '{name}' {owner} '{kind_name(args[0])}' object")
    if known is None:
        return _as_of_tensor(name, error) if method else error
    return _judged(key, known, args[method:], named, error)


def of_op(function, args, named, error):
    """What a native function gives that has no overload for its arguments, or failed over them (`error`): an
    error, as a rule."""
    method = function.function is not function
    name = function.__name__
    key = f"Tensor.{name}" if method or (function.in_place and not signatures.of(name)) else name
    if name.startswith("_") and signatures.of(name[1:]):  # what the function of that name has made ready
        key = name[1:]
    own = [Signature(text) for text, _ in function.overloads]
    known = signatures.of(key)
    if known is None:
        known = [s.renamed(name, skip=method) for s in own]
    given = args[key.startswith("Tensor.") or method :]
    found = _judged(key, known, given, named, error)
    if found is not None:
        raise found
    if own[0].parameters and own[0].parameters[0].type == "TensorList" and given and not given[0]:
        raise ValueError(f"torch.{own[0].name}(): expected a non-empty list of Tensors")
    numbers = _numbers_as_tensors(known, function, args, named)
    if numbers is not None:
        return numbers
    raise TypeError(
        f"{name}() received an invalid combination of arguments - got ({', '.join(map(kind_name, given))})\n"
        "These are not supported here: there are no complex numbers and no named axes."
    )


def _numbers_as_tensors(known, function, args, named):
    """A call with numbers in the place of tensors, where torch takes these; None where none is such."""
    if not known[0].takes_numbers or any(isinstance(x, complex) for x in (*args, *named.values())):
        return None
    from pullback.from_data import tensor

    named = dict(named)
    numbers = [
        key for key in ("out", "other") if named.get(key) is not None and not signatures.is_tensor(named[key])
    ]
    for key in numbers:
        named[key] = tensor(named[key])
    if args and not signatures.is_tensor(args[0]):
        args = (tensor(args[0]), *args[1:])
    elif len(args) > 1 and isinstance(args[-1], (int, float)) and not numbers:
        args = (*args[:-1], tensor(args[-1]))
    elif not numbers:
        return None
    return function(*args, **named)


def _judged(key, known, args, named, error):
    """The error that torch would raise; `error` where it has nothing against the arguments."""
    if signatures.takes_nothing(key) and (args or named):
        refused = "no keyword arguments" if named else f"no arguments ({len(args)} given)"
        return _unless_said(error, TypeError, f"TensorBase.{key.removeprefix('Tensor.')}() takes {refused}")
    try:
        signatures.judge(known, args, named)
    except Misfit as misfit:
        return _unless_said(error, misfit.kind, str(misfit))
    return error


def _unless_said(error, kind, text):
    """An error; the one that was raised if it says the same, as it may go on with what to do."""
    same = isinstance(error, kind) and str(error).partition("\n")[0] == text.partition("\n")[0]
    return error if same else kind(text)


def _as_of_tensor(name, error):
    """Python's words for a method that is written in Python in torch too."""
    text = str(error)
    says = tuple(f"{name}() {verb} " for verb in ("got", "takes", "missing"))
    if type(error) is TypeError and text.startswith(says):
        return TypeError("Tensor." + text)
    return error


@functools.cache
def _in_linalg():
    import pullback
    from pullback import linalg

    def functions(space):
        return {
            id(inspect.unwrap(f)) for n, f in vars(space).items() if not n.startswith("_") and callable(f)
        }

    return functions(linalg) - functions(pullback)


def _key(function, name, method):
    if method:
        return f"Tensor.{name}"
    return f"linalg_{name}" if id(inspect.unwrap(function)) in _in_linalg() else name


def checked(key, args, named):
    """Raises torch's error for arguments that do not fit the signatures of a function of torch's."""
    error = _judged(key, signatures.of(key), args, named, None)
    if error is not None:
        raise error


def combination(name, args, named):
    """Torch's words for arguments that fit none of the signatures of a function."""
    return signatures.combination(signatures.of(name), args, named)
