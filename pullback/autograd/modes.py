"""Grad modes, as contexts and as decorators. Each restores what it found, whatever happens inside."""

from __future__ import annotations

import functools
import inspect

from pullback import _core

is_grad_enabled = _core.is_grad_enabled


class _Mode:
    """A context that can also decorate functions, generators and classes' methods."""

    def __call__(self, function):
        if inspect.isclass(function):
            raise TypeError("a grad mode decorates functions; wrap the methods that need it")
        if inspect.isgeneratorfunction(function):
            return self._wrap_generator(function)

        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            with self._clone():
                return function(*args, **kwargs)

        return wrapped

    def _wrap_generator(self, function):
        """The mode holds while the generator runs, not while its consumer does."""

        @functools.wraps(function)
        def wrapped(*args, **kwargs):
            generator = function(*args, **kwargs)
            try:
                with self._clone():
                    value = next(generator)
                while True:
                    try:
                        sent = yield value
                    except GeneratorExit:
                        with self._clone():
                            generator.close()
                        raise
                    except BaseException as e:
                        with self._clone():
                            value = generator.throw(e)
                    else:
                        with self._clone():
                            value = generator.send(sent)
            except StopIteration as stop:
                return stop.value

        return wrapped

    def _clone(self):
        return type(self)()

    def __enter__(self):
        self._before = _core.is_grad_enabled()
        _core.set_grad_enabled(self.mode)

    def __exit__(self, *exc):
        _core.set_grad_enabled(self._before)


class no_grad(_Mode):
    """Nothing inside is recorded.

    >>> import pullback as torch
    >>> x = torch.ones(1, requires_grad=True)
    >>> with torch.no_grad():
    ...     print((x * 2).requires_grad)
    False
    """

    mode = False

    def __new__(cls, function=None):
        if function is None:
            return super().__new__(cls)
        return cls()(function)


class enable_grad(no_grad):
    """Recording is on inside, also within no_grad."""

    mode = True


class inference_mode(_Mode):
    """As no_grad: pullback's tensors carry no extra state that inference mode could save."""

    def __new__(cls, mode=True):
        if callable(mode):
            return cls()(mode)
        self = super().__new__(cls)
        self.on = mode
        return self

    @property
    def mode(self):
        return False if self.on else self._before

    def _clone(self):
        return type(self)(self.on)

    def __enter__(self):
        self._before = _core.is_grad_enabled()
        if self.on:
            _core.set_grad_enabled(False)


class set_grad_enabled(_Mode):
    """Sets the mode at once, and restores it when used as a context."""

    def __init__(self, mode):
        self._before = _core.is_grad_enabled()
        self.mode = bool(mode)
        _core.set_grad_enabled(self.mode)

    def __call__(self, function):
        _core.set_grad_enabled(self._before)
        return super().__call__(function)

    def _clone(self):
        return type(self)(self.mode)

    def __enter__(self):
        _core.set_grad_enabled(self.mode)
