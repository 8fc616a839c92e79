"""Calling a module, and the hooks around a call.

A module without hooks goes from ``__call__``, which is native, straight to ``forward``: one flag on the
instance, one for the process. The flags only ever say "look": an empty dictionary behind them is harmless.
"""

from __future__ import annotations

import functools
import warnings
import weakref
from collections import OrderedDict

from pullback import _core
from pullback.nn.naming import part_of
from pullback.tensor import Tensor
from pullback.utils.hooks import BackwardHook, RemovableHandle

__all__ = [
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

buffer_registration_hooks = OrderedDict()
module_registration_hooks = OrderedDict()
parameter_registration_hooks = OrderedDict()
_backward_pre_hooks = OrderedDict()
_backward_hooks = OrderedDict()
_forward_pre_hooks = OrderedDict()
_forward_hooks = OrderedDict()
_forward_hooks_with_kwargs = OrderedDict()
_forward_hooks_always_called = OrderedDict()
_is_full_backward_hook = None

_MIXED = "Cannot use both regular backward hooks and full backward hooks {}. Please use only one of them."


def _add(hooks, hook, *, extra=(), prepend=False):
    """Put ``hook`` into ``hooks`` and its id into each dictionary of ``extra``."""
    handle = RemovableHandle(hooks, extra_dict=list(extra) or None)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    for flags in extra:
        flags[handle.id] = True
    return handle


def _add_global(hooks, hook, *, extra=()):
    _core.look_for_module_hooks()
    return _add(hooks, hook, extra=extra)


def run_registration_hooks(hooks, module, name, value):
    """What the registration hooks make of ``value``, which is about to become ``module.name``."""
    for hook in hooks.values():
        replaced = hook(module, name, value)
        if replaced is not None:
            value = replaced
    return value


def register_module_buffer_registration_hook(hook):
    """Call ``hook(module, name, buffer)`` whenever any module registers a buffer."""
    return _add(buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook):
    """Call ``hook(module, name, submodule)`` whenever any module registers a submodule."""
    return _add(module_registration_hooks, hook)


def register_module_parameter_registration_hook(hook):
    """Call ``hook(module, name, parameter)`` whenever any module registers a parameter."""
    return _add(parameter_registration_hooks, hook)


def register_module_forward_pre_hook(hook):
    """Call ``hook(module, args)`` before every module's forward; it may return new args."""
    return _add_global(_forward_pre_hooks, hook)


def register_module_forward_hook(hook, *, with_kwargs=False, always_call=False):
    """Call ``hook(module, args, output)`` after every module's forward; it may return a new output."""
    extra = [_forward_hooks_with_kwargs] if with_kwargs else []
    extra += [_forward_hooks_always_called] if always_call else []
    return _add_global(_forward_hooks, hook, extra=extra)


def _claim_global_kind(full):
    global _is_full_backward_hook
    if _is_full_backward_hook is (not full):
        raise RuntimeError(_MIXED.format("as a global Module hook"))
    _is_full_backward_hook = full


def register_module_backward_hook(hook):
    """The older form of :func:`register_module_full_backward_hook`, on the node that made the output."""
    _claim_global_kind(False)
    return _add_global(_backward_hooks, hook)


def register_module_full_backward_pre_hook(hook):
    """Call ``hook(module, grad_output)`` before gradients pass any module; it may replace grad_output."""
    return _add_global(_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook):
    """Call ``hook(module, grad_input, grad_output)`` when gradients have passed any module."""
    _claim_global_kind(True)
    return _add_global(_backward_hooks, hook)


class BoundHook:
    """A hook that receives the module it was registered on, held weakly so that it makes no cycle."""

    def __init__(self, hook, module=None):
        self.hook = hook
        functools.update_wrapper(self, hook)
        self.with_module = module is not None
        if self.with_module:
            self.module = weakref.ref(module)

    def __call__(self, *args, **kwargs):
        if not self.with_module:
            return self.hook(*args, **kwargs)
        module = self.module()
        if module is None:
            raise RuntimeError("You are trying to call the hook of a dead Module!")
        return self.hook(module, *args, **kwargs)

    def __getstate__(self):
        state = {"hook": self.hook, "with_module": self.with_module}
        if self.with_module:
            state["module"] = self.module()
        return state

    def __setstate__(self, state):
        self.hook = state["hook"]
        self.with_module = state["with_module"]
        if self.with_module:
            if state["module"] is None:
                raise RuntimeError("You are trying to revive the hook of a dead Module!")
            self.module = weakref.ref(state["module"])


class _Call:
    """One call of a module with hooks: what a stage hands to the next, what a failure needs to know."""

    def __init__(self, module, args, kwargs):
        self.module = module
        self.args = args
        self.kwargs = kwargs
        self.result = None
        self.called = set()

    def run(self):
        module = self.module
        pre_hooks = [*_backward_pre_hooks.values(), *module._backward_pre_hooks.values()]
        full, partial = module._get_backward_hooks()
        self.before()
        around = BackwardHook(module, full, pre_hooks) if full or pre_hooks else None
        if around is not None:
            self.args = around.setup_input_hook(self.args)
        self.result = module.forward(*self.args, **self.kwargs)
        self.after()
        if around is not None:
            if not isinstance(self.result, (Tensor, tuple)):
                warnings.warn(
                    "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors "
                    f"but received {type(self.result)}",
                    stacklevel=4,
                )
            self.result = around.setup_output_hook(self.result)
        if partial:
            self.attach_partial(partial)
        return self.result

    def before(self):
        module = self.module
        for key, hook in (*_forward_pre_hooks.items(), *module._forward_pre_hooks.items()):
            if key not in module._forward_pre_hooks_with_kwargs:
                changed = hook(module, self.args)
                if changed is not None:
                    self.args = changed if isinstance(changed, tuple) else (changed,)
                continue
            changed = hook(module, self.args, self.kwargs)
            if changed is None:
                continue
            if not (isinstance(changed, tuple) and len(changed) == 2):
                raise RuntimeError(
                    "forward pre-hook must return None or a tuple of (new_args, new_kwargs), but "
                    f"got {changed}."
                )
            self.args, self.kwargs = changed

    def after(self):
        module = self.module
        for key, hook in (*_forward_hooks.items(), *module._forward_hooks.items()):
            if key in module._forward_hooks_always_called or key in _forward_hooks_always_called:
                self.called.add(key)
            self.call_forward_hook(key, hook)

    def call_forward_hook(self, key, hook):
        module = self.module
        if key in module._forward_hooks_with_kwargs or key in _forward_hooks_with_kwargs:
            changed = hook(module, self.args, self.kwargs, self.result)
        else:
            changed = hook(module, self.args, self.result)
        if changed is not None:
            self.result = changed

    def after_failure(self):
        """Hooks with ``always_call`` that had not had their turn when forward or a hook raised."""
        own = self.module._forward_hooks
        for hooks, always, word in (
            (_forward_hooks, _forward_hooks_always_called, "global module"),
            (own, self.module._forward_hooks_always_called, "module"),
        ):
            for key, hook in hooks.items():
                if key not in always or key in self.called:
                    continue
                try:
                    self.call_forward_hook(key, hook)
                except Exception as error:
                    warnings.warn(
                        f"{word} forward hook with ``always_call=True`` raised an exception that was "
                        f"silenced as another error was raised in forward: {error}",
                        stacklevel=4,
                    )

    def attach_partial(self, hooks):
        """Hooks of the older kind sit on the node that made the first tensor of the output."""
        found = self.result
        while not isinstance(found, Tensor):
            if isinstance(found, dict):
                found = next(v for v in found.values() if isinstance(v, Tensor))
            else:
                found = found[0]
        if found.grad_fn is not None:
            for hook in hooks:
                found.grad_fn.register_hook(BoundHook(hook, self.module))


@part_of("Module")
class CallMixin:
    """The part of Module that is about being called."""

    # A module whose __init__ did not run has no flag of its own: it takes the long way, which names the lack.
    _hooked = True

    def _call_with_hooks(self, args, kwargs):
        if not (
            self._backward_hooks
            or self._backward_pre_hooks
            or self._forward_hooks
            or self._forward_pre_hooks
            or _backward_pre_hooks
            or _backward_hooks
            or _forward_hooks
            or _forward_pre_hooks
        ):
            return self.forward(*args, **kwargs)
        call = _Call(self, args, kwargs)
        try:
            return call.run()
        except Exception:
            call.after_failure()
            raise

    def forward(self, *args):
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def _get_backward_hooks(self):
        """(full hooks, hooks of the older kind), the process-wide ones first."""
        full, partial = [], []
        if _is_full_backward_hook is not None:
            (full if _is_full_backward_hook else partial).extend(_backward_hooks.values())
        if self._is_full_backward_hook is not None:
            (full if self._is_full_backward_hook else partial).extend(self._backward_hooks.values())
        return full, partial

    def _register_hook(self, hooks, hook, *, extra=(), prepend=False):
        object.__setattr__(self, "_hooked", True)
        return _add(hooks, hook, extra=extra, prepend=prepend)

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """Call ``hook(module, args)`` before forward; it may return new args.

        With ``with_kwargs`` it is ``hook(module, args, kwargs)`` and may return ``(new_args, new_kwargs)``.

        Example   >>> layer = nn.Identity()
                  >>> handle = layer.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
                  >>> layer(torch.ones(2))
                  tensor([2., 2.])
        """
        extra = [self._forward_pre_hooks_with_kwargs] if with_kwargs else []
        return self._register_hook(self._forward_pre_hooks, hook, extra=extra, prepend=prepend)

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False, always_call=False):
        """Call ``hook(module, args, output)`` after forward; it may return a new output.

        With ``with_kwargs`` it is ``hook(module, args, kwargs, output)``; with ``always_call`` it also runs
        when forward raises.

        Example   >>> layer = nn.Identity()
                  >>> handle = layer.register_forward_hook(lambda module, args, output: output * 10)
                  >>> layer(torch.ones(2))
                  tensor([10., 10.])
                  >>> handle.remove()
        """
        extra = [self._forward_hooks_with_kwargs] if with_kwargs else []
        extra += [self._forward_hooks_always_called] if always_call else []
        return self._register_hook(self._forward_hooks, hook, extra=extra, prepend=prepend)

    def register_full_backward_pre_hook(self, hook, prepend=False):
        """Call ``hook(module, grad_output)`` before gradients enter; it may return a new grad_output.

        Example   >>> layer = nn.Identity()
                  >>> handle = layer.register_full_backward_pre_hook(lambda module, grads: (grads[0] * 10,))
                  >>> x = torch.ones(2, requires_grad=True)
                  >>> layer(x).sum().backward()
                  >>> x.grad
                  tensor([10., 10.])
        """
        return self._register_hook(self._backward_pre_hooks, hook, prepend=prepend)

    def register_full_backward_hook(self, hook, prepend=False):
        """Call ``hook(module, grad_input, grad_output)`` when the gradients with respect to the inputs are
        known.

        It may return gradients to be used in place of grad_input.

        Example   >>> layer = nn.Identity()
                  >>> handle = layer.register_full_backward_hook(lambda module, gs_in, gs_out: print(gs_in))
                  >>> layer(torch.ones(2, requires_grad=True)).sum().backward()
                  (tensor([1., 1.]),)
        """
        if self._is_full_backward_hook is False:
            raise RuntimeError(_MIXED.format("on a single Module"))
        self._is_full_backward_hook = True
        return self._register_hook(self._backward_hooks, hook, prepend=prepend)

    def register_backward_hook(self, hook):
        """The older form of :meth:`register_full_backward_hook`, on the node that made the output."""
        if self._is_full_backward_hook is True:
            raise RuntimeError(_MIXED.format("on a single Module"))
        self._is_full_backward_hook = False
        return self._register_hook(self._backward_hooks, hook)


CallMixin.__call__ = _core.module_call(CallMixin)
