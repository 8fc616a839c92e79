"""What both sides of a comparison need: values carried across, tensors found in nests, a limit on time."""

from __future__ import annotations

import contextlib
import importlib
import signal

import numpy as np
import torch

SECONDS = 20  # for one case

FEW_ULPS = 8 * float(np.finfo(np.float32).eps)


class Timeout(Exception):
    """A case took too long."""


def _alarm(*_):
    raise Timeout("over time")


@contextlib.contextmanager
def limit(seconds=SECONDS):
    """Raises Timeout in the block after so many seconds."""
    before = signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def under_test(name):
    """The module to score, with the submodules that torch has, where it has them."""
    module = importlib.import_module(name)
    for sub in (
        "nn",
        "nn.functional",
        "linalg",
        "fft",
        "special",
        "autograd",
        "autograd.forward_ad",
        "func",
        "optim",
    ):
        with contextlib.suppress(ImportError):
            importlib.import_module(f"{name}.{sub}")
    return module


def attribute(module, path):
    """module.a.b.c, or None."""
    for part in path.split("."):
        module = getattr(module, part, None)
        if module is None:
            return None
    return module


class Unsupported(Exception):
    """A sample that cannot be carried across (sparse, nested)."""


class Bridge:
    """Carries values of torch to a module (torch itself included) and its results to NumPy.

    `strided` builds tensors of two and more axes over transposed storage.
    """

    def __init__(self, module, strided=False):
        self.module = module
        self.strided = strided

    def _lay_out(self, x):
        if self.strided and x.dim() > 1 and x.numel() > 1:
            x = x.transpose(0, -1).clone().contiguous().transpose(0, -1)
        return x.detach()

    def tensor(self, t):
        """A copy of a torch tensor as a leaf on this side."""
        if t.is_sparse or t.layout != torch.strided:
            raise Unsupported("a sparse tensor")
        if self.module is torch:
            return self._lay_out(t.detach().clone()).requires_grad_(t.requires_grad)
        d = t.detach().resolve_conj().resolve_neg()
        if d.dtype == torch.bfloat16:
            out = self.module.tensor(d.float().numpy().copy()).to(self.module.bfloat16)
        else:
            out = self.module.tensor(d.numpy().copy(), dtype=self.dtype(d.dtype))
        if tuple(out.shape) != tuple(t.shape):
            out = out.reshape(tuple(t.shape))
        out = self._lay_out(out)
        return out.requires_grad_(True) if t.requires_grad else out

    def dtype(self, d):
        return getattr(self.module, str(d).split(".")[1])

    def to(self, x):
        """Everything in a nest of arguments, carried to this side."""
        if isinstance(x, torch.Tensor):
            return self.tensor(x)
        if isinstance(x, (torch.dtype, torch.memory_format)):
            return getattr(self.module, str(x).split(".")[1])
        if isinstance(x, torch.Size):
            return tuple(x)
        if isinstance(x, torch.device):
            return "cpu"
        if type(x) in (list, tuple):
            return type(x)(self.to(v) for v in x)
        if isinstance(x, dict):
            return {k: self.to(v) for k, v in x.items()}
        return x

    def numpy(self, x):
        x = x.detach()
        if str(x.dtype).endswith("bfloat16"):
            x = x.to(self.module.float32)
        return x.numpy(force=True) if isinstance(x, torch.Tensor) else x.numpy()


def leaves(x, tensor_type):
    """The tensors of a nest, in order."""
    if isinstance(x, tensor_type):
        return [x]
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, (list, tuple)):
        return [found for v in x for found in leaves(v, tensor_type)]
    return []


def close(expected, got, what, rtol, atol):
    """AssertionError unless two arrays have the same shape, the same dtype and nearly the same values.

    A float32 among float64 (the weights of a covariance) is never held to less than a few of its own ulps.
    """
    if expected.shape != got.shape:
        raise AssertionError(f"{what}: shape {got.shape}, torch {expected.shape}")
    if expected.dtype != got.dtype:
        raise AssertionError(f"{what}: dtype {got.dtype}, torch {expected.dtype}")
    if expected.dtype == np.float32:
        rtol, atol = max(rtol, FEW_ULPS), max(atol, FEW_ULPS)
    if not np.allclose(expected, got, rtol=rtol, atol=atol, equal_nan=True):
        gap = np.abs(np.asarray(expected, dtype=np.complex128) - np.asarray(got, dtype=np.complex128))
        raise AssertionError(f"{what}: differs by {np.max(gap):.3g}")


def close_gradients(expected, got, torch_side, side, what, rtol, atol):
    """The same for lists of gradients, where None stands for zeros."""
    for a, b in zip(expected, got, strict=True):
        if a is not None and b is not None:
            close(torch_side.numpy(a), side.numpy(b), what, rtol, atol)
        elif (a is not None and np.any(torch_side.numpy(a))) or (b is not None and np.any(side.numpy(b))):
            raise AssertionError(f"{what}: None against a gradient")


def explain(error):
    """An exception in one line."""
    return f"{type(error).__name__}: {str(error)[:160]}"
