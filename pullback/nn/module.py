"""nn.Module: a tree of modules, parameters and buffers with a forward function."""

from __future__ import annotations

import inspect
import warnings
from collections import OrderedDict

from pullback import _api as torch
from pullback import _core
from pullback.nn import module_hooks as hooks
from pullback.nn.module_hooks import *  # noqa: F403 - torch's home of the hooks for all modules
from pullback.nn.module_hooks import CallMixin
from pullback.nn.module_state import StateMixin
from pullback.nn.parameter import Buffer, Parameter
from pullback.tensor import Tensor

__all__ = ["Module"]

_HOOK_DICTS = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def _is_tensor_like(value):
    return isinstance(value, Tensor) or hasattr(value, "__torch_function__")


def _indent(text):
    first, *rest = text.split("\n")
    return "\n".join([first, *("  " + line if line.strip() else "" for line in rest)])


def _check_name(kind, name, got=""):
    if "." in name:
        raise KeyError(f'{kind} name can\'t contain "."{got}')
    if name == "":
        raise KeyError(f'{kind} name can\'t be empty string ""')


class Module(CallMixin, StateMixin):
    """Base class of all layers and models.

    Assigning a Parameter, a Buffer or another Module to an attribute registers it, so that ``parameters()``,
    ``state_dict()``, ``to()``, ``train()`` and the like reach it. A subclass calls ``super().__init__()``
    first and defines ``forward``.

    Example   >>> class Scale(nn.Module):
              ...     def __init__(self):
              ...         super().__init__()
              ...         self.factor = nn.Parameter(torch.tensor(2.0))
              ...
              ...     def forward(self, x):
              ...         return self.factor * x
              >>> model = Scale()
              >>> model(torch.ones(3))
              tensor([2., 2., 2.], grad_fn=<MulBackward0>)
              >>> dict(model.named_parameters())
              {'factor': Parameter containing:
              tensor(2., requires_grad=True)}
    """

    dump_patches = False
    _version = 1
    call_super_init = False

    def __init__(self, *args, **kwargs):
        if not self.call_super_init:
            if kwargs:
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword argument "
                    f"'{next(iter(kwargs))}'"
                )
            if args:
                raise TypeError(
                    f"{type(self).__name__}.__init__() takes 1 positional argument but "
                    f"{len(args) + 1} were given"
                )
        # Straight into the dictionary: __setattr__ asks for the very entries that are made here.
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _non_persistent_buffers_set=set(),
            _is_full_backward_hook=None,
            _modules={},
            _hooked=False,
        )
        self.__dict__.update((name, OrderedDict()) for name in _HOOK_DICTS)
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    # --- registering ---------------------------------------------------------------------------------------

    def _check_registration(self, kind, name, members):
        if members not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{kind} name should be a string. Got {torch.typename(name)}")
        _check_name(kind, name)
        if hasattr(self, name) and name not in self.__dict__[members]:
            raise KeyError(f"attribute '{name}' already exists")

    def register_buffer(self, name, tensor, persistent=True):
        """Add a tensor that is not trained but belongs to the module; ``persistent``: in state_dict.

        Example   >>> layer = nn.Module()
                  >>> layer.register_buffer("mean", torch.zeros(2))
                  >>> layer.mean, list(layer.parameters())
                  (tensor([0., 0.]), [])
        """
        self._check_registration("buffer", name, "_buffers")
        if tensor is not None and not _is_tensor_like(tensor):
            raise TypeError(
                f"cannot assign '{torch.typename(tensor)}' object to buffer '{name}' (torch Tensor "
                "or None required)"
            )
        self._buffers[name] = hooks.run_registration_hooks(
            hooks.buffer_registration_hooks, self, name, tensor
        )
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name, param):
        """Add a parameter under ``name``; None reserves the name for an absent one."""
        self._check_registration("parameter", name, "_parameters")
        if param is None:
            self._parameters[name] = None
            return
        if not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{torch.typename(param)}' object to parameter '{name}' "
                "(torch.nn.Parameter or None required)"
            )
        if param.grad_fn is not None:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created "
                f"explicitly. To express '{name}' as a function of another Tensor, compute the value in "
                "the forward() method."
            )
        self._parameters[name] = hooks.run_registration_hooks(
            hooks.parameter_registration_hooks, self, name, param
        )

    def add_module(self, name, module):
        """Add a child module under ``name``."""
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{torch.typename(module)} is not a Module subclass")
        if not isinstance(name, str):
            raise TypeError(f"module name should be a string. Got {torch.typename(name)}")
        if hasattr(self, name) and name not in self._modules:
            raise KeyError(f"attribute '{name}' already exists")
        _check_name("module", name, f", got: {name}")
        self._modules[name] = hooks.run_registration_hooks(
            hooks.module_registration_hooks, self, name, module
        )

    def register_module(self, name, module):
        """The same as :meth:`add_module`."""
        self.add_module(name, module)

    # --- attributes ----------------------------------------------------------------------------------------

    def __getattr__(self, name):
        # Written out: this runs for every access to a parameter or a child.
        own = self.__dict__
        if "_parameters" in own and name in own["_parameters"]:
            return own["_parameters"][name]
        if "_buffers" in own and name in own["_buffers"]:
            return own["_buffers"][name]
        if "_modules" in own and name in own["_modules"]:
            return own["_modules"][name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def _forget(self, name, *members):
        self.__dict__.pop(name, None)
        for kind in members:
            getattr(self, kind).pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def __setattr__(self, name, value):
        own = self.__dict__
        parameters, modules, buffers = own.get("_parameters"), own.get("_modules"), own.get("_buffers")
        if isinstance(value, Parameter):
            if parameters is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_buffers", "_modules")
            self.register_parameter(name, value)
        elif parameters is not None and name in parameters:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{torch.typename(value)}' as parameter '{name}' "
                    "(torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, value)
        elif isinstance(value, Module) or (modules is not None and name in modules):
            self._set_module(name, value, modules)
        elif isinstance(value, Buffer) or (buffers is not None and name in buffers):
            self._set_buffer(name, value)
        else:
            object.__setattr__(self, name, value)

    def _set_module(self, name, value, modules):
        if modules is None:
            raise AttributeError("cannot assign module before Module.__init__() call")
        if isinstance(value, Module):
            self._forget(name, "_parameters", "_buffers")
        elif value is not None:
            raise TypeError(
                f"cannot assign '{torch.typename(value)}' as child module '{name}' (torch.nn.Module "
                "or None expected)"
            )
        modules[name] = hooks.run_registration_hooks(hooks.module_registration_hooks, self, name, value)

    def _set_buffer(self, name, value):
        if value is not None and not _is_tensor_like(value):
            raise TypeError(
                f"cannot assign '{torch.typename(value)}' as buffer '{name}' "
                "(torch.nn.Buffer, torch.Tensor or None expected)"
            )
        if isinstance(value, Buffer):
            persistent = value.persistent
        else:
            persistent = name not in self.__dict__.get("_non_persistent_buffers_set", ())
        # A subclass may have written register_buffer before the third argument existed.
        overridden = getattr(self.register_buffer, "__func__", None) is not Module.register_buffer
        if overridden and "persistent" not in inspect.signature(self.register_buffer).parameters:
            if not persistent:
                raise RuntimeError(
                    "Registering a non-persistent buffer on a Module subclass that implements "
                    "register_buffer() without the persistent argument is not allowed."
                )
            self.register_buffer(name, value)
        else:
            self.register_buffer(name, value, persistent)

    def __delattr__(self, name):
        for members in (self._parameters, self._buffers, self._modules):
            if name in members:
                del members[name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __dir__(self):
        names = [*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers]
        return sorted(name for name in names if not name[0].isdigit())

    def __getstate__(self):
        return self.__dict__.copy()

    def __setstate__(self, state):
        self.__dict__.update(state)
        for name in _HOOK_DICTS:
            self.__dict__.setdefault(name, OrderedDict())
        self.__dict__.setdefault("_non_persistent_buffers_set", set())
        self.__dict__.setdefault("_is_full_backward_hook", None)

    # --- finding -------------------------------------------------------------------------------------------

    def get_submodule(self, target):
        """The descendant with the dotted path ``target``; "" is the module itself.

        Errors    AttributeError where there is none
        Example   >>> nn.Sequential(nn.Sequential(nn.Linear(2, 3))).get_submodule("0.0")
                  Linear(in_features=2, out_features=3, bias=True)
        """
        if target == "":
            return self
        found = self
        for name in target.split("."):
            if not hasattr(found, name):
                raise AttributeError(f"{found._get_name()} has no attribute `{name}`")
            found = getattr(found, name)
            if not isinstance(found, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return found

    def set_submodule(self, target, module, strict=False):
        """Put ``module`` at the dotted path ``target``; with ``strict`` something must be there already."""
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def _find(self, target):
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if not hasattr(owner, name):
            raise AttributeError(f"{owner._get_name()} has no attribute `{name}`")
        return owner, name, getattr(owner, name)

    def get_parameter(self, target):
        """The parameter with the dotted path ``target``."""
        _, name, found = self._find(target)
        if not isinstance(found, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return found

    def get_buffer(self, target):
        """The buffer with the dotted path ``target``."""
        owner, name, found = self._find(target)
        if name not in owner._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return found

    def _named_members(self, get_members_fn, prefix="", recurse=True, remove_duplicate=True):
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        for path, module in modules if recurse else [(prefix, self)]:
            for name, member in get_members_fn(module):
                if member is None or id(member) in seen:
                    continue
                if remove_duplicate:
                    seen.add(id(member))
                yield (f"{path}.{name}" if path else name), member

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """(dotted name, parameter) of this module and, with ``recurse``, of its descendants.

        Example   >>> [name for name, _ in nn.Sequential(nn.Linear(2, 3)).named_parameters()]
                  ['0.weight', '0.bias']
        """
        yield from self._named_members(lambda m: m._parameters.items(), prefix, recurse, remove_duplicate)

    def parameters(self, recurse=True):
        """The parameters, each once; what an optimizer takes.

        Example   >>> sum(p.numel() for p in nn.Linear(2, 3).parameters())
                  9
        """
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        """(dotted name, buffer) of this module and, with ``recurse``, of its descendants."""
        yield from self._named_members(lambda m: m._buffers.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse=True):
        """The buffers, each once."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_children(self):
        """(name, module) of the direct children, each once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self):
        """The direct children, each once."""
        for _, module in self.named_children():
            yield module

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        """(dotted name, module) of this module and all descendants, parents first."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, path, remove_duplicate)

    def modules(self, remove_duplicate=True):
        """This module and all descendants, each once (or with ``remove_duplicate=False`` as often as met)."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    # --- changing all of it --------------------------------------------------------------------------------

    def apply(self, fn):
        """Call ``fn`` on every descendant, then on the module itself.

        Example   >>> model = nn.Sequential(nn.ReLU()).apply(lambda m: print(type(m).__name__))
                  ReLU
                  Sequential
        """
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def _apply(self, fn, recurse=True):
        """Replace the data of every parameter, gradient and buffer by what ``fn`` makes of it."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for parameter in self._parameters.values():
            if parameter is None:
                continue
            gradient = parameter.grad
            with torch.no_grad():
                changed = fn(parameter)
                # A gradient must match its parameter, so it is taken off while the data changes its type.
                parameter.grad = None
                parameter.data = changed
                if gradient is not None:
                    gradient.data = fn(gradient)
                    parameter.grad = gradient
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args, **kwargs):
        """Convert all parameters and buffers in place: ``to(dtype)``, ``to(device)``, ``to(tensor)``.

        Only floating-point ones change their dtype.

        Example   >>> nn.Linear(2, 3).to(torch.float64).weight.dtype
                  torch.float64
        """
        device, dtype, non_blocking, memory_format = _core.parse_to(*args, **kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
            )
        if dtype is not None and dtype.is_complex:
            warnings.warn(
                "Complex modules are a new feature under active development whose design may change, and "
                "some modules might not work as expected when using complex tensors as parameters or "
                "buffers. Please file an issue at "
                "https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml if a complex "
                "module does not work as expected.",
                stacklevel=2,
            )

        def convert(tensor):
            wanted = dtype if tensor.is_floating_point() or tensor.is_complex() else None
            options = {}
            if memory_format is not None and tensor.dim() in (4, 5):
                options["memory_format"] = memory_format
            return tensor.to(
                tensor.device if device is None else device, wanted or tensor.dtype, non_blocking, **options
            )

        return self._apply(convert)

    def type(self, dst_type):
        """Convert all parameters and buffers to ``dst_type``."""
        return self._apply(lambda t: t.type(dst_type))

    def _float_to(self, dtype):
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def float(self):
        """Convert floating-point parameters and buffers to float32."""
        return self._float_to(torch.float32)

    def double(self):
        """Convert floating-point parameters and buffers to float64."""
        return self._float_to(torch.float64)

    def half(self):
        """Convert floating-point parameters and buffers to float16."""
        return self._float_to(torch.float16)

    def bfloat16(self):
        """Convert floating-point parameters and buffers to bfloat16."""
        return self._float_to(torch.bfloat16)

    def cpu(self):
        """Move all parameters and buffers to the CPU, where they are."""
        return self._apply(lambda t: t.cpu())

    def cuda(self, device=None):
        """Raises, as every other device does: there is only the CPU."""
        return self._apply(lambda t: t.cuda(device))

    def to_empty(self, *, device, recurse=True):
        """Replace all parameters and buffers by uninitialized ones."""
        return self._apply(lambda t: torch.empty_like(t, device=device), recurse=recurse)

    def share_memory(self):
        """Move the storages into shared memory."""
        return self._apply(lambda t: t.share_memory_())

    def train(self, mode=True):
        """Set training mode here and in all descendants (dropout and normalization depend on it).

        Example   >>> nn.Dropout().train().training
                  True
        """
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self):
        """Set evaluation mode: ``train(False)``.

        Example   >>> nn.Dropout().eval()(torch.ones(2))
                  tensor([1., 1.])
        """
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        """Freeze or unfreeze all parameters.

        Example   >>> nn.Linear(2, 3).requires_grad_(False).weight.requires_grad
                  False
        """
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none=True):
        """Forget all gradients, or set them to zero in place with ``set_to_none=False``."""
        for parameter in self.parameters():
            gradient = parameter.grad
            if gradient is None:
                continue
            if set_to_none:
                parameter.grad = None
                continue
            if gradient.grad_fn is not None:
                gradient.detach_()
            else:
                gradient.requires_grad_(False)
            gradient.zero_()

    # --- printing ------------------------------------------------------------------------------------------

    def _get_name(self):
        return type(self).__name__

    def extra_repr(self):
        """The text between the parentheses; a subclass gives its arguments."""
        return ""

    def __repr__(self):
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        if len(lines) <= 1 and not self._modules:
            return f"{self._get_name()}({extra})"
        lines += [f"({name}): {_indent(repr(module))}" for name, module in self._modules.items()]
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"
