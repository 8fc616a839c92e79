"""Arguments and results of transformed functions, checked in torch's words."""

from __future__ import annotations

import functools

from pullback import _core


def function_name(func) -> str:
    name = getattr(func, "__name__", None)
    if name is None and isinstance(func, functools.partial):
        return f"functools.partial({function_name(func.func)}, ...)"
    return name or repr(func)


def _position(argnum, n):
    if not isinstance(argnum, int):
        raise RuntimeError(f"argnum must be int, got: {type(argnum)}")
    if not -n <= argnum < n:
        raise RuntimeError(f"Got argnum={argnum}, but only {n} positional inputs")
    return argnum % n


def check_argnums(argnums):
    if isinstance(argnums, int):
        return
    if not isinstance(argnums, tuple):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    if not argnums:
        raise RuntimeError("argnums must be non-empty")


def picked(args, argnums):
    """The argument at a position, or a tuple of those at several."""
    check_argnums(argnums)
    if isinstance(argnums, int):
        return args[_position(argnums, len(args))]
    places = tuple(_position(k, len(args)) for k in argnums)
    if len(set(places)) != len(places):
        raise RuntimeError(f"argnums elements must be unique, got {places}")
    return tuple(args[k] for k in places)


def replaced(args, argnums, new):
    """args with others in the places of `argnums`."""
    args = list(args)
    if isinstance(argnums, int):
        args[_position(argnums, len(args))] = new
        return args
    for k, value in zip(argnums, new, strict=True):
        args[_position(k, len(args))] = value
    return args


def only_tensors(leaves):
    for x in leaves:
        if not isinstance(x, _core.Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(x)}")
        if not x.dtype.is_floating_point:
            raise RuntimeError("only Tensors of floating point dtype can require gradients")


def split_aux(who, output, has_aux):
    if not has_aux:
        return output, None
    if not (isinstance(output, tuple) and len(output) == 2):
        raise RuntimeError(f"{who}: output of function f should be a tuple: (output, aux) if has_aux is True")
    return output
