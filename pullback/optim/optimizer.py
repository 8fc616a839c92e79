"""The base class of optimizers: parameter groups, state, hooks."""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from copy import deepcopy

from pullback import _api as torch
from pullback import _core
from pullback.tensor import Tensor
from pullback.utils.hooks import RemovableHandle

__all__ = ["Optimizer", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook", "required"]


class _Required:
    """The default of an option that every group must give."""

    def __repr__(self):
        return "<required parameter>"


required = _Required()

_global_pre_hooks = OrderedDict()
_global_post_hooks = OrderedDict()

_HOOKS = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


def _add(hooks, hook, prepend=False):
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_optimizer_step_pre_hook(hook):
    """Call ``hook(optimizer, args, kwargs)`` before every step of every optimizer."""
    return _add(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook):
    """Call ``hook(optimizer, args, kwargs)`` after every step of every optimizer."""
    return _add(_global_post_hooks, hook)


def _with_hooks(step):
    """``step`` with the hooks of its optimizer around it."""

    @functools.wraps(step)
    def call(self, *args, **kwargs):
        pre, post = self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks
        if not (pre or post or _global_pre_hooks or _global_post_hooks):
            # Nearly always so; a call without arguments to pack costs half.
            return step(self, *args, **kwargs) if args or kwargs else step(self)
        for hook in (*_global_pre_hooks.values(), *pre.values()):
            result = hook(self, args, kwargs)
            if result is None:
                continue
            if not (isinstance(result, tuple) and len(result) == 2):
                raise RuntimeError(
                    f"{step} must return None or a tuple of (new_args, new_kwargs), but got {result}."
                )
            args, kwargs = result
        out = step(self, *args, **kwargs)
        for hook in (*post.values(), *_global_post_hooks.values()):
            hook(self, args, kwargs)
        return out

    call.hooked = True
    return call


def _cast_state(param, value, key, capturable_or_fused):
    """A value of a loaded state as the state of ``param`` holds it: tensors in the parameter's dtype."""
    if isinstance(value, Tensor):
        if key == "step":
            return value.to(dtype=torch.float32) if capturable_or_fused else value
        return value.to(dtype=param.dtype, device=param.device) if param.is_floating_point() else value
    if isinstance(value, dict):
        return {k: _cast_state(param, v, k, capturable_or_fused) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cast_state(param, v, key, capturable_or_fused) for v in value)
    return value


class Optimizer:
    """Holds groups of parameters with their options, and the state of each parameter.

    ``params`` is an iterable of tensors, of (name, tensor) pairs, or of dictionaries with "params" and
    options; ``defaults`` are the options of groups that do not give their own.

    Example   >>> class Plain(torch.optim.Optimizer):
              ...     def step(self):
              ...         with torch.no_grad():
              ...             for group in self.param_groups:
              ...                 for p in group["params"]:
              ...                     p -= group["lr"] * p.grad
              >>> p = torch.tensor([1.0], requires_grad=True)
              >>> optimizer = Plain([p], {"lr": 0.1})
              >>> (p * p).sum().backward()
              >>> optimizer.step()
              >>> p
              tensor([0.8000], requires_grad=True)
    """

    def __init__(self, params, defaults):
        self.defaults = defaults
        for name in _HOOKS:
            setattr(self, name, OrderedDict())
        self._hook_step()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {torch.typename(params)}"
            )
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _hook_step(self):
        # On the class, as torch does: an optimizer's own step, not one that it inherits and calls, runs the
        # hooks.
        step = type(self).step
        if not getattr(step, "hooked", False):
            type(self).step = _with_hooks(step)

    def __getstate__(self):
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state):
        self.__dict__.update(state)
        for name in _HOOKS:
            self.__dict__.setdefault(name, OrderedDict())
        self._hook_step()
        self.defaults.setdefault("differentiable", False)

    def __repr__(self):
        lines = [type(self).__name__ + " ("]
        for i, group in enumerate(self.param_groups):
            if i:
                lines.append("")
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join(lines) + "\n)"

    def register_step_pre_hook(self, hook):
        """Call ``hook(optimizer, args, kwargs)`` before each step; it may return new (args, kwargs)."""
        return _add(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook):
        """Call ``hook(optimizer, args, kwargs)`` after each step.

        Example   >>> p = torch.zeros(1, requires_grad=True)
                  >>> optimizer = torch.optim.SGD([p])
                  >>> handle = optimizer.register_step_post_hook(lambda *_: print("stepped"))
                  >>> optimizer.step()
                  stepped
        """
        return _add(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook, prepend=False):
        """Call ``hook(optimizer)`` before the state is read out."""
        return _add(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook, prepend=False):
        """Call ``hook(optimizer, state_dict)`` on what is read out; it may return another dictionary."""
        return _add(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook, prepend=False):
        """Call ``hook(optimizer, state_dict)`` before a load; it may return another dictionary."""
        return _add(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook, prepend=False):
        """Call ``hook(optimizer)`` after a load."""
        return _add(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    def state_dict(self):
        """{"state": {index: ...}, "param_groups": [...]}, with parameters counted over all groups.

        Example   >>> p = torch.zeros(1, requires_grad=True)
                  >>> torch.optim.SGD([p], lr=0.5).state_dict()["param_groups"][0]["lr"]
                  0.5
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        index = {}
        groups = []
        for group in self.param_groups:
            for param in group["params"]:
                index.setdefault(id(param), len(index))
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [index[id(param)] for param in group["params"]]
            groups.append(packed)
        state = {
            index[id(key)] if isinstance(key, Tensor) else key: value for key, value in self.state.items()
        }
        result = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, result)
            if changed is not None:
                result = changed
        return result

    def load_state_dict(self, state_dict):
        """Take over the options and state of an optimizer with groups of the same sizes.

        Errors    ValueError for groups of other sizes
        Example   >>> p = torch.zeros(1, requires_grad=True)
                  >>> optimizer = torch.optim.SGD([p], lr=0.1)
                  >>> optimizer.load_state_dict(torch.optim.SGD([p], lr=0.5).state_dict())
                  >>> optimizer.param_groups[0]["lr"]
                  0.5
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed
        saved_groups = deepcopy(state_dict["param_groups"])
        if len(self.param_groups) != len(saved_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        owners = {}
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            if len(group["params"]) != len(saved["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of "
                    "optimizer's group"
                )
            kept = bool(saved.get("capturable") or saved.get("fused"))
            owners.update(
                (key, (param, kept)) for key, param in zip(saved["params"], group["params"], strict=True)
            )
        state = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in owners:
                param, kept = owners[key]
                state[param] = _cast_state(param, value, None, kept)
            else:
                state[key] = value
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            saved["params"] = group["params"]
            if "param_names" in group and "param_names" not in saved:
                saved["param_names"] = group["param_names"]
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def zero_grad(self, set_to_none=True):
        """Forget all gradients, or set them to zero in place with ``set_to_none=False``.

        Example   >>> p = torch.zeros(1, requires_grad=True)
                  >>> p.sum().backward()
                  >>> torch.optim.SGD([p]).zero_grad()
                  >>> p.grad is None
                  True
        """
        for group in self.param_groups:
            if set_to_none is True:
                _core.forget_gradients(group["params"])
                continue
            for p, gradient in zip(*_core.with_gradients(group["params"])[:2], strict=True):
                if set_to_none:
                    p.grad = None
                    continue
                if gradient.grad_fn is not None:
                    gradient.detach_()
                else:
                    gradient.requires_grad_(False)
                gradient.zero_()

    def step(self, closure=None):
        """Change the parameters once; every optimizer defines it."""
        raise NotImplementedError

    def add_param_group(self, param_group):
        """Add a dictionary with "params" and options; options that it lacks take their defaults.

        Errors    ValueError for a parameter that is in a group already
        Example   >>> a, b = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
                  >>> optimizer = torch.optim.SGD([a], lr=0.1)
                  >>> optimizer.add_param_group({"params": [b], "lr": 0.5})
                  >>> [group["lr"] for group in optimizer.param_groups]
                  [0.1, 0.5]
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        _collect_params(param_group)
        for param in param_group["params"]:
            if not isinstance(param, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {torch.typename(param)}"
                )
            if not self.defaults.get("differentiable", None) and not (param.is_leaf or param.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    f"parameter group didn't specify a value of required optimization parameter {name}"
                )
            param_group.setdefault(name, default)
        ids = {id(param) for param in param_group["params"]}
        if len(ids) != len(param_group["params"]):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will "
                "cause an error; see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=3,
            )
        for group in self.param_groups:
            if ("param_names" in group) != ("param_names" in param_group):
                named = "with names" if "param_names" in param_group else "without names"
                raise ValueError(
                    "all optimizer param groups should be with/without names. "
                    f"cannot add param group {named} to the optimizer"
                )
            if not ids.isdisjoint(map(id, group["params"])):
                raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    def _run_closure(self, closure):
        """The loss that ``closure`` computes, with gradients on."""
        with torch.enable_grad():
            return closure()


def _collect_params(group):
    """Make ``group["params"]`` a list of tensors, with their names beside it where they were given."""
    params = group["params"]
    if isinstance(params, Tensor):
        params = [params]
    elif isinstance(params, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of "
            "tensors in sets will change between runs. Please use a list instead."
        )
    params = list(params)
    names = [param[0] for param in params if isinstance(param, tuple)]
    group["params"] = [param[1] if isinstance(param, tuple) else param for param in params]
    if not names:
        return
    if len(names) != len(params):
        raise ValueError("all optimizer params should be with/without names. Some param names are missing")
    group["param_names"] = names


def stepping(step):
    """A ``step`` that runs without recording, or with it for a differentiable optimizer."""

    @functools.wraps(step)
    def call(self, closure=None):
        before = _core.set_grad_enabled(self.defaults["differentiable"])
        try:
            return step(self, closure)
        finally:
            _core.set_grad_enabled(before)

    return call


def check_fused(fused, foreach, differentiable):
    """The combinations that torch refuses."""
    if not fused:
        return
    if differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
