"""Checkpoints: parts of a program keep nothing for backward but their inputs, and are run again then."""

from __future__ import annotations

import itertools
import os
import traceback
import warnings
import weakref
from contextlib import contextmanager, nullcontext

from pullback import _core, random
from pullback.autograd.backward import backward as run_backward
from pullback.autograd.function import Function
from pullback.autograd.grad_mode import enable_grad, no_grad
from pullback.autograd.saved import Kept, saved_tensors_hooks
from pullback.errors import CheckpointError
from pullback.utils.selective import (
    SAC_IGNORED_OPS,
    CheckpointPolicy,
    SelectiveCheckpointContext,
    create_selective_checkpoint_contexts,
)

__all__ = [
    "SAC_IGNORED_OPS",
    "CheckpointError",
    "CheckpointFunction",
    "CheckpointPolicy",
    "SelectiveCheckpointContext",
    "check_backward_validity",
    "checkpoint",
    "checkpoint_sequential",
    "create_selective_checkpoint_contexts",
    "detach_variable",
    "get_device_states",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
    "set_device_states",
]

_TIP = (
    "\nTip: To see a more detailed error message, either pass `debug=True` to\n"
    "`torch.utils.checkpoint.checkpoint(...)` or wrap the code block\n"
    "with `with torch.utils.checkpoint.set_checkpoint_debug_enabled(True):`\n"
    "The function must do the same both times: look for global state, for randomness of its own (with\n"
    "preserve_rng_state=False), and for branches on values that were changed in between.\n"
)


class _Settings:
    """What the two contexts below impose on the checkpoints inside; None leaves it to each call."""

    early_stop: bool | None = None
    debug: bool | None = None


@contextmanager
def _setting(name, value):
    found = getattr(_Settings, name)
    setattr(_Settings, name, value)
    try:
        yield
    finally:
        setattr(_Settings, name, found)


def set_checkpoint_early_stop(enable):
    """A context: whether checkpoints made inside end a recomputation as soon as it has all that is needed.

    >>> import pullback as torch
    >>> from pullback.utils.checkpoint import checkpoint, set_checkpoint_early_stop
    >>> x = torch.ones(2, requires_grad=True)
    >>> with set_checkpoint_early_stop(False):
    ...     y = checkpoint(lambda t: t.exp().sum(), x, use_reentrant=False)
    >>> y.backward()
    >>> x.grad
    tensor([2.7183, 2.7183])
    """
    return _setting("early_stop", enable)


def set_checkpoint_debug_enabled(enabled):
    """A context: whether checkpoints made inside note where each value was saved, for the text of an error;
    None leaves it to each call.

    Example   >>> from pullback.utils.checkpoint import set_checkpoint_debug_enabled
              >>> with set_checkpoint_debug_enabled(True):
              ...     pass
    """
    return _setting("debug", enabled)


def noop_context_fn():
    """The contexts around forward and recomputation that do nothing.

    Example   >>> from pullback.utils.checkpoint import noop_context_fn
              >>> forward, again = noop_context_fn()
    """
    return nullcontext(), nullcontext()


def detach_variable(inputs):
    """The tensors of a tuple as leaves over the same elements, each asking for a gradient if it did before.

    Errors    RuntimeError for anything but a tuple
    Example   >>> from pullback.utils.checkpoint import detach_variable
              >>> detach_variable((torch.ones(2, requires_grad=True) * 2, 3))
              (tensor([2., 2.], requires_grad=True), 3)
    """
    if not isinstance(inputs, tuple):
        raise RuntimeError(
            f"Only tuple of tensors is supported. Got Unsupported input type: {type(inputs).__name__}"
        )
    return tuple(
        x.detach().requires_grad_(x.requires_grad) if isinstance(x, _core.Tensor) else x for x in inputs
    )


def get_device_states(*args):
    """(devices, states) of the generators of other devices than the CPU: there are none.

    Example   >>> from pullback.utils.checkpoint import get_device_states
              >>> get_device_states(torch.ones(2))
              ([], [])
    """
    return [], []


def set_device_states(devices, states, *, device_type=None):
    """Sets what get_device_states() gave, which is nothing; the CPU's state is torch.set_rng_state()'s.

    Errors    RuntimeError for states of another device
    Example   >>> from pullback.utils.checkpoint import get_device_states, set_device_states
              >>> set_device_states(*get_device_states(torch.ones(2)))
    """
    if len(devices) and len(states):
        raise RuntimeError(
            f"Torch not compiled with CUDA enabled\nThere is no device {devices[0]} here, only the CPU: "
            "its state torch.set_rng_state() sets."
        )


