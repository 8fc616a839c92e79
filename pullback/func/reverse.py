"""Reverse mode as functions: grad, grad_and_value, vjp, jacrev."""

from __future__ import annotations

import abc
import functools

from pullback import _core
from pullback.creation import eye
from pullback.errors import GradError
from pullback.func import levels
from pullback.func.arguments import (
    check_argnums,
    function_name,
    only_tensors,
    picked,
    replaced,
    split_aux,
)
from pullback.func.vmap import run_batched
from pullback.utils._pytree import tree_flatten, tree_map, tree_unflatten


def open_inputs(tensors, bit):
    """Each tensor on a node of this scope, with every batch that is open around it."""
    return _core.open_inputs(tensors, levels.open_batches(), bit)


def leave(t, bit):
    """A result on its way out of a scope: off the tape, unless something outside needs its gradient."""
    if not isinstance(t, _core.Tensor) or not t.requires_grad:
        return t
    outer = levels.outer_scopes(bit)
    return _core.leave(t, outer)


def pull_back(outputs, cotangents, inputs, run, keep_graph):
    """Gradients of `inputs`, with the inputs' layers; None where nothing arrives.

    The tape is below the layers, so they are taken off the outputs, the cotangents and the inputs together;
    then run(outputs, cotangents, inputs, keep_graph) asks the engine. Layers of the cotangents that are newer
    than the recording stay on, and the engine runs for all of their samples at once.

    Gradients with tangents come out of one run where hooks are to see them, and where gradients of them may
    follow. Else it takes two for each level, which make nothing anew that the way there had made: one for
    the values, one for the tangents.
    """
    newest = levels.newest((*outputs, *inputs))
    if newest is None:
        return run(outputs, cotangents, inputs, keep_graph)
    if newest.is_batch:
        outputs, cotangents, inputs = _core.without_batch(newest, outputs, cotangents, inputs)
        found = pull_back(outputs, cotangents, inputs, run, keep_graph)
        return _core.insert_in_all(found, newest)
    around = levels.of((*outputs, *inputs))
    along = tuple(x for x in around if not x.is_batch)
    if run.together(outputs, inputs, along):
        batches = [x for x in around if x.is_batch]
        for batch in reversed(batches):
            outputs, cotangents, inputs = _core.without_batch(batch, outputs, cotangents, inputs)
        found = run(outputs, cotangents, [_core.innermost(x) for x in inputs], keep_graph, along)
        return [None if g is None else levels.seen(g, batches) for g in found]
    return _twice(newest, outputs, cotangents, inputs, run, keep_graph)


def _twice(level, outputs, cotangents, inputs, run, keep_graph):
    """For the values and for the tangents of a level."""
    lower = [levels.remove(x, level) for x in inputs]
    ys = [levels.parts(y, level) for y in outputs]
    gs = [levels.parts(g, level) for g in cotangents]
    first = _core.peek_sequence()
    value = pull_back([y for y, _ in ys], [g for g, _ in gs], lower, run, True)
    for v in value:
        if v is not None:
            _core.lack_tangents(v, first, level, False)
    # d(g y') = g y'' + g' y': the tangents' own graph with g, and the values' with the tangents of g.
    pairs = [(dy, g) for (_, dy), (g, _) in zip(ys, gs) if dy is not None]
    pairs += [(y, dg) for (y, _), (_, dg) in zip(ys, gs) if dg is not None]
    dot = pull_back([y for y, _ in pairs], [g for _, g in pairs], lower, run, keep_graph)
    return [_joined(v, d, level) for v, d in zip(value, dot)]


def _joined(value, dot, level):
    if value is None and dot is not None:
        value = dot.new_zeros(dot.shape)
    return value if dot is None else levels.join(value, dot, level)


