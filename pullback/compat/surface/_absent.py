"""What the modules of absent devices share."""

from __future__ import annotations

from pullback.compat import aliases


def not_compiled(*_args, **_kwargs):
    """What every call that needs a CUDA device ends in, in torch's CPU build."""
    raise AssertionError(
        "Torch not compiled with CUDA enabled\n"
        "pullback runs on CPUs. Ask torch.cuda.is_available() first (False here), or leave the device out."
    )


def missing(module: str):
    """A module's `__getattr__`: torch's words and the way round."""

    def __getattr__(name: str):
        raise AttributeError(aliases.missing_attribute(module, name), name=name)

    return __getattr__


class Unusable:
    """A class that programs name in annotations and `isinstance`; nothing makes one."""

    def __init__(self, *_args, **_kwargs):
        module = type(self).__module__.replace("pullback.compat.surface", "torch")
        raise RuntimeError(f"{module}.{type(self).__name__} requires CUDA support\npullback runs on CPUs.")