def check_backward_validity(inputs):
    """Warns where no input asks for a gradient.

    Example   >>> from pullback.utils.checkpoint import check_backward_validity
              >>> check_backward_validity((torch.ones(2, requires_grad=True),))
    """
    if not any(isinstance(x, _core.Tensor) and x.requires_grad for x in inputs):
        text = "None of the inputs have requires_grad=True. Gradients will be None"
        warnings.warn(text, stacklevel=2)


# ---- with use_reentrant=False: the values that are saved inside are replaced by places to be filled --------


class _Place:
    """What an operation inside a region keeps instead of a value."""

    __slots__ = ("__weakref__", "region")

    def __init__(self, region):
        self.region = region


class _EnoughRecomputed(BaseException):
    """Ends a recomputation. Not an Exception: the function's own handlers are not meant."""


_regions = itertools.count()


class _Region:
    """One call of checkpoint(): how to run it again, and the places of its values, in order.

    Places hold the region and not the other way round: it dies with the last node that needs it.
    """

    def __init__(self, run, args, early_stop, describe, debug):
        from pullback.func import moment  # not before it is asked for

        self.moment = moment.now()
        self.key = ("checkpoint", next(_regions))
        self.run = run
        self.inputs = [Kept(a) if isinstance(a, _core.Tensor) else a for a in args]
        self.early_stop = early_stop
        self.describe = describe
        self.places = []
        self.descriptions = []
        self.stacks = [] if debug else None
        self.finished = False  # the forward
        self.differentiated_inside = False

    def pack(self, tensor):
        """The pack hook of the forward."""
        place = _Place(self)
        self.places.append(weakref.ref(place))
        self.descriptions.append(self.describe(tensor))
        if self.stacks is not None:
            self.stacks.append(_stack())
        return place

    def recompute(self):
        """Runs the function again: the values by place, for those places that still live."""
        values, stacks = weakref.WeakKeyDictionary(), []
        count = 0

        def pack(tensor):
            nonlocal count
            tensor = tensor.detach()
            if count == len(self.places):
                if self.finished:
                    self.fail(
                        "torch.utils.checkpoint: trying to save more tensors during recomputation than "
                        "during the original forward pass.\n",
                        [*stacks, _stack()],
                    )
                self.differentiated_inside = True
                return tensor
            if self.stacks is not None:
                stacks.append(_stack())
            place = self.places[count]()
            count += 1
            if place is not None:
                values[place] = tensor
            if self.early_stop and count == len(self.places):
                raise _EnoughRecomputed
            return tensor

        with self.moment.again(), saved_tensors_hooks(pack, _itself), enable_grad():
            args = [a.restore() if isinstance(a, Kept) else a for a in self.inputs]
            try:
                self.run(*args)
            except _EnoughRecomputed:
                pass
        if not self.differentiated_inside:
            self.check(values, count, stacks)
        return values

    def check(self, values, count, stacks):
        """The recomputation must have saved what the forward saved."""
        if count != len(self.places):
            self.fail(
                "torch.utils.checkpoint: A different number of tensors was saved during the original forward "
                f"and recomputation.\nNumber of tensors saved during forward: {len(self.places)}\n"
                f"Number of tensors saved during recomputation: {count}.\n",
                stacks,
            )
        wrong = ""
        for k, place in enumerate(self.places):
            tensor = values.get(place()) if place() is not None else None
            if tensor is not None and self.describe(tensor) != self.descriptions[k]:
                wrong += (
                    f"tensor at position {k}:\nsaved metadata: {self.descriptions[k]}\n"
                    f"recomputed metadata: {self.describe(tensor)}\n"
                )
        if wrong:
            self.fail(
                "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata "
                f"than during the forward pass.\n{wrong}.\n",
                stacks,
            )

    def fail(self, text, stacks):
        """Raises; with debug, says where the two runs parted."""
        if self.stacks is None:
            raise CheckpointError(text + _TIP)
        report = "All values were saved at the same lines of the program both times.\n"
        pairs = itertools.zip_longest(self.stacks, stacks, fillvalue="  nowhere: it was not saved\n")
        for k, (first, second) in enumerate(pairs):
            if first != second:
                report = (
                    f"The first value that was saved at another line is number {k}. In the original "
                    f"forward:\n{first}In the recomputation:\n{second}"
                )
                break
        raise CheckpointError(
            " An error happened while unpacking tensors; dumping logs of latest computation\nbecause you "
            f"passed `debug=True` to `torch.utils.checkpoint.checkpoint()`.\n\n{report}\n{text}"
        )


