"""Calls with a factor in front, as torch before 1.5 had them: old optimizers are written that way."""

from __future__ import annotations

import warnings

from pullback.primitives.family import composite
from pullback.primitives.registry import ANY, expose, ops
from pullback.trace.tracer import functions as f

_warned = False


def _warn(old, new):
    """Once in a process, as torch does."""
    global _warned
    if not _warned:
        _warned = True
        name = old.partition("(")[0]
        warnings.warn(
            f"This overload of {name} is deprecated:\n\t{old}\n"
            f"Consider using one of the following signatures instead:\n\t{new}",
            UserWarning,
            stacklevel=2,
        )


def _old(name, factor, *tensors, dtypes):
    """Declares name(input, factor, *tensors) beside name(input, *tensors, *, factor)."""
    listed = ", ".join(f"Tensor {t}" for t in tensors)
    numbered = f"Number {factor}"

    def apply(x, value, *others):
        _warn(
            f"{name}(Tensor input, {numbered}, {listed})",
            f"{name}(Tensor input, {listed}, *, {numbered} = 1)",
        )
        return f[name](x, *others, **{factor: value})

    composite(
        f"{name}(Tensor input, {numbered}, {listed})",
        apply,
        name=f"{name}_old",
        node=f"{name.capitalize()}Backward0!",
        expose_as="-",
        dtypes=dtypes,
    )


_old("add", "alpha", "other", dtypes=ANY)
_old("sub", "alpha", "other", dtypes=ANY)
_old("addcmul", "value", "tensor1", "tensor2", dtypes=ANY)
_old("addcdiv", "value", "tensor1", "tensor2", dtypes=ops["addcdiv"].dtypes)
for _name in ("add", "sub"):
    expose(_name, ops[_name], ops[f"{_name}_scaled"], ops[f"{_name}_old"], in_place=True)
for _name in ("addcmul", "addcdiv"):
    expose(_name, ops[_name], ops[f"{_name}_old"], in_place=True)