class Engine(abc.ABC):
    """Runs the engine, for pull_back(), in the scope that hooks know as the running one."""

    def __init__(self, scope):
        self.scope = scope

    @abc.abstractmethod
    def takes(self, output):
        """Whether gradients of it are asked for."""

    @abc.abstractmethod
    def records(self, outputs, cotangents):
        """Whether the gradients' gradients may be asked for."""

    @abc.abstractmethod
    def left(self, gradients):
        """The gradients, or None, as they are handed out."""

    def together(self, outputs, inputs, along):
        """Whether gradients are worked out together with their tangents along some levels: where hooks are to
        see them, and where it can be and there is no other way, or somebody may ask for the gradients'
        gradients along these levels."""
        from pullback.func.hooks import runs

        outputs = [y for y in outputs if self.takes(y)]
        hooks, outdated = _core.way_back(outputs, inputs)
        if any(runs(hook, self.scope) for hook in hooks):
            return True
        return (outdated or self.goes_on(along)) and not _core.any_lacks(outputs, inputs, along)

    @abc.abstractmethod
    def goes_on(self, along):
        """Whether gradients may be asked of what is handed out while the levels are open."""

    def __call__(self, outputs, cotangents, inputs, keep_graph, along=()):
        pairs = [(y, g) for y, g in zip(outputs, cotangents) if self.takes(y)]
        if not pairs:
            return [None] * len(inputs)
        ys, gs = zip(*pairs)
        record = self.records(ys, gs)
        ys = tuple(map(_core.innermost, ys))
        with levels.running(self.scope):
            found = _core.run_backward(
                ys, gs, tuple(inputs), keep_graph or record, record, False, along=along
            )
        return self.left(found)


class _OfScope(Engine):
    """The gradients of a scope, recorded where something outside of it may want the gradients' gradients.
    Once a scope is closed, another one may have its bit."""

    def __init__(self, bit, record, is_open=True):
        super().__init__(bit)
        self.record, self.bit = record, bit if is_open else 0

    def takes(self, output):
        return _core.scopes(output) & self.scope

    def records(self, outputs, cotangents):
        if not self.record:
            return False
        outer = levels.outer_scopes(self.scope)
        return bool(_core.all_scopes(outputs) & outer or _core.all_scopes(cotangents))

    def left(self, gradients):
        return _core.leave_all(gradients, levels.outer_scopes(self.bit))

    def goes_on(self, along):
        return levels.has_scope_between(along[0], self.scope)


class InProgram(Engine):
    """For torch.autograd.grad() in a program: of all that needs a gradient."""

    def __init__(self, create_graph):
        super().__init__(levels.running_scope())
        self.create_graph = create_graph

    def takes(self, output):
        return _core.innermost(output).requires_grad

    def records(self, outputs, cotangents):
        return self.create_graph

    def left(self, gradients):
        if self.create_graph:
            return gradients
        return [None if g is None else _core.leave(g, 0) for g in gradients]

    def goes_on(self, along):
        return True


def accumulate(outputs, cotangents, inputs, keep_graph, create_graph, into_grad):
    """The engine's run for backward(): gradients go into `.grad` with their tangents."""
    tensors = [y for y in outputs if isinstance(y, _core.Tensor)]
    along = tuple(levels.of(tensors))
    if any(x.is_batch for x in along):
        raise GradError(_core.BACKWARD_IN_TRANSFORM)
    cotangents = [
        ones_like(y) if g is None and isinstance(y, _core.Tensor) else g for y, g in zip(outputs, cotangents)
    ]
    outputs, inputs = (None if xs is None else tuple(map(_below, xs)) for xs in (outputs, inputs))
    with levels.running(levels.running_scope()):
        _core.run_backward(
            outputs, tuple(cotangents), inputs, keep_graph, create_graph, into_grad, along=along
        )


def _below(x):
    return _core.innermost(x) if isinstance(x, _core.Tensor) else x


def ones_like(t):
    return t.new_ones(t.shape)


def _gradients(output, opened, bit, record):
    found = pull_back([output], [ones_like(output)], opened, _OfScope(bit, record), False)
    return [x.new_zeros(x.shape) if g is None else g for x, g in zip(opened, found)]


