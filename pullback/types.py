"""Small types around tensors: Size, device, memory formats, layouts."""

from __future__ import annotations

import copyreg
import functools
import numbers
import re

from pullback import _core
from pullback.errors import DeviceError, OtherDeviceError

dtype = _core.dtype


def _dtype_by_name(name):
    return getattr(_core, name)


copyreg.pickle(dtype, lambda d: (_dtype_by_name, (d._name,)))


Size = _core.Size


def _size(sizes):
    return Size(sizes)


def _device_arguments(args, named):
    """What a device is made of, and its index or None; torch's TypeError for anything else."""
    if len(args) == 1 and not named and isinstance(args[0], (str, device)):
        return args[0], None
    from pullback.refusal import checked

    checked("device", args, named)
    of_all = dict(zip(("type", "index"), args, strict=False)) | named
    return of_all.get("type", of_all.get("device")), of_all.get("index")


_DEVICE_TEXT = re.compile(r"([a-zA-Z_]+)(?::([1-9]\d*|\d))?", re.ASCII)


@functools.lru_cache
def _place(text):
    """ "cuda" and "1" of "cuda:1"."""
    if not text:
        raise RuntimeError("Device string must not be empty")
    parts = _DEVICE_TEXT.fullmatch(text)
    if parts is None:
        raise RuntimeError(f"Invalid device string: '{text}'")
    name, number = parts.groups()
    if name not in device._known:
        raise RuntimeError(
            f"Expected one of {', '.join(device._known)} device type at start of device string: {name}"
        )
    return name, number


def is_index(x):
    """Whether an argument gives a device by its number: a whole number of Python or NumPy."""
    return isinstance(x, numbers.Integral) and not isinstance(x, bool)


class device:
    """Where a tensor lives: always the CPU.

    >>> import pullback as torch
    >>> torch.device("cpu")
    device(type='cpu')
    """

    __slots__ = ("index", "type")
    _known = tuple(
        "cpu cuda ipu xpu mkldnn opengl opencl ideep hip ve fpga maia xla lazy vulkan mps meta hpu mtia "
        "privateuseone".split()
    )

    def __init__(self, /, *args, **named):
        type, index = _device_arguments(args, named)
        if isinstance(type, device):
            type, index = type.type, type.index
        elif not isinstance(type, str):
            type = int(type)
            if not -(2**63) <= type < 2**63:
                raise ValueError("Overflow when unpacking long long\npullback runs on CPUs only.")
            if type < 0:
                raise RuntimeError("Device index must not be negative")
            raise RuntimeError(
                "Cannot access accelerator device when none is available.\npullback runs on CPUs only."
            )
        name, number = _place(type)
        if index is not None and index < 0:
            raise RuntimeError("Device index must not be negative")
        self.type = name
        self.index = int(number) if number else index

    def __repr__(self):
        return (
            f"device(type='{self.type}')"
            if self.index is None
            else f"device(type='{self.type}', index={self.index})"
        )

    def __str__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other):
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self):
        return hash((self.type, self.index))

    def __reduce__(self):
        return (_device, (str(self),))

    def __enter__(self):
        check_device(self)
        return self

    def __exit__(self, *exc):
        return None


def _device(text):
    return device(text)


device.__module__ = "torch"
CPU = device("cpu")


def check_device(d) -> None:
    """Raises what torch's CPU build raises for any other device."""
    if d is None or d is CPU or d == "cpu":
        return
    d = device(d)
    if d.type == "cpu":
        return
    if d.type == "cuda":
        raise DeviceError(
            "Torch not compiled with CUDA enabled\npullback runs on CPUs only: leave out the device, or use "
            "'cpu'."
        )
    if d.type in ("xpu", "mtia"):
        raise DeviceError(
            f"Torch not compiled with {d.type.upper()} enabled\npullback runs on CPUs only: use 'cpu'."
        )
    raise OtherDeviceError(
        f"PyTorch is not linked with support for {d.type} devices\npullback runs on CPUs only: use 'cpu'."
    )


class memory_format:
    """The order in which a tensor's axes lie in memory.

    Example   >>> torch.contiguous_format, torch.channels_last
              (torch.contiguous_format, torch.channels_last)
    """

    def __init__(self, name, axes=None):
        self._name = name
        self._axes = axes  # from the slowest to the fastest; None where the rank does not matter

    def __repr__(self):
        return f"torch.{self._name}"

    def __reduce__(self):
        return (_named, (self._name,))


def _named(name):
    return globals()[name]


memory_format.__module__ = "torch"
contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last", (0, 2, 3, 1))
channels_last_3d = memory_format("channels_last_3d", (0, 2, 3, 4, 1))


class layout:
    """Dense (strided) storage; the only one.

    Example   >>> torch.ones(2).layout
              torch.strided
    """

    def __init__(self, name):
        self._name = name

    def __repr__(self):
        return f"torch.{self._name}"

    def __reduce__(self):
        return (_named, (self._name,))


layout.__module__ = "torch"
strided = layout("strided")
sparse_coo = layout("sparse_coo")
