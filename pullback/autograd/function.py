"""Operations of a user's own: a forward and a backward written in Python, as one node of the graph."""

from __future__ import annotations

import functools
import warnings

from pullback import _core
from pullback.autograd.modes import enable_grad, no_grad
from pullback.autograd.saved import Packed, changed_since, maker, of_context
from pullback.errors import GradError, InplaceError

__all__ = ["Function", "FunctionCtx", "once_differentiable"]

_FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have "
    "already been "
    "freed). Saved intermediate values of the graph are freed when you call .backward() or "
    "autograd.grad(). Specify "
    "retain_graph=True if you need to backward through the graph a second time or if you need to access "
    "saved tensors "
    "after calling backward."
)


class FunctionCtx:
    """What forward leaves for backward. Anything may be set on it; tensors belong into "
    "save_for_backward()."""

    def __init__(self):
        self._to_save = ()
        self._entries = ()  # (tensor or None, number of the output or None, version) each; None once freed
        self._dirty = ()
        self._constant = ()
        self._materialize = True
        self._node = None  # set while backward runs
        self.needs_input_grad = ()

    def save_for_backward(self, *tensors):
        """Keeps tensors for backward, which finds them in ctx.saved_tensors."""
        for t in tensors:
            if t is not None and not isinstance(t, _core.Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {tensors.index(t)} is of type "
                    f"{type(t).__name__}"
                )
        self._to_save = tensors

    def save_for_forward(self, *tensors):
        """Accepted as in torch; forward mode does not use it."""

    def mark_dirty(self, *tensors):
        """Tells which inputs forward changed in place."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors):
        """Tells which outputs have no gradient."""
        self._constant = tensors

    def set_materialize_grads(self, value):
        """Whether backward gets zeros (the default) or None for outputs without a gradient."""
        self._materialize = value

    @property
    def saved_tensors(self):
        if self._entries is None:
            raise GradError(_FREED)
        return tuple(self._unpack(*e) for e in self._entries)

    @property
    def _raw_saved_tensors(self):
        if self._entries is None:
            raise GradError(_FREED)
        return tuple(of_context(self, k) for k in range(len(self._entries)))

    def _maker(self, tensor, output):
        if output is not None:
            return f", which is output {output} of {type(self).__name__.removesuffix('Backward')},"
        return maker(tensor)

    def _unpack(self, tensor, output, version):
        if tensor is None:
            return None
        if isinstance(tensor, Packed):
            return tensor.restore(None if output is None else self._node and (self._node, output))
        if tensor._version != version:
            raise changed_since(tensor, version, self._maker(tensor, output), self._node)
        if output is None or self._node is None:
            return tensor
        return _core.function_saved(self._node, output, tensor)


def _same(tensor, group):
    return any(tensor is t for t in group)


class Function(FunctionCtx):
    """Subclasses give static methods forward(ctx, *args) and backward(ctx, *grads); .apply(*args) runs them.

    >>> import pullback as torch
    >>> class Double(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         return g * 2
    >>> x = torch.tensor(1.0, requires_grad=True)
    >>> Double.apply(x).backward()
    >>> x.grad
    tensor(2.)
    """

    def __init__(self, *args, **kwargs):
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so "
            "you should "
            "invoke them on the class itself. Instantiating an autograd function will raise an error in a "
            "future "
            "version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    @staticmethod
    def forward(*args, **kwargs):
        """Computes the outputs. Overridden by every subclass."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx, inputs, output):
        """With a forward that takes no ctx: fills it from the inputs and the output."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        """Computes the inputs' gradients from those of the outputs. Overridden by subclasses."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use "
            "it with "
            "backward mode AD."
        )

    @classmethod
    def apply(cls, *args, **kwargs):
        """Runs forward and records it."""
        ctx = _context(cls)
        tensors = tuple(a for a in args if isinstance(a, _core.Tensor))
        recording = _core.is_grad_enabled() and any(t.requires_grad for t in tensors)
        ctx.needs_input_grad = tuple(isinstance(a, _core.Tensor) and a.requires_grad for a in args)
        ctx._is_tensor = tuple(isinstance(a, _core.Tensor) for a in args)
        with no_grad():
            if cls.setup_context is not Function.setup_context:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args, **kwargs)
        return _record(cls, ctx, tensors, output, recording)


FunctionCtx.vjp = None
Function.vjp = Function.backward
Function.generate_vmap_rule = False


@functools.cache
def _context_class(cls):
    """The class of ctx: everything that a user defines on the Function is found on it, as in torch."""
    return type(f"{cls.__name__}Backward", (cls,), {"__init__": FunctionCtx.__init__})


def _context(cls):
    return _context_class(cls)()


def _record(cls, ctx, tensors, output, recording):
    is_tuple = isinstance(output, tuple)
    items = output if is_tuple else (output,)
    node = _core.function_node(f"{cls.__name__}Backward", ctx, tensors) if recording else None
    ctx._outputs, results = [], []
    for k, item in enumerate(items):
        if not isinstance(item, _core.Tensor):
            ctx._outputs.append(None)
            results.append(item)
            continue
        results.append(_output(ctx, node, k, item, tensors))
        ctx._outputs.append((tuple(item.shape), item.dtype))
    for t in ctx._dirty:
        if not _same(t, items):
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as output. The "
                "inputs that "
                "are modified inplace must all be outputs of the Function."
            )
    ctx._inputs = tuple((tuple(t.shape), t.dtype) for t in tensors)
    _save(ctx, items, results, _core.saved_hooks() if recording else None)
    return tuple(results) if is_tuple else results[0]


