"""Every public name on the level of `torch.`, gathered from the registry and the modules that define them."""

# The order of these imports matters, and most names are imported to be found here.
# ruff: noqa: E402, F401, I001

from __future__ import annotations

import os
from importlib import import_module as _import_module, util as _import_util

from pullback import _core, errors, types
from pullback.trace import rules as _rules
from pullback import composites, conversion, creation, from_data, functions, generator as _generator
from pullback import primitives, random, random_integers as _random_integers
from pullback import tensor as _tensor_module
from pullback.numeric_limits import finfo, iinfo
from pullback.primitives.registry import public as _public
from pullback.storage import TypedStorage, UntypedStorage, is_storage
from pullback.tensor import Tensor, _disabled_torch_function_impl
from pullback.types import (
    Size,
    channels_last,
    channels_last_3d,
    contiguous_format,
    device,
    dtype,
    layout,
    memory_format,
    preserve_format,
    sparse_coo,
    strided,
)
from pullback.printing import set_printoptions

# Every module of declarations, primitives first; nobody keeps a list of them.
for _package in (primitives, composites):
    for _name in sorted({_file.partition(".")[0] for _file in os.listdir(_package.__path__[0])}):
        if not _name.startswith("_") and _name != "batch_rules":  # which declare nothing and wait for _derive
            _import_module(f"{_package.__name__}.{_name}")


def _derive(origin, kind, mask, need):
    """Called by the native side at the first use of a derived op; most programs use neither vmap nor forward
    mode, so what makes such ops is imported here."""
    from pullback.primitives import batch_rules
    from pullback.trace import derived

    return derived.derive(origin, kind, mask, need)


_core.set_op_deriver(_derive, _rules.NoBatchRule)

# Found but not imported: importing it would load a library that only the first product needs.
_blas = _import_util.find_spec("scipy_openblas64")
if _blas is not None:
    _folder = os.path.join(_blas.submodule_search_locations[0], "lib")
    for _file in sorted(os.listdir(_folder)):
        if (_file.startswith("libscipy_openblas64_") and ".so" in _file) or _file.endswith(".dylib"):
            _core.set_blas_path(os.path.join(_folder, _file))
            break

bool, uint8, int8, int16, int32, int64 = (
    _core.bool,
    _core.uint8,
    _core.int8,
    _core.int16,
    _core.int32,
    _core.int64,
)
float16, bfloat16, float32, float64 = _core.float16, _core.bfloat16, _core.float32, _core.float64
float, double, half, int, long, short = float32, float64, float16, int32, int64, int16

for _module in (creation, from_data, functions, _generator, random, _random_integers):
    for _name, _value in vars(_module).items():
        if (
            callable(_value)
            and getattr(_value, "__module__", None) == _module.__name__
            and not _name.startswith("_")
        ):
            globals()[_name] = _value
globals().update(conversion.legacy_types)
Generator, default_generator = random.Generator, random.default_generator
globals().update({n: v for n, v in _public.items() if not n.startswith("_")})
from numpy import e, inf, nan, pi


_tensor_module._install()
from pullback.autograd.anomaly_mode import is_anomaly_check_nan_enabled, is_anomaly_enabled
from pullback.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