def _itself(tensor):
    return tensor


def _unpack(place):
    """The unpack hook of the forward: recomputes the region once in each backward pass."""
    region, notes = place.region, _core.run_notes()
    values = None if notes is None else notes.get(region.key)
    if values is None:
        values = region.recompute()
        if notes is not None:
            notes[region.key] = values
    if place not in values:
        raise CheckpointError(
            "torch.utils.checkpoint: Unpack is being triggered for a tensor that was already unpacked once. "
            "If you are calling ctx.saved_tensors in backward, make sure to do so only once. Otherwise "
            "please open an issue with details on your use case."
        )
    return values.pop(place)


_PACKAGE = os.path.dirname(os.path.dirname(__file__)) + os.sep


def _stack():
    """Where in the function under checkpoint the program is; the frames of pullback are left out."""
    inside = []
    for frame in reversed(traceback.extract_stack()):
        if frame.filename == __file__ and frame.name in ("run", "_without_reentrant"):
            break
        if not frame.filename.startswith(_PACKAGE):
            inside.append(
                f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n    {frame.line}\n'
            )
    return "".join(reversed(inside))


def _shape_and_type(tensor):
    return {"shape": tensor.shape, "dtype": tensor.dtype, "device": tensor.device}


_DESCRIPTIONS = {"default": _shape_and_type, "none": lambda tensor: None}


@contextmanager
def _random_state(state):
    """Random numbers as they were in the forward; None: as they come."""
    with random.fork_rng(enabled=state is not None):
        if state is not None:
            random.set_rng_state(state)
        yield


def _without_reentrant(function, args, kwargs, preserve, context_fn, determinism_check, debug, early_stop):
    if debug and context_fn is not noop_context_fn:
        raise ValueError("debug=True is incompatible with non-default context_fn")
    if determinism_check not in _DESCRIPTIONS:
        raise ValueError(
            f"determinism_check should be one of {list(_DESCRIPTIONS)}, but got {determinism_check}"
        )
    forward_context, recompute_context = context_fn()
    if not _core.is_grad_enabled():
        return function(*args, **kwargs)
    state = random.get_rng_state() if preserve else None

    def run(*args):
        with _random_state(state), recompute_context:
            function(*args, **kwargs)

    region = _Region(run, args, early_stop, _DESCRIPTIONS[determinism_check], debug)
    with saved_tensors_hooks(region.pack, _unpack), forward_context:
        result = function(*args, **kwargs)
        region.finished = True
    if not region.finished:
        raise RuntimeError(
            "torch.utils.checkpoint: the forward context provided by context_fn suppressed an exception "
            "raised during the checkpointed forward. This is not supported because checkpoint cannot return "
            "a value for a failed forward."
        )
    return result


# ---- with use_reentrant=True: one node, whose backward runs a whole backward pass of its own ---------------


class CheckpointFunction(Function):
    """The node of checkpoint(..., use_reentrant=True).

    Example   >>> x = torch.ones(2, requires_grad=True)
              >>> y = torch.utils.checkpoint.checkpoint(torch.exp, x, use_reentrant=True)
              >>> type(y.grad_fn).__name__
              'CheckpointFunctionBackward'
    """

    @staticmethod
    def forward(ctx, run_function, preserve_rng_state, *args):
        check_backward_validity(args)
        ctx.run_function = run_function
        ctx.state = random.get_rng_state() if preserve_rng_state else None
        # Tensors go through save_for_backward; the others wait in their places.
        ctx.others = [None if isinstance(a, _core.Tensor) else a for a in args]
        ctx.places = [k for k, a in enumerate(args) if isinstance(a, _core.Tensor)]
        ctx.save_for_backward(*(args[k] for k in ctx.places))
        with no_grad():
            return run_function(*args)

    @staticmethod
    def backward(ctx, *gradients):
        if _core.run_asks_for_inputs():
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or passing an "
                "`inputs` parameter to .backward(). To resolve this error, you can either set "
                "use_reentrant=False, or call .backward() without passing the `inputs` argument."
            )
        inputs = list(ctx.others)
        for k, tensor in zip(ctx.places, ctx.saved_tensors, strict=True):
            inputs[k] = tensor
        inputs = detach_variable(tuple(inputs))
        with _random_state(ctx.state), enable_grad():
            outputs = ctx.run_function(*inputs)
        outputs = (outputs,) if isinstance(outputs, _core.Tensor) else outputs
        pairs = zip(outputs, gradients, strict=False)
        pairs = [(y, g) for y, g in pairs if isinstance(y, _core.Tensor) and y.requires_grad]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary\n"
                "The function cuts the graph (detach(), no_grad()): call it without checkpoint()."
            )
        run_backward([y for y, _ in pairs], [g for _, g in pairs])
        return (None, None, *(x.grad if isinstance(x, _core.Tensor) else None for x in inputs))


