"""Hooks on saved values: what operations keep for their backward is handed to the user for keeping."""

from __future__ import annotations

import threading
from contextlib import contextmanager, nullcontext

from pullback import _core
from pullback.errors import InplaceError

__all__ = ["SavedTensor", "disable_saved_tensors_hooks", "save_on_cpu", "saved_tensors_hooks"]


class _Refusal(threading.local):
    text = None  # of disable_saved_tensors_hooks, where it is in force


_refusal = _Refusal()


def _check_callables(signature, hooks):
    """Torch's refusal of hooks that cannot be called."""
    if not all(callable(h) for h in hooks):
        name, _, rest = signature.partition("(")
        raise TypeError(
            f"{name}(): incompatible function arguments. The following argument types are supported:\n"
            f"    1. ({rest}arg0: collections.abc.Callable, arg1: collections.abc.Callable) -> None\n\n"
            f"Invoked with: {', '.join(map(repr, hooks))}"
        )


class saved_tensors_hooks:
    """Inside, `pack_hook` is given each value that an operation saves for its backward, and what it returns
    is kept instead; `unpack_hook` turns that back into the value whenever backward (or `grad_fn._saved_...`)
    needs it. Of nested contexts the innermost counts.

    Inputs and outputs are shown with their place in the graph. An output has it for the time of a hook
    only, so that a hook which keeps its argument makes no reference cycle. Values that pullback saves and
    torch does not are packed as well.

    Shapes    unpack_hook(pack_hook(x)) has the shape of x
    Gradient  that of the unpacked values; with create_graph they are put back in their places in the graph
    Errors    TypeError for an unpack_hook that returns no tensor, ShapeError for one of another shape,
              InplaceError where the hook kept x itself and x was changed since

    >>> import pullback as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> with torch.autograd.graph.saved_tensors_hooks(lambda t: t.tolist(), torch.tensor):
    ...     y = (x * x).sum()
    >>> y.backward()
    >>> x.grad
    tensor([2., 4.])
    """

    def __init__(self, pack_hook, unpack_hook):
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook
        self._found = []

    def __enter__(self):
        if _refusal.text is not None:
            raise RuntimeError(_refusal.text)
        pair = (self.pack_hook, self.unpack_hook)
        _check_callables("_push_saved_tensors_default_hooks(", pair)
        self._found.append(_core.swap_saved_hooks(pair))

    def __exit__(self, *exc):
        _core.swap_saved_hooks(self._found.pop())


class save_on_cpu(saved_tensors_hooks):
    """Keeps saved values in the memory of the CPU. All of pullback's are there already: only pin_memory=True,
    which asks for memory of their own, copies them.

    Errors    InplaceError where a saved value was changed since, as without the context

    >>> import pullback as torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> with torch.autograd.graph.save_on_cpu():
    ...     y = x * x
    >>> y.backward()
    >>> x.grad
    tensor(6.)
    """

    def __init__(self, pin_memory=False, device_type="cuda"):
        super().__init__(_copied if pin_memory else _detached, _itself)


def _itself(tensor):
    return tensor


def _detached(tensor):
    return tensor.detach()


def _copied(tensor):
    return tensor.detach().clone()


@contextmanager
def disable_saved_tensors_hooks(error_message):
    """Inside, entering saved_tensors_hooks raises a RuntimeError with this message.

    >>> import pullback as torch
    >>> with torch.autograd.graph.disable_saved_tensors_hooks("not here"):
    ...     torch.autograd.graph.save_on_cpu().__enter__()
    Traceback (most recent call last):
    ...
    RuntimeError: not here
    """
    if _core.saved_hooks() is not None:
        raise RuntimeError(error_message)
    found, _refusal.text = _refusal.text, error_message
    try:
        yield
    finally:
        _refusal.text = found


def changed_since(tensor, version, maker="", node=None):
    """Torch's error for a saved value that was changed in place, and the lines where that is known."""
    saved_at = 0 if node is None else _core.place_of_node(node)
    return InplaceError(
        "one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[torch.{tensor.dtype._legacy} {list(tensor.shape)}]{maker} is at version "
        f"{_core.change_count(tensor)}; expected version {version} instead. {_core.anomaly_hint()}"
        f"{_core.change_text(saved_at, _core.place_of_change(tensor))}"
    )


def maker(tensor):
    """What torch's message says of where a changed value comes from; nothing for a leaf."""
    node = tensor.grad_fn
    if node is None:
        return ""
    return f", which is output {tensor.output_nr} of {_core.short_name(node.name())},"


@contextmanager
def _placed(tensor, edge):
    """For the block, a tensor is at a place in the graph."""
    there, before = _core.function_saved(*edge, tensor), tensor.detach()
    _core.take_place(tensor, there)
    try:
        yield
    finally:
        _core.take_place(tensor, before)


