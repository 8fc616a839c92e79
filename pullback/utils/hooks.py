"""Handles that remove a hook, and the wiring of a module's full backward hooks."""

from __future__ import annotations

import itertools
import warnings
import weakref
from collections import OrderedDict

__all__ = ["RemovableHandle", "BackwardHook", "unserializable_hook", "warn_if_has_hooks"]

_ids = itertools.count()


class RemovableHandle:
    """What ``register_*_hook`` returns: ``remove()`` takes the hook out again; also a context manager.

    Only a weak reference to the dictionary is kept, so a forgotten handle keeps no module alive.
    """

    def __init__(self, hooks_dict, *, extra_dict=None):
        self.id = next(_ids)
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        if extra_dict is None:
            extra = ()
        elif isinstance(extra_dict, list):
            extra = tuple(extra_dict)
        else:
            extra = (extra_dict,)
        self.extra_dict_ref = tuple(weakref.ref(d) for d in extra)

    def remove(self):
        """Remove the hook; doing it twice is harmless."""
        for ref in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = ref()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self):
        state = (self.hooks_dict_ref(), self.id)
        if self.extra_dict_ref:
            state += (tuple(ref() for ref in self.extra_dict_ref),)
        return state

    def __setstate__(self, state):
        global _ids
        # A dictionary that died before pickling is replaced by an empty one, so remove() still works.
        hooks, self.id = state[0], state[1]
        self.hooks_dict_ref = weakref.ref(hooks if hooks is not None else OrderedDict())
        extra = state[2] if len(state) > 2 else ()
        self.extra_dict_ref = tuple(weakref.ref(d if d is not None else OrderedDict()) for d in extra)
        # Ids given out from now on must not collide with the one that was just read.
        _ids = itertools.count(max(next(_ids), self.id + 1))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.remove()


def unserializable_hook(function):
    """Mark a tensor hook as one that is knowingly left out when the tensor is pickled."""
    function.__torch_unserializable__ = True
    return function


def warn_if_has_hooks(tensor):
    """Warn about the backward hooks of ``tensor`` that a pickle will not hold."""
    for hook in (getattr(tensor, "_backward_hooks", None) or {}).values():
        if not hasattr(hook, "__torch_unserializable__"):
            warnings.warn(
                f"backward hook {hook!r} on tensor will not be serialized.  If this is expected, you can "
                "decorate the function with @torch.utils.hooks.unserializable_hook to suppress this "
                "warning",
                stacklevel=2,
            )


_identity = None


def _identity_function():
    """One autograd node through which all inputs (or all outputs) of a module pass unchanged."""
    global _identity
    if _identity is None:
        from pullback import autograd

        class BackwardHookFunction(autograd.Function):
            @staticmethod
            def forward(ctx, *tensors):
                ctx.mark_non_differentiable(*[t for t in tensors if not t.requires_grad])
                return tensors

            @staticmethod
            def backward(ctx, *grads):
                return grads

        _identity = BackwardHookFunction
    return _identity


def _as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


class BackwardHook:
    """Runs a module's backward hooks once for each call of the module.

    The tensors that go in and come out pass through identity nodes; hooks on these two nodes see the gradient
    with respect to all outputs and with respect to all inputs. Arguments that are not tensors count as None.
    """

    def __init__(self, module, user_hooks, user_pre_hooks):
        self.module = module
        self.user_hooks = user_hooks
        self.user_pre_hooks = user_pre_hooks
        self.grad_outputs = None
        self.input_index = None
        self.input_count = -1
        self.output_index = None
        self.output_count = -1

    def setup_input_hook(self, args):
        """``args`` with its tensors led through the node whose gradient is the module's grad_input."""
        result, index = self._through_node(args, lambda node: node.register_hook(self._on_input))
        self.input_count = len(args)
        self.input_index = index
        return result

    def setup_output_hook(self, output):
        """``output`` led through the node whose incoming gradient is the module's grad_output."""
        is_tuple = isinstance(output, tuple)
        items = output if is_tuple else (output,)
        result, self.output_index = self._through_node(
            items, lambda node: node.register_hook(self._on_output)
        )
        self.output_count = len(items)
        return result if is_tuple else result[0]

    def _through_node(self, args, register):
        from pullback import autograd
        from pullback.tensor import Tensor

        index = [i for i, arg in enumerate(args) if isinstance(arg, Tensor)]
        if not (autograd.is_grad_enabled() and any(args[i].requires_grad for i in index)):
            return args, None
        passed = _identity_function().apply(*[args[i] for i in index])
        if not index:
            raise RuntimeError("Cannot set Module backward hook for a Module with no input Tensors.")
        node = next(t.grad_fn for t in passed if t.grad_fn is not None)
        register(node)
        result = list(args)
        for i, tensor in zip(index, passed, strict=True):
            result[i] = tensor
        return type(args)(*result) if hasattr(args, "_fields") else tuple(result), index

    @staticmethod
    def _spread(index, values, count):
        full = [None] * count
        for i, value in zip(index, values, strict=True):
            full[i] = value
        return tuple(full)

    def _on_output(self, _, grad_output):
        full = self._spread(self.output_index, grad_output, self.output_count)
        for hook in self.user_pre_hooks:
            result = hook(self.module, full)
            if result is None:
                continue
            result = _as_tuple(result)
            if len(result) != len(full):
                raise RuntimeError(
                    "Backward pre hook returned an invalid number of grad_output, "
                    f"got {len(result)}, but expected {len(full)}"
                )
            full = result
        self.grad_outputs = full
        if self.input_index is None:
            self._without_inputs(full)
            self.grad_outputs = None
        return tuple(full[i] for i in self.output_index)

    def _without_inputs(self, full):
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to module outputs "
            "since no inputs require gradients. See "
            "https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html"
            "#torch.nn.Module.register_full_backward_hook for more details.",
            stacklevel=5,
        )
        empty = self._spread([], [], self.input_count)
        for hook in self.user_hooks:
            result = hook(self.module, empty, full)
            if result is not None and not (isinstance(result, tuple) and all(r is None for r in result)):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always "
                    "return None or None for all gradients."
                )

    def _on_input(self, grad_input, _):
        # A second backward, or torch.grad with respect to inputs only, may arrive without the outputs' turn.
        if self.grad_outputs is None:
            return None
        full = self._spread(self.input_index, grad_input, self.input_count)
        for hook in self.user_hooks:
            result = hook(self.module, full, self.grad_outputs)
            if result is None:
                continue
            result = _as_tuple(result)
            if len(result) != len(full):
                raise RuntimeError(
                    "Backward hook returned an invalid number of grad_input, "
                    f"got {len(result)}, but expected {len(full)}"
                )
            full = result
        self.grad_outputs = None
        return tuple(full[i] for i in self.input_index)