def _output(ctx, node, k, item, tensors):
    if _same(item, ctx._dirty):
        item._bump_version()
        if node is None:
            return item
        if item.is_leaf and item.requires_grad:
            raise InplaceError("a leaf Variable that requires grad has been used in an in-place operation.")
        return _core.function_output(node, k, item, True)
    if _same(item, tensors):
        item = item.detach()  # an input handed on is a value of its own
    if node is None or _same(item, ctx._constant) or not item.dtype.is_floating_point:
        return item
    if item.requires_grad:
        item = item.detach()
    return _core.function_output(node, k, item, False)


def _save(ctx, items, results, hooks):
    """Outputs are kept without their place in the graph: it would be a circle."""
    entries = []
    for t in ctx._to_save:
        k = next((i for i, item in enumerate(items) if item is t), None)
        if t is None:
            entries.append((None, None, 0))
        elif k is None or not results[k].requires_grad:
            kept = t if hooks is None else Packed(t, hooks, t._gradient_edge())
            entries.append((kept, None, t._version))
        else:
            kept = t.detach()
            entries.append((kept if hooks is None else Packed(kept, hooks, None), k, t._version))
    ctx._entries, ctx._to_save = tuple(entries), ()


def _run_backward(ctx, node, grads):
    """Called by the node: the gradients of the tensor inputs, checked as torch checks them."""
    grads = tuple(grads) + (None,) * (len(ctx._outputs) - len(grads))
    if ctx._materialize:
        present = zip(grads, ctx._outputs, strict=True)
        grads = tuple(_zeros(*info) if g is None and info else g for g, info in present)
    ctx._node = node
    try:
        cls = type(ctx)
        run = cls.backward if cls.backward is not Function.backward else cls.vjp
        result = run(ctx, *grads)
    finally:
        ctx._node = None
    result = result if isinstance(result, tuple) else (result,)
    return _checked(ctx, node.name(), list(result))


def _zeros(shape, dtype):
    from pullback.creation import zeros

    return zeros(shape, dtype=dtype)


def _checked(ctx, name, result):
    expected = len(ctx._is_tensor)
    while len(result) > expected and result[-1] is None:
        result.pop()
    if len(result) != expected:
        raise RuntimeError(
            f"function {name} returned an incorrect number of gradients (expected {expected}, got "
            f"{len(result)})"
        )
    out = []
    for k, (g, is_tensor) in enumerate(zip(result, ctx._is_tensor, strict=True)):
        if not is_tensor:
            if g is not None:
                raise RuntimeError(
                    f"function {name} returned a gradient different than None at position {k + 1}, but the "
                    "corresponding forward input was not a Variable"
                )
            continue
        if g is not None and not isinstance(g, _core.Tensor):
            raise RuntimeError(f"expected Variable or None (got {type(g).__name__})")
        out.append(g if g is None else _fitted(name, len(out), g, *ctx._inputs[len(out)]))
    return tuple(out)


def _fitted(name, k, g, shape, dtype):
    if tuple(g.shape) != shape:
        lead = g.dim() - len(shape)
        if lead < 0 or any(n != m and n != 1 for n, m in zip(shape, tuple(g.shape)[lead:], strict=True)):
            raise RuntimeError(
                f"Function {name} returned an invalid gradient at index {k} - got {list(g.shape)} but "
                "expected shape "
                f"compatible with {list(shape)}"
            )
        g = _sum_to(g, shape, lead)
    return g if g.dtype == dtype else g.to(dtype)


def _sum_to(g, shape, lead):
    axes = [*range(lead), *(k + lead for k, n in enumerate(shape) if n == 1 and g.shape[k + lead] != 1)]
    return g.sum(axes, keepdim=True).reshape(shape)


class _Once(Function):
    """Stands behind gradients that must not be differentiated again."""

    @staticmethod
    def forward(ctx, *values):
        return tuple(v.detach() for v in values)

    @staticmethod
    def backward(ctx, *grads):
        raise GradError("trying to differentiate twice a function that was marked with @once_differentiable")


def once_differentiable(fn):
    """Decorates a backward whose own derivative is not right: differentiating it raises."""

    @functools.wraps(fn)
    def wrapper(ctx, *args):
        with no_grad():
            outputs = fn(ctx, *args)
        tracked = [a for a in args if isinstance(a, _core.Tensor) and a.requires_grad]
        if not _core.is_grad_enabled() or not tracked:
            return outputs
        is_tuple = isinstance(outputs, tuple)
        outputs = outputs if is_tuple else (outputs,)
        present = [o.detach().requires_grad_() for o in outputs if o is not None]
        with enable_grad():
            guarded = iter(_Once.apply(*present))
        outputs = tuple(None if o is None else next(guarded) for o in outputs)
        return outputs if is_tuple else outputs[0]

    return wrapper


_core.set_function_runner(_run_backward)
