"""__torch_function__: classes and modes that are asked before a function, method, operator or attribute runs.

A call goes to Python only where somebody wants to be asked: a mode of this thread, a tensor of a class with a
__torch_function__ of its own, or any other object that has one. Classes that keep the default are served
natively.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import threading
import types
import warnings

from pullback import _core
from pullback.tensor import Tensor, _disabled_torch_function_impl

__all__ = [
    "get_ignored_functions",
    "get_overridable_functions",
    "get_testing_overrides",
    "handle_torch_function",
    "has_torch_function",
    "resolve_name",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "wrap_torch_function",
    "enable_reentrant_dispatch",
    "redispatch_function",
]


class _Stack(threading.local):
    def __init__(self):
        self.modes = []


_stack = _Stack()


def _push_mode(mode):
    _stack.modes.append(mode)
    _core.set_function_modes(len(_stack.modes))


def _pop_mode():
    mode = _stack.modes.pop()
    _core.set_function_modes(len(_stack.modes))
    return mode


@contextlib.contextmanager
def _pop_mode_temporarily():
    mode = _pop_mode()
    try:
        yield mode
    finally:
        _push_mode(mode)


def _get_current_function_mode():
    return _stack.modes[-1] if _stack.modes else None


def _get_current_function_mode_stack():
    return list(_stack.modes)


class TorchFunctionMode:
    """A context in which every call of the API goes through its __torch_function__(func, types, args,
    kwargs).

    Modes nest: a call made inside __torch_function__ goes to the next one out. They belong to their thread.

    >>> import pullback as torch
    >>> class Names(torch.overrides.TorchFunctionMode):
    ...     def __torch_function__(self, func, types, args=(), kwargs=None):
    ...         print(func.__name__)
    ...         return func(*args, **(kwargs or {}))
    >>> with Names():
    ...     y = torch.ones(2) * 3
    ones
    mul
    """

    def __init__(self):
        pass

    def __torch_function__(self, func, types, args=(), kwargs=None):
        raise NotImplementedError

    def __enter__(self):
        _push_mode(self)
        return self

    def __exit__(self, kind, value, trace):
        _pop_mode()

    @classmethod
    def push(cls, *args, **kwargs):
        """The mode itself; an old way to write `with Mode()`."""
        warnings.warn(
            "`Mode.push()` is no longer necessary and can be replaced with just `with Mode()`", stacklevel=2
        )
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that runs every call as it is."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


class DisableTorchFunctionSubclass(contextlib.ContextDecorator):
    """Classes are not asked inside, and results are plain tensors; modes go on."""

    def __init__(self):
        self._found = []

    def __enter__(self):
        self._found.append(_core.set_subclass_dispatch(False))

    def __exit__(self, *exc):
        _core.set_subclass_dispatch(self._found.pop())


class DisableTorchFunction(DisableTorchFunctionSubclass):
    """Neither classes nor modes are asked inside."""

    def __enter__(self):
        super().__enter__()
        self._found.append(_stack.modes)
        _stack.modes = []
        _core.set_function_modes(0)

    def __exit__(self, *exc):
        _stack.modes = self._found.pop()
        _core.set_function_modes(len(_stack.modes))
        super().__exit__(*exc)


@contextlib.contextmanager
def enable_reentrant_dispatch():
    """Classes are asked inside, also where the default __torch_function__ has switched that off."""
    before = _core.set_subclass_dispatch(True)
    try:
        yield
    finally:
        _core.set_subclass_dispatch(before)


def _has_protocol(cls):
    method = getattr(cls, "__torch_function__", None)
    return method is not None and method is not _disabled_torch_function_impl


def _get_overloaded_args(relevant_args, get_type_fn=type):
    """One argument of each class that is to be asked; subclasses before their bases, else from left to "
    "right."""
    if not _core.subclass_dispatch():
        return []
    found = []
    for arg in relevant_args:
        cls = get_type_fn(arg)
        if cls is Tensor or not _has_protocol(cls) or any(get_type_fn(a) is cls for a in found):
            continue
        at = next((k for k, a in enumerate(found) if issubclass(cls, get_type_fn(a))), len(found))
        found.insert(at, arg)
    return found


