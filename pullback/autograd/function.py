"""Operations of a user's own: a forward and a backward written in Python, as one node of the graph."""

from __future__ import annotations

import functools
import inspect
import warnings

from pullback import _core
from pullback.autograd.function_context import FunctionCtx
from pullback.autograd.grad_mode import enable_grad, no_grad
from pullback.autograd.saved import Packed
from pullback.errors import GradError, InplaceError

__all__ = [
    "BackwardCFunction",
    "Function",
    "FunctionCtx",
    "FunctionMeta",
    "InplaceFunction",
    "NestedIOFunction",
    "once_differentiable",
]


def _same(tensor, group):
    return any(tensor is t for t in group or ())


class BackwardCFunction(FunctionCtx):
    """The class of ctx; each Function has one of its own, named after it."""

    _forward_cls: type

    def _run(self, grads):
        """The user's backward (or vjp, its other name)."""
        cls = self._forward_cls
        own_backward, own_vjp = cls.backward is not Function.backward, cls.vjp is not Function.vjp
        if own_backward and own_vjp:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should "
                "only implement one of them."
            )
        return (cls.vjp if own_vjp else cls.backward)(self, *grads)


FunctionCtx.__module__ = BackwardCFunction.__module__ = "torch.autograd.function"  # as they are printed


class FunctionMeta(type):
    """Gives each Function the class of its ctx."""

    def __init__(cls, name, bases, namespace):
        super().__init__(name, bases, namespace)
        own = {"_forward_cls": cls, "__module__": BackwardCFunction.__module__}
        cls._backward_cls = type(f"{name}Backward", (BackwardCFunction,), own)


