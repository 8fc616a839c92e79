"""Reading a module's parameters and buffers out as a dictionary, and back in."""

from __future__ import annotations

import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Mapping

from pullback import _api as torch
from pullback.nn.module_hooks import BoundHook
from pullback.nn.naming import part_of
from pullback.nn.parameter import Parameter
from pullback.tensor import Tensor
from pullback.utils.hooks import RemovableHandle

_EXTRA_STATE = "_extra_state"

_NEVER_CALLED = (
    "Reached a code path in Module.{}() that should never be called. Please file an issue at "
    "https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml to report this bug."
)


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What ``load_state_dict`` returns: the keys that found no place, and the places that found no key."""

    __slots__ = ()

    def __repr__(self):
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


class _Report:
    """What a load has found wrong so far; the lists are handed to hooks, which may change them."""

    def __init__(self):
        self.missing = []
        self.unexpected = []
        self.errors = []


@part_of("Module")
class StateMixin:
    """The part of Module that is about its state dictionary."""

    def get_extra_state(self):
        """State beyond parameters and buffers; whoever defines it also defines ``set_extra_state``."""
        raise RuntimeError(_NEVER_CALLED.format("get_extra_state"))

    def set_extra_state(self, state):
        """Take back what ``get_extra_state`` gave."""
        raise RuntimeError(_NEVER_CALLED.format("set_extra_state"))

    def _state_members(self):
        """(name, tensor) of what a state dictionary holds of this module itself."""
        yield from ((name, p) for name, p in self._parameters.items() if p is not None)
        skipped = self._non_persistent_buffers_set
        yield from ((name, b) for name, b in self._buffers.items() if b is not None and name not in skipped)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        for name, tensor in self._state_members():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if type(self).get_extra_state is not StateMixin.get_extra_state:
            destination[prefix + _EXTRA_STATE] = self.get_extra_state()

    def state_dict(self, *args, destination=None, prefix="", keep_vars=False):
        """An ordered dictionary of all parameters and persistent buffers; its tensors share the module's
        memory.

        Example   >>> list(nn.Linear(2, 3).state_dict())
                  ['weight', 'bias']
        """
        if args:
            warnings.warn(
                "Positional args are being deprecated, use kwargs instead. Refer to "
                "https://pytorch.org/docs/main/generated/torch.nn.Module.html#torch.nn.Module.state_dict"
                " for details.",
                FutureWarning,
                stacklevel=2,
            )
            destination = args[0] if destination is None else destination
            prefix = args[1] if len(args) > 1 and prefix == "" else prefix
            keep_vars = args[2] if len(args) > 2 and keep_vars is False else keep_vars
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, child in self._modules.items():
            if child is not None:
                child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._state_dict_hooks.values():
            result = hook(self, destination, prefix, metadata)
            if result is None:
                continue
            if getattr(hook, "_from_public_api", False):
                raise RuntimeError("state_dict post-hook must return None")
            destination = result
        return destination

    def load_state_dict(self, state_dict, strict=True, assign=False):
        """Copy ``state_dict`` into this module and its descendants; with ``assign`` take its tensors as they
        are.

        With ``strict`` every key must match. Returns the missing and the unexpected keys.

        Errors    RuntimeError for other keys (with strict) or shapes
        Example   >>> a, b = nn.Linear(2, 3), nn.Linear(2, 3)
                  >>> b.load_state_dict(a.state_dict())
                  <All keys matched successfully>
                  >>> torch.equal(a.weight, b.weight)
                  True
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        metadata = getattr(state_dict, "_metadata", None)
        # Hooks may edit the dictionary; the caller's stays as it is.
        state = OrderedDict(state_dict)
        if metadata is not None:
            state._metadata = metadata
        report = _Report()
        self._load_tree(state, "", metadata, assign, report)
        errors = report.errors
        if strict:
            for kind, keys in (("Missing", report.missing), ("Unexpected", report.unexpected)):
                if keys:
                    listed = ", ".join(f'"{key}"' for key in keys)
                    at = 0 if kind == "Missing" or not report.missing else 1
                    errors.insert(at, f"{kind} key(s) in state_dict: {listed}. ")
        if errors:
            raise RuntimeError(
                "Error(s) in loading state_dict for {}:\n\t{}".format(
                    type(self).__name__, "\n\t".join(errors)
                )
            )
        return _IncompatibleKeys(report.missing, report.unexpected)

    def _load_tree(self, state, prefix, metadata, assign, report):
        own = {} if metadata is None else metadata.get(prefix[:-1], {})
        if assign:
            own["assign_to_params_buffers"] = assign
        self._load_from_state_dict(state, prefix, own, True, report.missing, report.unexpected, report.errors)
        for name, child in self._modules.items():
            if child is not None:
                start = f"{prefix}{name}."
                part = {key: value for key, value in state.items() if key.startswith(start)}
                child._load_tree(part, start, metadata, assign, report)
        keys = _IncompatibleKeys(report.missing, report.unexpected)
        for hook in self._load_state_dict_post_hooks.values():
            if hook(self, keys) is not None:
                raise AssertionError(
                    "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to "
                    "return new values, if incompatible_keys need to be modified, it should be done "
                    "inplace."
                )

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        for hook in self._load_state_dict_pre_hooks.values():
            hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        assign = local_metadata.get("assign_to_params_buffers", False)
        members = dict(self._state_members())
        for name, tensor in members.items():
            key = prefix + name
            if key in state_dict:
                self._load_tensor(name, tensor, key, state_dict[key], assign, error_msgs)
            elif strict:
                missing_keys.append(key)
        extra = prefix + _EXTRA_STATE
        if type(self).set_extra_state is not StateMixin.set_extra_state:
            if extra in state_dict:
                self.set_extra_state(state_dict[extra])
            elif strict:
                missing_keys.append(extra)
        elif strict and extra in state_dict:
            unexpected_keys.append(extra)
        if strict:
            for key in state_dict:
                if not key.startswith(prefix) or key == extra:
                    continue
                first, dot, _ = key[len(prefix) :].partition(".")
                if first not in (self._modules if dot else members):
                    unexpected_keys.append(key)

    def _load_tensor(self, name, tensor, key, value, assign, errors):
        if not isinstance(value, Tensor) and not hasattr(type(value), "__torch_function__"):
            errors.append(
                f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object '
                f"from checkpoint but received {type(value)}"
            )
            return
        # Old checkpoints hold single numbers as one-element vectors.
        if len(tensor.shape) == 0 and tuple(value.shape) == (1,):
            value = value[0]
        if value.shape != tensor.shape:
            errors.append(
                f"size mismatch for {key}: copying a param with shape {value.shape} from checkpoint, "
                f"the shape in current model is {tensor.shape}."
            )
            return
        try:
            with torch.no_grad():
                if assign:
                    self._assign_tensor(name, tensor, value)
                else:
                    tensor.copy_(value)
        except Exception as error:
            errors.append(
                f'While copying the parameter named "{key}", whose dimensions in the model are '
                f"{tensor.size()} and whose dimensions in the checkpoint are {value.size()}, "
                f"an exception occurred : {error.args}."
            )

    def _assign_tensor(self, name, tensor, value):
        if isinstance(tensor, Parameter):
            if isinstance(value, Parameter):
                value.requires_grad_(tensor.requires_grad)
            else:
                value = Parameter(value, requires_grad=tensor.requires_grad)
        setattr(self, name, value)

    def _register_state_dict_hook(self, hook):
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was previously "
                "registered via register_state_dict_post_hook"
            )
        return _keep(self._state_dict_hooks, hook)

    def register_state_dict_post_hook(self, hook):
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after ``state_dict``; it changes it in
        place.
        """
        hook._from_public_api = True
        return _keep(self._state_dict_hooks, hook)

    def register_state_dict_pre_hook(self, hook):
        """Call ``hook(module, prefix, keep_vars)`` before ``state_dict`` collects anything."""
        return _keep(self._state_dict_pre_hooks, hook)

    def _register_load_state_dict_pre_hook(self, hook, with_module=False):
        return _keep(self._load_state_dict_pre_hooks, BoundHook(hook, self if with_module else None))

    def register_load_state_dict_pre_hook(self, hook):
        """Call ``hook(module, state_dict, prefix, metadata, strict, missing, unexpected, errors)`` before a
        load.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def register_load_state_dict_post_hook(self, hook):
        """Call ``hook(module, incompatible_keys)`` after a load; it may change the keys in place."""
        return _keep(self._load_state_dict_post_hooks, hook)


def _keep(hooks, hook):
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle
