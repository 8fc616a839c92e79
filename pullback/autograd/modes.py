"""Grad modes, as contexts and as decorators. Each restores what it found, whatever happens inside."""

from __future__ import annotations

import functools
import inspect
import threading
import warnings

from pullback import _core

is_grad_enabled = _core.is_grad_enabled


class _Inference(threading.local):
    on = False


_inference = _Inference()


def is_inference_mode_enabled():
    """Whether the thread is inside inference_mode()."""
    return _inference.on


class _Mode:
    """A context that can also decorate functions and generators. One object may be entered several times."""

    def __init__(self):
        self._found = []

    def __call__(self, function):
        if inspect.isclass(function):
            warnings.warn(
                "Decorating classes is deprecated and will be disabled in future versions. You should only "
                "decorate "
                "functions or methods. To preserve the current behavior of class decoration, you can "
                "directly decorate "
                "the `__init__` method and nothing else.",
                FutureWarning,
                stacklevel=2,
            )
        elif inspect.isgeneratorfunction(function):
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
        self._found.append(_core.is_grad_enabled())
        _core.set_grad_enabled(self.mode and not _inference.on)

    def __exit__(self, *exc):
        _core.set_grad_enabled(self._found.pop())


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
    """As no_grad, and enable_grad() has no effect inside. Its tensors are ordinary ones: they may be used "
    "later."""

    def __new__(cls, mode=True):
        if callable(mode):
            return cls()(mode)
        return super().__new__(cls)

    def __init__(self, mode=True):
        super().__init__()
        self.on = bool(mode)

    def _clone(self):
        return type(self)(self.on)

    def __enter__(self):
        self._found.append((_inference.on, _core.is_grad_enabled()))
        _inference.on = self.on
        _core.set_grad_enabled(not self.on)

    def __exit__(self, *exc):
        _inference.on, grad = self._found.pop()
        _core.set_grad_enabled(grad)


class set_grad_enabled(_Mode):
    """Sets the mode at once, and restores it when used as a context."""

    def __init__(self, mode):
        super().__init__()
        if not isinstance(mode, bool):
            raise TypeError(
                f"set_grad_enabled(): argument 'enabled' (position 1) must be bool, not {type(mode).__name__}"
            )
        self._before = _core.is_grad_enabled()
        self.mode = mode
        _core.set_grad_enabled(mode and not _inference.on)

    def __call__(self, function):
        _core.set_grad_enabled(self._before)
        return super().__call__(function)

    def _clone(self):
        return type(self)(self.mode)

    def __enter__(self):
        # The mode that was in force before this object was made is the one to return to.
        self._found.append(self._before if not self._found else _core.is_grad_enabled())
        _core.set_grad_enabled(self.mode and not _inference.on)

    def __repr__(self):
        return f"set_grad_enabled(mode={self.mode})"