def has_torch_function(relevant_args):
    """Whether one of the arguments, or a mode, wants to be asked."""
    return bool(_stack.modes) or bool(_get_overloaded_args(relevant_args))


def has_torch_function_unary(arg):
    """has_torch_function() of a single argument."""
    return has_torch_function((arg,))


def has_torch_function_variadic(*args):
    """has_torch_function() of several arguments."""
    return has_torch_function(args)


def _ask(func, asked, args, kwargs):
    """The first answer: the innermost mode's, then those of the arguments' classes. NotImplemented: none."""
    classes = tuple(type(a) for a in asked)
    if _stack.modes:
        with _pop_mode_temporarily() as mode:
            result = mode.__torch_function__(func, classes, args, kwargs)
        if result is not NotImplemented:
            return result
    for arg in asked:
        result = arg.__torch_function__(func, classes, args, kwargs)
        if result is not NotImplemented:
            return result
    return NotImplemented


def _unanswered(name, asked):
    text = (
        f"no implementation found for '{name}' on types that implement __torch_function__: "
        f"{[type(a) for a in asked]}"
    )
    if _stack.modes:
        text += f" nor in mode {_stack.modes[-1]}"
    return TypeError(text + "\nEach returned NotImplemented: let one of them compute a result.")


def handle_torch_function(public_api, relevant_args, *args, **kwargs):
    """Asks those concerned by a call of a function of one's own; for the body of that function.

    Errors    TypeError where all of them return NotImplemented

    >>> import pullback as torch
    >>> from pullback.overrides import handle_torch_function, has_torch_function
    >>> def double(x):
    ...     if has_torch_function((x,)):
    ...         return handle_torch_function(double, (x,), x)
    ...     return x * 2
    >>> class Answer:
    ...     @classmethod
    ...     def __torch_function__(cls, func, types, args=(), kwargs=None):
    ...         return 42
    >>> double(Answer()), double(torch.tensor(2.0))
    (42, tensor(4.))
    """
    asked = _get_overloaded_args(relevant_args)
    result = _ask(public_api, asked, args, kwargs)
    if result is not NotImplemented:
        return result
    raise _unanswered(resolve_name(public_api) or f"{public_api.__module__}.{public_api.__name__}", asked)


def _candidates(values):
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from value
        else:
            yield value


def _is_function(func):
    """Whether a native callable is a function and no method: without keywords torch hands on an empty dict
    for those."""
    return isinstance(func, _core.OpFunction) and getattr(Tensor, func.__name__, None) is not func


_functional: dict = {}  # of torch.nn.functional: the function behind what asks first, and its name


@functools.cache
def _parameters(function, name):
    """The signature of a function that is written in Python in torch; None for one that is native there."""
    from pullback import signatures  # not with the package

    return None if signatures.of(f"functional.{name}") else inspect.signature(function)


def _as_shown(func, args, kwargs):
    """What torch's functions written in Python show of a call: what they must be given by place, all the
    rest by keyword."""
    signature = _parameters(*_functional[func])
    if signature is None:
        return args, kwargs
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError:
        return args, kwargs  # the call itself will say so
    bound.apply_defaults()
    needed = [p.name for p in signature.parameters.values() if p.default is p.empty]
    named = {name: x for name, x in bound.arguments.items() if name not in needed}
    return tuple(bound.arguments[name] for name in needed), named


def resolve(func, args, kwargs):
    """What those concerned make of a call of the API; the native side comes here."""
    data = getattr(func, "modes_only", False)
    asked = [] if data else _get_overloaded_args(_candidates((*args, *kwargs.values())))
    if not asked and not _stack.modes:
        return func(*args, **kwargs)
    native = not isinstance(func, _core.Overridable)
    if func in _functional:
        args, kwargs = _as_shown(func, args, kwargs)
    if native and not kwargs and not _is_function(func):
        kwargs = None
    result = _ask(func, asked, args, kwargs)
    if result is not NotImplemented:
        return result
    name = resolve_name(func) or getattr(func, "__name__", repr(func))
    if not native:
        raise _unanswered(name, asked)
    handlers = [f"  - tensor subclass {type(a)}" for a in asked]
    if _stack.modes:
        handlers.insert(0, f"  - mode object {_stack.modes[-1]!r}")
    raise TypeError(
        f"Multiple dispatch failed for '{name}'; all __torch_function__ handlers returned NotImplemented:\n\n"
        + "\n".join(handlers)
        + "\n\nLet one of them compute a result."
    )