class Function(FunctionCtx, metaclass=FunctionMeta):
    """Subclasses give static methods forward(ctx, *args) and backward(ctx, *grads); .apply(*args) runs them.

    Shapes    backward returns one gradient (or None) for each argument of forward: of the argument's shape,
              or of one that broadcasting it would give, which is then summed
    Errors    what torch raises: a wrong number of gradients, a gradient for an argument that is no tensor,
              one of another shape, a leaf changed in place, ...

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

    generate_vmap_rule = False

    def __init__(self, *args, **kwargs):
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you "
            "should invoke them on the class itself. Instantiating an autograd function will raise an error "
            "in a future version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args, **kwargs):
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style "
            "autograd function with static forward method. (Example: "
            "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
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
            "it with backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx, *grad_inputs):
        """Computes the outputs' tangents from those of the inputs. Overridden by subclasses."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @staticmethod
    def vmap(info, in_dims, *args):
        """Applies the function to batched arguments. Overridden by subclasses."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap staticmethod or set "
            "generate_vmap_rule=True."
        )

    @classmethod
    def apply(cls, *args, **kwargs):
        """Runs forward and records it."""
        if _core.has_layers():  # inside vmap or forward mode
            from pullback.func import user_functions

            level = user_functions.newest_level((*args, *kwargs.values()))
            if level is not None:
                return user_functions.apply(cls, level, args, kwargs)
        return cls._apply(args, kwargs)[0]

    @classmethod
    def _apply(cls, args, kwargs):
        """The output of apply(), the ctx, and what it keeps for backward and for jvp: outputs as handed out.

        What is for jvp is with the caller: an output that ctx held would hold itself, by its node."""
        ctx = cls._backward_cls()
        sets_up = cls.setup_context is not Function.setup_context
        if sets_up:
            args, kwargs = _bound(cls.forward, args, kwargs), {}
        inputs = (*args, *kwargs.values())
        tensors = tuple(a for a in inputs if isinstance(a, _core.Tensor))
        ctx.needs_input_grad = tuple(isinstance(a, _core.Tensor) and a.requires_grad for a in inputs)
        ctx._is_tensor = tuple(isinstance(a, _core.Tensor) for a in inputs)
        recording = any(ctx.needs_input_grad) and _core.is_recording()
        # It stands where its inputs stood: forward may change them.
        node = _core.function_node(cls._backward_cls.__name__, ctx, tensors) if recording else None
        with no_grad():
            if sets_up:
                output = cls.forward(*args)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args, **kwargs)
        kept, for_jvp = ctx.to_save or (), ctx.saved_for_forward or ()
        results, made = _record(cls, ctx, node, tensors, output)
        if kept or for_jvp:
            kept, for_jvp = (tuple(made.get(id(t), t) for t in given) for given in (kept, for_jvp))
        return results, ctx, kept, for_jvp

    @classmethod
    def _arguments(cls, args, kwargs):
        """By position where setup_context() is to find all of them."""
        if cls.setup_context is Function.setup_context:
            return args, kwargs
        return _bound(cls.forward, args, kwargs), {}

    @classmethod
    def _context(cls, args, kwargs, output):
        """The ctx that the jvp of a call under transformations reads, and what it keeps, as _apply().

        The call itself gave `output`."""
        from pullback.utils._pytree import tree_leaves, tree_map  # imported with the transformations

        ctx = cls._backward_cls()
        inputs = (*args, *kwargs.values())
        ctx.needs_input_grad = tuple(isinstance(a, _core.Tensor) and a.requires_grad for a in inputs)
        with no_grad():
            if cls.setup_context is not Function.setup_context:
                cls.setup_context(ctx, args, output)
                again = output
            else:
                again = cls.forward(ctx, *args, **kwargs)
        made = dict(zip(map(id, tree_leaves(again)), tree_leaves(output), strict=True))
        kept = tuple(made.get(id(t), t) for t in ctx.to_save or ())
        for_jvp = tuple(made.get(id(t), t) for t in ctx.saved_for_forward or ())
        ctx.to_save = ctx.dirty_tensors = ctx.non_differentiable = ctx.saved_for_forward = None
        if again is not output:  # forward ran a second time, and may have put its results on ctx
            ctx.__dict__ |= tree_map(lambda t: made.get(id(t), t), ctx.__dict__)
        _note_shapes(ctx, inputs, output)
        return ctx, kept, for_jvp


def _note_shapes(ctx, inputs, output):
    """What the checks of a backward read."""
    tensors = [t for t in inputs if isinstance(t, _core.Tensor)]
    items = output if isinstance(output, tuple) else (output,)
    ctx._is_tensor = tuple(isinstance(t, _core.Tensor) for t in inputs)
    ctx._inputs = tuple((tuple(t.shape), t.dtype, t.requires_grad) for t in tensors)
    ctx._outputs = [(tuple(y.shape), y.dtype) if isinstance(y, _core.Tensor) else None for y in items]


@functools.lru_cache(maxsize=1024)
def _signature(forward):
    return inspect.signature(forward)


def _bound(forward, args, kwargs):
    """The arguments by position, defaults filled in: setup_context() finds all of them."""
    bound = _signature(forward).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.args


judge = None  # looks at (name, arguments, results) of every call while pullback.debug watches results


def _record(cls, ctx, node, tensors, output):
    is_tuple = isinstance(output, tuple)
    items = output if is_tuple else (output,)
    if judge is not None:
        judge(cls.__name__, tensors, items)
    if node is not None:
        _check_marks(ctx, tensors, items)
    ctx._outputs, results = [], []
    several = sum(isinstance(item, _core.Tensor) for item in items) > 1
    for k, item in enumerate(items):
        if not isinstance(item, _core.Tensor):
            ctx._outputs.append(None)
            results.append(item)
            continue
        results.append(_output(ctx, node, k, item, tensors, several))
        ctx._outputs.append((tuple(item.shape), item.dtype))
    ctx._inputs = tuple((tuple(t.shape), t.dtype, t.requires_grad) for t in tensors)
    if node is not None:
        _save(ctx, node, items, results, _core.saved_hooks())
    made = {id(item): result for item, result in zip(items, results, strict=True)}
    ctx.to_save = ctx.dirty_tensors = ctx.non_differentiable = ctx.saved_for_forward = None
    return (tuple(results) if is_tuple else results[0]), made


def _check_marks(ctx, inputs, outputs):
    for k, t in enumerate(ctx.dirty_tensors or ()):
        if not isinstance(t, _core.Tensor):
            raise RuntimeError(
                f"mark_dirty can only accept variables, but argument {k} is of type {type(t).__name__}"
            )
        if not _same(t, outputs):
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as output. The "
                "inputs that are modified inplace must all be outputs of the Function."
            )
        if not _same(t, inputs):
            warnings.warn(
                "ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that have been "
                "mutated should be passed to ctx.mark_dirty().",
                UserWarning,
                stacklevel=4,
            )
    for t in ctx.non_differentiable or ():
        if not isinstance(t, _core.Tensor):
            raise RuntimeError(
                f"mark_non_differentiable only accepts variable arguments, but got {type(t).__name__}"
            )


def _output(ctx, node, k, item, inputs, several):
    if _same(item, ctx.dirty_tensors) and (node is None or _same(item, inputs)):
        item._bump_version()
        return item if node is None else _changed(node, k, item, several)
    constant = node is None or not item.dtype.is_floating_point or _same(item, ctx.non_differentiable)
    if _same(item, inputs):
        if node is not None and _same(item, ctx.non_differentiable):
            return item.detach()
        with no_grad():
            item = item.view_as(item)  # an input handed on is a value of its own
    if constant:  # what forward recorded with enable_grad() is the Function's own affair
        return item.detach() if item.requires_grad and not item._is_view() else item
    if item._gradient_edge() is not None:  # forward recorded it; a view of an input leads nowhere yet
        item = item.detach()
    return _core.function_output(node, k, item, False, several)


def _changed(node, k, item, several):
    if item._base is None and item.is_leaf and item.requires_grad:
        raise InplaceError(
            "a leaf Variable that requires grad has been used in an in-place operation.\n"
            "Give the Function a clone of it, or let forward return a new tensor."
        )
    if several and item._base is not None:
        raise InplaceError(
            "If your Function modifies inplace an input that is a view of another Tensor, your Function "
            "cannot return more than one Tensor. This is not supported by the current autograd engine. You "
            "should either make sure the input is not a view (using .clone() for example) or make your "
            "Function only return one Tensor (potentially splitting it into two Functions: one doing the "
            "inplace that returns a single Tensor and a second one that does the other operations). You can "
            "ask on the forum https://discuss.pytorch.org/ if you need help to do this change."
        )
    return _core.function_output(node, k, item, True, several)


def _save(ctx, node, items, results, hooks):
    """Outputs are kept without their place in the graph: it would be a circle."""
    entries = []
    for t in ctx.to_save or ():
        if t is None:
            entries.append((None, None, 0))
            continue
        if t.is_inference() and not node._scopes & ~1:
            raise GradError(_core.INFERENCE_SAVED)
        k = next((i for i, item in enumerate(items) if item is t), None)
        if k is None or not results[k].requires_grad:
            kept = t if hooks is None else Packed(t, hooks, t._gradient_edge())
            entries.append((kept, None, _core.change_count(t)))
        else:
            kept = t.detach()
            if hooks is not None:
                kept = Packed(kept, hooks, None, (node, k))
            entries.append((kept, k, _core.change_count(t)))
    ctx._entries = tuple(entries)


def _run_backward(ctx, node, grads):
    """Called by the node: the gradients of the tensor inputs, checked as torch checks them."""
    grads = tuple(grads) + (None,) * (len(ctx._outputs) - len(grads))
    if ctx.materialize_grads:
        present = zip(grads, ctx._outputs, strict=True)
        grads = tuple(_zeros(*info) if g is None and info else g for g, info in present)
    outer, ctx._node = ctx._node, node
    try:
        result = ctx._run(grads)
    finally:
        ctx._node = outer
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
            f"{len(result)})\n"
            f"Its forward took {expected} arguments: return one gradient each, None for those that are no "
            "tensors."
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
        shape, dtype, wanted = ctx._inputs[len(out)]
        out.append(_fitted(name, len(out), g, shape, dtype) if wanted and g is not None else None)
    return tuple(out)


def _fitted(name, k, g, shape, dtype):
    if tuple(g.shape) != shape:
        lead = g.dim() - len(shape)
        if lead < 0 or any(n != m and n != 1 for n, m in zip(shape, tuple(g.shape)[lead:], strict=True)):
            raise RuntimeError(
                f"Function {name} returned an invalid gradient at index {k} - got {list(g.shape)} but "
                f"expected shape compatible with {list(shape)}"
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


_Once._backward_cls.__name__ = "torch::autograd::Error"


def once_differentiable(fn):
    """Decorates a backward whose own derivative is not right: differentiating it raises.

    Errors    GradError when its result is differentiated
    Example   >>> class Square(torch.autograd.Function):
              ...     @staticmethod
              ...     def forward(ctx, x):
              ...         ctx.save_for_backward(x)
              ...         return x * x
              ...
              ...     @staticmethod
              ...     @torch.autograd.function.once_differentiable
              ...     def backward(ctx, g):
              ...         return 2 * ctx.saved_tensors[0] * g
              >>> x = torch.tensor(3.0, requires_grad=True)
              >>> Square.apply(x).backward()
              >>> x.grad
              tensor(6.)
    """

    @functools.wraps(fn)
    def wrapper(ctx, *args):
        with no_grad():
            outputs = fn(ctx, *args)
        tracked = [a for a in args if isinstance(a, _core.Tensor) and a.requires_grad]
        if not _core.is_grad_enabled() or not tracked:
            return outputs
        is_tuple = isinstance(outputs, tuple)
        outputs = outputs if is_tuple else (outputs,)
        present = [o.detach().requires_grad_() for o in outputs if isinstance(o, _core.Tensor)]
        with enable_grad():
            guarded = iter(_Once.apply(*present))
        outputs = tuple(next(guarded) if isinstance(o, _core.Tensor) else o for o in outputs)
        return outputs if is_tuple else outputs[0]

    return wrapper


class InplaceFunction(Function):
    """A Function that carries a flag `inplace`; an old name."""

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace


def _flatten(value, leaves):
    """The structure of nested tuples, lists and dicts around tensors, which go to `leaves`."""
    if isinstance(value, _core.Tensor):
        leaves.append(value)
        return len(leaves) - 1
    if isinstance(value, (tuple, list)):
        return (type(value), [_flatten(v, leaves) for v in value])
    if isinstance(value, dict):
        return (dict, [(k, _flatten(v, leaves)) for k, v in value.items()])
    return (None, value)


def _unflatten(structure, leaves):
    if isinstance(structure, int):
        return leaves[structure]
    kind, content = structure
    if kind is None:
        return content
    if kind is dict:
        return {k: _unflatten(v, leaves) for k, v in content}
    return kind(_unflatten(v, leaves) for v in content)


def _select(structure, value, leaves):
    """What stands in `value` where the structure has its tensors, in their order."""
    if isinstance(structure, int):
        leaves.append(value)
        return
    kind, content = structure
    if kind is dict:
        for key, part in content:
            _select(part, value[key], leaves)
    elif kind is not None:
        for part, v in zip(content, value, strict=True):
            _select(part, v, leaves)


class NestedIOFunction(Function):
    """A Function whose arguments and result may be tuples, lists and dicts of tensors.

    Subclasses give forward_extended(ctx, *args) and backward_extended(ctx, grad), where grad has the
    structure of the result; it returns gradients in the structure of the arguments.

    Example   >>> class Doubled(torch.autograd.function.NestedIOFunction):
              ...     def forward_extended(ctx, pair):
              ...         return [2 * x for x in pair]
              ...
              ...     def backward_extended(ctx, grads):
              ...         return [2 * g for g in grads],
              >>> x = torch.tensor(3.0, requires_grad=True)
              >>> a, b = Doubled.apply((x, torch.tensor(1.0)))
              >>> a.backward()
              >>> x.grad
              tensor(2.)
    """

    @staticmethod
    def forward_extended(ctx, *args):
        """Computes the result. Overridden by every subclass."""
        raise NotImplementedError("You must implement forward_extended for a NestedIOFunction.")

    @staticmethod
    def backward_extended(ctx, *grad_output):
        """Computes the gradients. Overridden by every subclass."""
        raise NotImplementedError("You must implement backward_extended for a NestedIOFunction.")

    @staticmethod
    def forward(ctx, cls, structure, *tensors):
        result = []
        made = _flatten(cls.forward_extended(ctx, *_unflatten(structure, tensors)), result)
        ctx.nested = (cls, structure, made)
        return made, *result

    @staticmethod
    def backward(ctx, _, *grads):
        cls, structure, made = ctx.nested
        given = cls.backward_extended(ctx, _unflatten(made, grads))
        leaves = []
        _select(structure, given if isinstance(given, tuple) else (given,), leaves)
        return None, None, *leaves

    @classmethod
    def apply(cls, *args):
        """Runs forward_extended and records it."""
        leaves = []
        structure = _flatten(args, leaves)
        results = super().apply(cls, structure, *leaves)
        return _unflatten(results[0], results[1:])


_core.set_function_runner(_run_backward)