def _value_and_gradients(func, argnums, has_aux, args, kwargs):
    record = _core.is_grad_enabled()
    with levels.scope() as bit:
        flat, spec = tree_flatten(picked(args, argnums))
        only_tensors(flat)
        roots = open_inputs(flat, bit)
        # What the function changes in place moves on; the places that gradients are asked of stay.
        handed = _core.same_places(roots)
        output = func(*replaced(args, argnums, tree_unflatten(handed, spec)), **kwargs)
        output, aux = split_aux("grad_and_value(f)(*args)", output, has_aux)
        if not isinstance(output, _core.Tensor):
            raise RuntimeError(
                f"grad_and_value(f)(*args): Expected f(*args) to return a Tensor, got {type(output)}"
            )
        if output.dim() != 0:
            raise RuntimeError(
                "grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got tensor with "
                f"{output.dim()} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
            )
        found = tree_unflatten(_gradients(output, roots, bit, record), spec)
        output = leave(output, bit)
        aux = tree_map(lambda t: leave(t, bit), aux) if has_aux else None
    return found, output, aux


def grad_and_value(func, argnums=0, has_aux=False):
    """Like grad(), and the function's value beside: (gradient, value) or (gradient, (value, aux)).

    >>> import pullback as torch
    >>> torch.func.grad_and_value(lambda x: (x * x).sum())(torch.tensor([1.0, 2.0]))
    (tensor([2., 4.]), tensor(5.))
    """

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        found, output, aux = _value_and_gradients(func, argnums, has_aux, args, kwargs)
        return (found, (output, aux)) if has_aux else (found, output)

    return wrapper


def grad(func, argnums=0, has_aux=False):
    """The function that gives the gradient of a scalar function by its argument(s) `argnums`.

    Shapes    the gradient has the structure, shapes and dtypes of the arguments
    Gradient  derivatives of any order by nesting; with respect to outer variables too
    Errors    RuntimeError where func gives no scalar tensor or an argument is missing

    >>> import pullback as torch
    >>> f = lambda x: x**3
    >>> torch.func.grad(torch.func.grad(f))(torch.tensor(2.0))
    tensor(12.)
    """

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        found, _, aux = _value_and_gradients(func, argnums, has_aux, args, kwargs)
        return (found, aux) if has_aux else found

    return wrapper


class _Pullback:
    """What vjp() gives to call: cotangents of the outputs -> cotangents of the inputs, as often as wanted."""

    def __init__(self, outputs, spec, roots, inputs_spec, bit):
        self.outputs, self.spec, self.roots, self.inputs_spec, self.bit = (
            outputs,
            spec,
            roots,
            inputs_spec,
            bit,
        )

    def __call__(self, cotangents, retain_graph=True, create_graph=None):
        flat, spec = tree_flatten(cotangents)
        if spec != self.spec:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of outputs to "
                f"the function. cotangents: {_text(spec)}, primal output: {_text(self.spec)}"
            )
        for k, (g, y) in enumerate(zip(flat, self.outputs)):
            if tuple(g.shape) != tuple(y.shape):
                raise RuntimeError(
                    f"Mismatch in shape: grad_output[{k}] has a shape of {g.shape} and output[{k}] has a "
                    f"shape of {y.shape}."
                )
        record = _core.is_grad_enabled() if create_graph is None else create_graph
        run = _OfScope(self.bit, record, is_open=False)
        found = pull_back(self.outputs, flat, self.roots, run, retain_graph)
        found = [x.new_zeros(x.shape) if g is None else g for x, g in zip(self.roots, found)]
        found = tree_unflatten(found, self.inputs_spec)
        return found


def _text(spec):
    from pullback.utils._pytree import treespec_pprint

    return treespec_pprint(spec)


def vjp(func, *primals, has_aux=False):
    """The value of func at `primals`, and the function that pulls cotangents of it back to the inputs.

    Shapes    cotangents have the structure and shapes of the output, results those of the primals
    Errors    RuntimeError where func gives something else than tensors, or cotangents do not fit

    >>> import pullback as torch
    >>> y, pull = torch.func.vjp(torch.sin, torch.zeros(2))
    >>> pull(torch.ones(2))
    (tensor([1., 1.]),)
    """
    return _vjp(func, primals, None, has_aux)