def wrap_torch_function(dispatcher):
    """Makes a function ask first; `dispatcher`, called alike, gives the arguments that count.

    >>> import pullback as torch
    >>> @torch.overrides.wrap_torch_function(lambda x: (x,))
    ... def double(x):
    ...     return x * 2
    >>> double(torch.tensor(2.0))
    tensor(4.)
    """

    def inner(func):
        @functools.wraps(func)
        def wrapped(*args, **kwargs):
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return func(*args, **kwargs)

        return wrapped

    return inner


def redispatch_function(func, types, args, kwargs):
    """Runs a function's own body from within a __torch_function__: what it calls in turn is asked about "
    "again."""
    kwargs = kwargs or {}
    body = inspect.unwrap(func)
    if body is not func:
        return body(*args, **kwargs)
    with DisableTorchFunction():
        return func(*args, **kwargs)


def is_tensor_like(inp):
    """Whether an object is a tensor or answers like one."""
    return type(inp) is Tensor or hasattr(inp, "__torch_function__")


# ---- lists of what can be overridden
# ------------------------------------------------------------------------


def _namespaces():
    import pullback
    from pullback import linalg
    from pullback.nn import functional

    return [
        ("torch", pullback, list(vars(pullback))),
        ("torch.nn.functional", functional, list(vars(functional))),
        ("torch.linalg", linalg, list(vars(linalg))),
        ("torch.Tensor", Tensor, dir(Tensor)),
    ]


_NEVER = frozenset(
    "__class__ __delattr__ __dict__ __dir__ __getattribute__ __getstate__ __init__ __init_subclass__ __new__ "
    "__reduce__ __setattr__ __sizeof__ __str__ __subclasshook__ __hash__ __weakref__ __torch_function__ "
    "__iter__ __module__ __doc__ as_subclass is_inference _make_subclass _legacy_new".split()
)


def _is_overridable(value):
    return isinstance(value, (_core.Overridable, _core.OpFunction))


@functools.cache
def _table():
    """(functions by namespace, name by function)."""
    functions, names = {}, {}
    for label, space, attributes in _namespaces():
        found = functions.setdefault(space, [])
        for name in attributes:
            value = inspect.getattr_static(space, name) if space is Tensor else getattr(space, name)
            public = not name.startswith("_") or (name.startswith("__") and space is Tensor)
            if name in _NEVER or not public:
                continue
            if space is Tensor and not callable(value):
                if hasattr(value, "__get__") and hasattr(value, "__set__"):
                    names.setdefault(value.__get__, f"{label}.{name}.__get__")
                    names.setdefault(value.__set__, f"{label}.{name}.__set__")
                    functions.setdefault(value, []).append(value.__get__)
                continue
            if _is_overridable(value) or (space is Tensor and name.startswith("__") and callable(value)):
                names.setdefault(value, f"{label}.{name}")
                found.append(value)
    return functions, names


def get_overridable_functions():
    """The functions that ask first, by namespace: the package, nn.functional, linalg, Tensor and its "
    "attributes."""
    return {space: list(found) for space, found in _table()[0].items()}


def get_ignored_functions():
    """Functions of the package that do not ask, because no tensor of another class can reach them."""
    import pullback

    return {v for n, v in vars(pullback).items() if inspect.isfunction(v) and not n.startswith("_")}


def get_default_nowrap_functions():
    """Whose results the default __torch_function__ leaves as they are."""
    return {Tensor._base.__get__, Tensor.grad.__get__}


def _signature_of(func):
    if isinstance(func, _core.OpFunction):
        from pullback.trace import signature as sig

        kinds = inspect.Parameter
        parameters = []
        for p in sig.Signature(func.overloads[0][0]).parameters:
            kind = kinds.KEYWORD_ONLY if p.keyword_only else kinds.POSITIONAL_OR_KEYWORD
            parameters.append(kinds(p.name, kind, default=None if p.optional else kinds.empty))
        try:
            return inspect.Signature(parameters)
        except ValueError:  # an optional one before a required one
            return None
    try:
        return inspect.signature(func)
    except (TypeError, ValueError):
        return None


