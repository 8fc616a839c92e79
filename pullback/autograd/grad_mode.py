"""Grad modes, as contexts and as decorators. Each restores what it found, whatever happens inside."""

from __future__ import annotations

import functools
import inspect
import types
import warnings

from pullback import _core
from pullback.arguments import kind_name

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled", "set_multithreading_enabled"]

is_grad_enabled = _core.is_grad_enabled
is_inference_mode_enabled = _core.is_inference_mode_enabled


class _DecoratorContextManager:
    """A context that can also decorate functions, generators, coroutines and asynchronous generators.

    One object may be entered several times. Modes belong to the thread: a new one starts with recording on.
    """

    __module__ = "torch.autograd.grad_mode"

    def __init__(self, orig_func=None):
        self._found = []

    def __call__(self, function):
        if inspect.isclass(function):
            warnings.warn(
                "Decorating classes is deprecated and will be disabled in future versions. You should only "
                "decorate functions or methods. To preserve the current behavior of class decoration, you "
                "can directly decorate the `__init__` method and nothing else.",
                FutureWarning,
                stacklevel=2,
            )
        elif inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)
        elif inspect.iscoroutinefunction(function):
            return self._wrap_coroutine(function)
        elif inspect.isasyncgenfunction(function):
            return self._wrap_async_generator(function)

        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with self.clone():
                return function(*args, **kwargs)

        return wrapped

    def _steps(self, generator):
        """Runs a generator with the mode on, but not while its consumer runs."""
        try:
            with self.clone():
                value = next(generator)
            while True:
                try:
                    sent = yield value
                except GeneratorExit:
                    with self.clone():
                        generator.close()
                    raise
                except BaseException as e:
                    with self.clone():
                        value = generator.throw(e)
                else:
                    with self.clone():
                        value = generator.send(sent)
        except StopIteration as stop:
            return stop.value

    def _wrap_generator(self, function):
        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            return (yield from self._steps(function(*args, **kwargs)))

        return wrapped

    def _await(self, awaitable):
        return types.coroutine(self._steps)(awaitable.__await__())

    def _wrap_coroutine(self, function):
        """The mode holds while the coroutine runs; while it waits, others run in the mode of their own."""

        @functools.wraps(function)
        async def wrapped(*args, **kwargs):
            return await self._await(function(*args, **kwargs))

        return wrapped

    def _wrap_async_generator(self, function):
        @functools.wraps(function)
        async def wrapped(*args, **kwargs):
            generator = function(*args, **kwargs)
            step = generator.asend(None)
            while True:
                try:
                    value = await self._await(step)
                except StopAsyncIteration:
                    return
                try:
                    step = generator.asend((yield value))
                except GeneratorExit:
                    await self._await(generator.aclose())
                    raise
                except BaseException as e:
                    step = generator.athrow(e)

        return wrapped

    def clone(self):
        """A context of its own, with the same setting.

        Example   >>> type(torch.no_grad().clone()).__name__
                  'no_grad'
        """
        return type(self)()

    def __enter__(self):
        self._found.append(_core.is_grad_enabled())
        _core.set_grad_enabled(self.mode)

    def __exit__(self, *exc):
        _core.set_grad_enabled(self._found.pop())


class _NoParamDecoratorContextManager(_DecoratorContextManager):
    """One that decorates a function without parentheses too."""

    def __new__(cls, orig_func=None):
        if orig_func is None:
            return super().__new__(cls)
        return cls()(orig_func)


class no_grad(_NoParamDecoratorContextManager):
    """Nothing inside is recorded.

    >>> import pullback as torch
    >>> x = torch.ones(1, requires_grad=True)
    >>> with torch.no_grad():
    ...     print((x * 2).requires_grad)
    False
    """

    __module__ = "torch.autograd.grad_mode"
    mode = False

    def __init__(self):
        self._found = []


class enable_grad(_NoParamDecoratorContextManager):
    """Recording is on inside, also within no_grad.

    >>> import pullback as torch
    >>> x = torch.ones(1, requires_grad=True)
    >>> with torch.no_grad(), torch.enable_grad():
    ...     print((x * 2).requires_grad)
    True
    """

    __module__ = "torch.autograd.grad_mode"
    mode = True


class inference_mode(_DecoratorContextManager):
    """As no_grad, and tensors made inside stay out of every graph: enable_grad() does not change that.

    Errors    InplaceError when such a tensor is changed outside, GradError when an operation outside would
              have to keep it for its backward, or when it is to require gradients there. A clone() of it is
              an ordinary tensor.

    >>> import pullback as torch
    >>> x = torch.ones(1, requires_grad=True)
    >>> with torch.inference_mode():
    ...     y = x * 2
    >>> y.requires_grad, y.is_inference()
    (False, True)
    """

    __module__ = "torch.autograd.grad_mode"

    def __new__(cls, mode=True):
        if isinstance(mode, bool):
            return super().__new__(cls)
        return cls()(mode)

    def __init__(self, mode=True):
        super().__init__()
        self.mode = mode

    def clone(self):
        return type(self)(self.mode)

    def __enter__(self):
        self._found.append((_core.is_inference_mode_enabled(), _core.is_grad_enabled()))
        _core.set_inference_mode(self.mode)
        _core.set_grad_enabled(not self.mode)

    def __exit__(self, *exc):
        inference, grad = self._found.pop()
        _core.set_inference_mode(inference)
        _core.set_grad_enabled(grad)


class set_grad_enabled(_DecoratorContextManager):
    """Sets the mode at once, and restores it when used as a context.

    >>> import pullback as torch
    >>> with torch.set_grad_enabled(False):
    ...     print(torch.is_grad_enabled())
    False
    """

    __module__ = "torch.autograd.grad_mode"

    def __init__(self, mode):
        super().__init__()
        if not isinstance(mode, bool):
            raise TypeError(
                f"set_grad_enabled(): argument 'enabled' (position 1) must be bool, not {kind_name(mode)}"
            )
        self._before = _core.is_grad_enabled()
        self.mode = mode
        _core.set_grad_enabled(mode)

    def __call__(self, function):
        _core.set_grad_enabled(self._before)
        return super().__call__(function)

    def clone(self):
        return type(self)(self.mode)

    def __enter__(self):
        # The mode that was in force before this object was made is the one to return to.
        self._found.append(self._before if not self._found else _core.is_grad_enabled())
        _core.set_grad_enabled(self.mode)

    def __str__(self):
        return f"torch.autograd.grad_mode.set_grad_enabled(mode={self.mode})"

    def __repr__(self):
        return str(self)


class set_multithreading_enabled(_DecoratorContextManager):
    """Accepted as in torch and without effect: a backward pass runs in the thread that calls it.

    Example   >>> with torch.autograd.set_multithreading_enabled(False):
              ...     pass
    """

    __module__ = "torch.autograd.grad_mode"

    def __init__(self, mode):
        super().__init__()
        self.mode = mode

    def clone(self):
        return type(self)(self.mode)

    def __enter__(self):
        pass

    def __exit__(self, *exc):
        pass