def _vjp(func, args, argnums, has_aux, forward=False):
    with levels.scope(forward) as bit:
        flat, spec = tree_flatten(args if argnums is None else picked(args, argnums))
        only_tensors(flat)
        roots = open_inputs(flat, bit)
        handed = tree_unflatten(_core.same_places(roots), spec)
        output = func(*(handed if argnums is None else replaced(args, argnums, handed)))
        output, aux = split_aux("vjp(f, *primals)", output, has_aux)
        flat_out, out_spec = tree_flatten(output)
        if not flat_out:
            raise RuntimeError(
                "vjp(f, *primals): Expected f to be a function that has non-empty output (got output = [])"
            )
        for y in flat_out:
            if not isinstance(y, _core.Tensor):
                raise RuntimeError(
                    "vjp(f, *primals): expected f(*primals) to return only tensors, got unsupported type "
                    f"{type(y)}"
                )
        left = tree_unflatten(_core.leave_all(flat_out, levels.outer_scopes(bit)), out_spec)
        aux = tree_map(lambda t: leave(t, bit), aux) if has_aux else None
    pull = _Pullback(flat_out, out_spec, roots, spec, bit)
    return (left, pull, aux) if has_aux else (left, pull)


def basis_of(tensors):
    """For each tensor, unit cotangents for every element of all of them, one after another: (n, *shape)."""
    if len(tensors) == 1:
        (t,) = tensors
        return [eye(t.numel(), dtype=t.dtype).reshape(t.numel(), *t.shape)]
    total, out, start = sum(t.numel() for t in tensors), [], 0
    for t in tensors:
        rows = eye(total, dtype=t.dtype)[:, start : start + t.numel()]
        out.append(rows.reshape(total, *t.shape))
        start += t.numel()
    return out


def jacrev(func, argnums=0, *, has_aux=False, chunk_size=None, _preallocate_and_copy=False):
    """The function that gives the Jacobian of func by its argument(s), row by row in reverse mode.

    Shapes      (*output.shape, *argument.shape) for each pair of an output and an argument
    chunk_size  how many rows are worked out at once; None: all
    Errors      ValueError for a chunk_size below 1, RuntimeError for bad argnums or outputs

    >>> import pullback as torch
    >>> torch.func.jacrev(lambda x: x * x)(torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        check_argnums(argnums)
        whole = functools.partial(func, **kwargs) if kwargs else func
        out = _vjp(whole, args, argnums, has_aux)
        output, pull = out[0], out[1]
        flat_out, out_spec = tree_flatten(output)
        for y in flat_out:
            if not y.dtype.is_floating_point:
                raise RuntimeError(
                    "vjp(f, ...): All outputs of f must be floating-point or complex Tensors, got Tensor "
                    f"with dtype {y.dtype}"
                )

        def one_row(*cotangents):
            return tuple(tree_flatten(pull(tree_unflatten(cotangents, out_spec)))[0])

        if len(flat_out) == 1 and flat_out[0].numel() == 1:  # one row needs no batch
            columns = [x.unsqueeze(0) for x in one_row(ones_like(flat_out[0]))]
        else:
            columns = run_batched(one_row, basis_of(flat_out), {}, "one_row", chunk_size=chunk_size)
        inputs_spec, n_in = pull.inputs_spec, pull.inputs_spec.num_leaves
        per_output, start = [], 0
        for y in flat_out:
            parts = [columns[k][start : start + y.numel()] for k in range(n_in)]
            start += y.numel()
            shaped = [p.reshape((*y.shape, *p.shape[1:])) for p in parts]
            per_output.append(tree_unflatten(shaped, inputs_spec))
        result = tree_unflatten(per_output, out_spec)
        return (result, out[2]) if has_aux else result

    wrapper.__name__ = function_name(func)
    return wrapper