# ---- what users call ---------------------------------------------------------------------------------------


def _warn_of_default(function, since):
    warnings.warn(
        f"{function}: the use_reentrant parameter should be passed explicitly. {since} use_reentrant=False "
        "is recommended, but if you need to preserve the current default behavior, you can pass "
        "use_reentrant=True. Refer to docs for more details on the differences between the two variants.",
        stacklevel=3,
    )


def checkpoint(
    function,
    *args,
    use_reentrant=None,
    context_fn=noop_context_fn,
    determinism_check="default",
    debug=False,
    early_stop=True,
    **kwargs,
):
    """function(*args, **kwargs), keeping nothing inside for backward, which runs the function again.

    use_reentrant=False   the values that operations inside would save are computed again when the first of
                          them is needed; works with autograd.grad, keyword arguments, partial backwards
    use_reentrant=True    the call is one node, whose backward runs a backward pass of its own
    preserve_rng_state    the second run draws the same random numbers (default True)
    context_fn            returns two contexts: around the forward, and around the second run
    determinism_check     "default" compares shapes and types of what both runs save, "none" does not
    debug                 an error says at which lines the two runs parted
    early_stop            the second run ends with the last value that is needed

    Gradient  bit for bit that of function(*args, **kwargs)
    Errors    CheckpointError (a RuntimeError) where the second run differs; InplaceError where an argument
              was changed in between

    >>> import pullback as torch
    >>> from pullback.utils.checkpoint import checkpoint
    >>> x = torch.ones(2, requires_grad=True)
    >>> y = checkpoint(lambda t: t.exp().exp().sum(), x, use_reentrant=False)
    >>> y.backward()
    >>> x.grad
    tensor([41.1936, 41.1936])
    """
    if use_reentrant is None:
        _warn_of_default(
            "torch.utils.checkpoint",
            "Starting in PyTorch 2.9, calling checkpoint without use_reentrant will raise an exception.",
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if not use_reentrant:
        debug = debug if _Settings.debug is None else _Settings.debug
        early_stop = early_stop if _Settings.early_stop is None else _Settings.early_stop
        return _without_reentrant(
            function, args, kwargs, preserve, context_fn, determinism_check, debug, early_stop
        )
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if context_fn is not noop_context_fn or debug is not False:
        raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
    return CheckpointFunction.apply(function, preserve, *args)


def checkpoint_sequential(functions, segments, input, use_reentrant=None, **kwargs):
    """The functions one after the other, in `segments` parts, each but the last under checkpoint().

    functions     an nn.Sequential, or a list of functions of one tensor
    Errors        ValueError for other keyword arguments than preserve_rng_state

    >>> import pullback as torch
    >>> from pullback.utils.checkpoint import checkpoint_sequential
    >>> model = torch.nn.Sequential(torch.nn.Tanh(), torch.nn.Tanh(), torch.nn.Tanh())
    >>> x = torch.zeros(2, requires_grad=True)
    >>> checkpoint_sequential(model, 2, x, use_reentrant=False).sum().backward()
    >>> x.grad
    tensor([1., 1.])
    """
    if use_reentrant is None:
        _warn_of_default(
            "torch.utils.checkpoint.checkpoint_sequential",
            "In version 2.9 we will raise an exception if use_reentrant is not passed.",
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    functions = list(functions)
    size = len(functions) // segments
    begin = 0
    for _ in range(segments - 1 if size else 0):
        part = _chain(functions[begin : begin + size])
        input = checkpoint(part, input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
        begin += size
    return _chain(functions[begin:])(input)


def _chain(functions):
    def run(x):
        for f in functions:
            x = f(x)
        return x

    return run