def get_testing_overrides():
    """A function that returns -1 for each that asks first, with its signature where that is known."""

    def stub(func):
        def override(*args, **kwargs):
            return -1

        signature = _signature_of(func)
        if signature is not None:
            override.__signature__ = signature
        return override

    return {func: stub(func) for found in _table()[0].values() for func in found}


def resolve_name(f):
    """The name under which torch's users know a function that asks first; None for others."""
    try:
        return _table()[1].get(f)
    except TypeError:  # not hashable
        return None


@functools.cache
def _tensor_methods():
    return frozenset(_table()[0][Tensor])


def is_tensor_method_or_property(func):
    """Whether a function is a method of Tensor or reads one of its attributes."""
    return func in _tensor_methods() or getattr(func, "__name__", None) == "__get__"


# ---- making the API ask
# -------------------------------------------------------------------------------------

# Settings and questions about types: nothing that a tensor's class could answer.
_PLAIN = frozenset(
    "as_torch attribute is_tensor typename is_storage set_default_dtype get_default_dtype set_default_device "
    "get_default_device set_default_tensor_type set_num_threads get_num_threads set_num_interop_threads "
    "get_num_interop_threads promote_types can_cast use_deterministic_algorithms set_printoptions "
    "manual_seed seed are_deterministic_algorithms_enabled set_float32_matmul_precision initial_seed "
    "get_rng_state set_rng_state from_numpy is_grad_enabled is_inference_mode_enabled fork_rng".split()
)


# How a function is called, for the words of its errors (pullback/refusal.py); the last is of nn.functional.
FUNCTION, METHOD, FUNCTIONAL = 1, 2, 3
_FROM_DATA = frozenset({"tensor", "as_tensor", "asarray"})


def ask_first(*spaces, also=(), called=0):
    """Puts asking callables in the place of the public functions written in Python that these namespaces
    hold, and of `also`, wherever modules of the package hold them; `called`: see pullback/refusal.py."""
    made = {value: _core.Overridable(value, value.__name__) for value in also}
    for space in spaces:
        for name, value in space.items():
            if name.startswith("_") or name in _PLAIN or not isinstance(value, types.FunctionType):
                continue
            asking = made.setdefault(value, _core.Overridable(value, name, name in _FROM_DATA, called))
            if called == FUNCTIONAL:
                _functional[asking] = value, name
    holders = [vars(m) for n, m in list(sys.modules.items()) if n.startswith("pullback") and m is not None]
    for holder in holders:
        for name, value in list(holder.items()):
            if isinstance(value, types.FunctionType) and value in made:
                holder[name] = made[value]


def _wrap_tensor():
    for name, value in list(vars(Tensor).items()):
        private = name.startswith("_") and not name.startswith("__")
        if name in _NEVER or private:
            continue
        if isinstance(value, (types.FunctionType, types.MethodDescriptorType)):
            setattr(Tensor, name, _core.Overridable(value, name, False, METHOD))
        elif isinstance(value, property):
            getter = _core.Overridable(value.fget, name)
            wrapped = property(getter, value.fset, value.fdel, value.__doc__)
            getter.presented = wrapped.__get__
            setattr(Tensor, name, wrapped)
    vars(Tensor)["backward"].alone = vars(Tensor)["_backward_plain"]  # without a frame in between


def _install():
    """Makes the API ask. Modules that are imported later, as nn.functional, see to their functions."""
    import pullback
    from pullback import _operators, autograd, linalg

    ask_first(vars(pullback), vars(linalg), also=(autograd.backward, autograd.grad), called=FUNCTION)
    _wrap_tensor()
    for name, value in _operators.functions.items():
        if isinstance(value, (types.FunctionType, _core.OpFunction)):
            _operators.functions[name] = vars(Tensor).get(name, value)
    _core.set_override_protocol(resolve, vars(Tensor)["__torch_function__"], _disabled_torch_function_impl)
