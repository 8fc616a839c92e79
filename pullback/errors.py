"""Every error class of pullback. Each subclasses what torch raises and begins with torch's words.

The native side throws by kind (native/core/error.h); the classes are attached to the kinds here.
"""

from __future__ import annotations

from pullback import _core


class ShapeError(RuntimeError):
    """Sizes that do not fit together.

    >>> import pullback as torch
    >>> torch.ones(2, 3) + torch.ones(4)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    pullback.errors.ShapeError: The size of tensor a (3) must match the size of tensor b (4) at ...
    """


class DtypeError(RuntimeError):
    """A mixture of types that does not work, or a result of a type that its place cannot take.

    Convert a tensor, or use the form that returns a new one. (For a single tensor of a type that the
    operation does not have, NotImplementedError is raised.)

    Example   >>> x = torch.tensor([1, 2])
              >>> x.add_(0.5)
              Traceback (most recent call last):
              ...
              pullback.errors.DtypeError: result type Float can't be cast to the desired output type Long ...
              >>> x.add(0.5)
              tensor([1.5000, 2.5000])
    """


class GradError(RuntimeError):
    """A derivative was asked for where none can be had: no graph, a freed graph, a non-scalar.

    Ask for gradients before computing; keep the graph with retain_graph=True where it is needed twice.

    Example   >>> torch.ones(2).sum().backward()
              Traceback (most recent call last):
              ...
              pullback.errors.GradError: element 0 of tensors does not require grad and does not have ...
              >>> torch.ones(2, requires_grad=True).sum().backward()
    """


class InplaceError(RuntimeError):
    """A tensor was changed in place although its old value is still needed, or must not be changed.

    Change a clone, or change it under no_grad().

    Example   >>> x = torch.ones(2, requires_grad=True)
              >>> x += 1
              Traceback (most recent call last):
              ...
              pullback.errors.InplaceError: a leaf Variable that requires grad is being used in an ...
              >>> with torch.no_grad():
              ...     x += 1
    """


class CheckpointError(RuntimeError):
    """The second run of a function under checkpoint() did not do the same as the first.

    Give the function nothing that changes between its runs.

    Example   >>> runs = []
              >>> def changing(x):
              ...     runs.append(x)
              ...     return x.exp() if len(runs) == 1 else x.exp().sin()
              >>> x = torch.ones(2, requires_grad=True)
              >>> y = torch.utils.checkpoint.checkpoint(changing, x, use_reentrant=False, early_stop=False)
              >>> y.sum().backward()
              Traceback (most recent call last):
              ...
              pullback.errors.CheckpointError: torch.utils.checkpoint: trying to save more tensors ...
              >>> torch.utils.checkpoint.checkpoint(torch.exp, x, use_reentrant=False).sum().backward()
    """


class GradcheckError(RuntimeError):
    """A derivative is not what differences of the function say; gradcheck() and gradgradcheck() raise it.

    Mend the backward; the text names the first element that differs.

    Example   >>> class Wrong(torch.autograd.Function):
              ...     @staticmethod
              ...     def forward(ctx, x):
              ...         return x * 2
              ...
              ...     @staticmethod
              ...     def backward(ctx, g):
              ...         return g * 3
              >>> x = torch.ones(2, dtype=torch.float64, requires_grad=True)
              >>> torch.autograd.gradcheck(Wrong.apply, (x,))
              Traceback (most recent call last):
              ...
              pullback.errors.GradcheckError: Jacobian mismatch for output 0 with respect to input 0, ...
              >>> torch.autograd.gradcheck(lambda x: x * 2, (x,))
              True
    """


class MemoryRefused(RuntimeError):
    """The machine has no memory of the size that was asked for.

    Ask for less, or work in parts.

    Example   >>> torch.empty(1 << 60)
              Traceback (most recent call last):
              ...
              pullback.errors.MemoryRefused: [enforce fail at alloc_cpu.cpp:127] err == 0. ...
              >>> torch.empty(1 << 10).numel()
              1024
    """


class DeviceError(AssertionError):
    """Another device than the CPU was asked for.

    Leave the device out, or ask which there are.

    Example   >>> torch.ones(2, device="cuda")
              Traceback (most recent call last):
              ...
              pullback.errors.DeviceError: Torch not compiled with CUDA enabled ...
              >>> torch.ones(2, device="cuda" if torch.cuda.is_available() else "cpu").device
              device(type='cpu')
    """


class OtherDeviceError(DeviceError, NotImplementedError):
    """The same for a device that torch's builds for a CPU only know by name.

    Example   >>> torch.ones(2, device="mps")
              Traceback (most recent call last):
              ...
              pullback.errors.OtherDeviceError: PyTorch is not linked with support for mps devices ...
              >>> torch.ones(2, device="mps" if torch.backends.mps.is_available() else "cpu").device
              device(type='cpu')
    """


class NonFiniteError(FloatingPointError):
    """Within pullback.debug.nonfinite(): an operation made a nan or an infinity.

    `op` is the operation's name (a node's, on the way back), `index` the element, `value` what it became.

    Example   >>> with torch.debug.nonfinite():
              ...     y = torch.tensor([0.0]).log()
              Traceback (most recent call last):
              ...
              pullback.errors.NonFiniteError: log made -inf at [0] of its result (shape [1]) ...
              >>> with torch.debug.nonfinite():
              ...     y = torch.tensor([0.0]).log1p()
    """

    op = index = value = None


KINDS = (
    RuntimeError,
    ValueError,
    TypeError,
    IndexError,
    NotImplementedError,
    OverflowError,
    ShapeError,
    DtypeError,
    GradError,
    InplaceError,
    MemoryRefused,
    DeviceError,
)

for _kind, _class in enumerate(KINDS):
    _core.set_error_class(_kind, _class)