class Packed:
    """A value that Python code saved, in the keeping of hooks. `output`: the place of an output, which a hook
    sees it at; if it kept that, it would hold itself."""

    __slots__ = ("_edge", "_own", "_shared", "_unpack", "_value", "_version")

    def __init__(self, tensor, hooks, edge, output=None):
        pack, self._unpack = hooks
        self._edge = edge
        with nullcontext() if output is None else _placed(tensor, output):
            self._value = value = _core.call_pack_hook(pack, tensor)
        self._own = output is not None and value is tensor
        # A hook that keeps the tensor itself: changes in place are noticed.
        self._shared = isinstance(value, _core.Tensor) and _core.storage_id(value) == _core.storage_id(tensor)
        self._version = _core.change_count(tensor)

    def restore(self, edge=None):
        """The value, at its place in the graph (or at the one given)."""
        with _placed(self._value, edge) if self._own and edge is not None else nullcontext():
            tensor = self._unpack(self._value)
        if not isinstance(tensor, _core.Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
                f"{type(tensor).__name__}"
            )
        if self._shared and _core.storage_id(tensor) == _core.storage_id(self._value):
            if _core.change_count(tensor) != self._version:
                raise changed_since(tensor, self._version)
        edge = edge or self._edge
        if edge is not None:
            return _core.function_saved(*edge, tensor)
        return tensor.detach() if tensor.requires_grad else tensor


class Kept:
    """A tensor that Python code keeps as an operation would: through the hooks, or with its version."""

    __slots__ = ("_packed", "_tensor", "_version")

    def __init__(self, tensor):
        hooks = _core.saved_hooks()
        self._packed = Packed(tensor, hooks, tensor._gradient_edge()) if hooks else None
        self._tensor, self._version = (None, 0) if hooks else (tensor, _core.change_count(tensor))

    def restore(self):
        """The tensor, checked against changes since."""
        if self._packed is not None:
            return self._packed.restore()
        if _core.change_count(self._tensor) != self._version:
            raise changed_since(self._tensor, self._version, maker(self._tensor))
        return self._tensor


_TAKEN = (
    "Calling register_hooks on a saved tensor whose hooks have already been set. Hint: only one pair of "
    "hooks is allowed at a time."
)
_FREED = (
    "Calling register_hooks on a saved tensor after it has been freed. Saved intermediate values of the "
    "graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to "
    "backward through the graph a second time or if you need to access saved variables after calling "
    "backward."
)
_NONE = "Calling register_hooks on a saved tensor with value None is forbidden"


class SavedTensor:
    """One value that a node keeps: `grad_fn._raw_saved_self`. It can be given hooks of its own.

    Errors    RuntimeError where the value has hooks, was freed, or is None

    >>> import pullback as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> y = x.exp()
    >>> y.grad_fn._raw_saved_result.register_hooks(lambda t: t.numpy().copy(), torch.from_numpy)
    >>> y.sum().backward()
    """

    def __init__(self):
        raise RuntimeError("Trying to create a SavedTensor object from Python is forbidden.")

    @classmethod
    def _of(cls, pack, unpack):
        self = object.__new__(cls)
        self._pack, self.unpack = pack, unpack
        return self

    def register_hooks(self, pack_hook, unpack_hook):
        """Hands the value to pack_hook at once, and keeps what it returns for unpack_hook."""
        _check_callables("register_hooks(self: torch._C._autograd.SavedTensor, ", (pack_hook, unpack_hook))
        outcome = self._pack(pack_hook, unpack_hook)
        if outcome != "packed":
            raise RuntimeError({"taken": _TAKEN, "freed": _FREED, "none": _NONE}[outcome])


SavedTensor.__module__ = "torch._C._autograd"


def of_node(node, place):
    """The SavedTensor of the value at `place` among those that an operation's node keeps."""
    return SavedTensor._of(
        lambda pack, unpack: node._pack_saved(place, pack, unpack), lambda: node._kept_value(place)
    )


def none():
    """The SavedTensor of a value that a node does not keep."""
    return SavedTensor._of(lambda pack, unpack: "none", lambda: None)


def of_context(ctx, place):
    """The SavedTensor of a value that a user's Function gave to save_for_backward."""

    def pack(pack_hook, unpack_hook):
        if ctx._entries is None:
            return "freed"
        entries = list(ctx._entries)
        tensor, output, _ = entries[place]
        if tensor is None:
            return "none"
        if isinstance(tensor, Packed):
            return "taken"
        edge = None if output is not None else tensor._gradient_edge()
        entries[place] = (Packed(tensor.detach(), (pack_hook, unpack_hook), edge), output, 0)
        ctx._entries = tuple(entries)
        return "packed"

    return SavedTensor._of(pack, lambda: ctx.saved_tensors[place])
