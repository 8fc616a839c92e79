"""A user's autograd.Function inside vmap and forward mode: its own rules, a generated one, or sample by
sample."""

from __future__ import annotations

from contextlib import contextmanager
from typing import NamedTuple

from pullback import _core, random
from pullback.autograd.function import Function
from pullback.func import kept_calls, levels
from pullback.func.forward import check_size
from pullback.func.vmap import note, randomness
from pullback.trace.tracer import functions as f
from pullback.utils._pytree import broadcast_to_and_flatten, tree_flatten, tree_map, tree_unflatten


class VmapInfo(NamedTuple):
    """What a Function's vmap() is told about the batch."""

    batch_size: int
    randomness: str


def newest_level(values):
    """The newest layer's level among tensors; None if there are no layers."""
    if not _core.has_layers():
        return None
    tops = [levels.layers(x) for x in values if isinstance(x, _core.Tensor)]
    return max((top[0] for top in tops if top is not None), key=lambda x: x.number, default=None)


def apply(cls, level, args, kwargs):
    """cls.apply(...) for arguments under a layer of `level`."""
    if not level.is_batch:
        return _push_forward(cls, level, args, kwargs)
    leaves, spec = tree_flatten((args, kwargs))
    dims = [0 if isinstance(x, _core.Tensor) and levels.has_level(x, level) else None for x in leaves]
    values = [x if d is None else levels.remove(x, level) for x, d in zip(leaves, dims)]
    has_rule, generates = _has_rule(cls), cls.generate_vmap_rule
    if has_rule and generates:
        raise RuntimeError(
            f"You tried to vmap over {cls.__name__}, but it has both generate_vmap_rule=True and an "
            "overridden vmap staticmethod. Please set generate_vmap_rule=False or delete the overridden vmap "
            "staticmethod to avoid ambiguity. For more details, please see "
            "https://pytorch.org/docs/main/notes/extending.func.html"
        )
    if has_rule:
        return _by_rule(cls, level, values, dims, spec)
    if generates:
        return _generated(cls, level, values, dims, spec)
    return _one_by_one(cls, level, values, dims, spec)


def _has_rule(cls):
    return cls.vmap is not Function.vmap


def _by_rule(cls, level, values, dims, spec):
    args, _ = tree_unflatten(values, spec)
    in_dims, _ = tree_unflatten(dims, spec)
    answer = cls.vmap(VmapInfo(level.size, randomness()), in_dims, *args)
    if not (isinstance(answer, tuple) and len(answer) == 2):
        got = f"{len(answer)} returns" if isinstance(answer, tuple) else f"a {type(answer)}"
        raise RuntimeError(
            "Expected the vmap staticmethod to have two returns, an output and out_dims with pytree "
            f"structure compatible with the output. Got {got} instead\n"
            f"{cls.__name__}.vmap is to end with `return output, out_dims`."
        )
    out, out_dims = answer
    flat, out_spec = tree_flatten(out)
    places = broadcast_to_and_flatten(out_dims, out_spec)
    if places is None:
        raise RuntimeError(
            "The autograd.Function's vmap staticmethod returned an incompatible (output, out_dims) tuple. "
            f"Expected out_dims={out_dims} to be compatible with the structure of `output`. out_dims has "
            f"structure {tree_flatten(out_dims)[1]} but output has structure {out_spec}. For more details, "
            "please see https://pytorch.org/docs/main/notes/extending.func.html"
        )
    wrapped = [y if d is None else levels.insert(y.movedim(d, 0), level) for y, d in zip(flat, places)]
    return tree_unflatten(wrapped, out_spec)


def _one_by_one(cls, level, values, dims, spec):
    if level.size == 0:
        _core.refuse_batch(f"{cls.__name__} has no rule for batches, and this one is empty")
    note(f"{cls.__name__} was run sample by sample: it has no vmap rule and no generate_vmap_rule")
    rows, out_spec = [], None
    for k in range(level.size):
        one = [x if d is None else x[k] for x, d in zip(values, dims)]
        args, kwargs = tree_unflatten(one, spec)
        flat, out_spec = tree_flatten(cls.apply(*args, **kwargs))
        if _returned(one, flat):
            raise RuntimeError(
                f"{cls.__name__} changes its arguments in place (mark_dirty), which cannot be done sample by "
                "sample\nGive it a vmap staticmethod, or let forward return a new tensor."
            )
        rows.append(flat)
    columns = [
        levels.insert(f["stack"](list(column)), level) if isinstance(column[0], _core.Tensor) else column[0]
        for column in zip(*rows, strict=True)
    ]
    return tree_unflatten(columns, out_spec)


# ---- generate_vmap_rule: forward and backward themselves run under a level ----


class _Batch:
    """A call for a batch: which values have samples on the way in and, once it was run, on the way out."""

    def __init__(self, cls, level, dims, spec):
        self.cls, self.size, self.dims, self.spec = cls, level.size, dims, spec
        self.out_spec, self.out_many = None, ()

    def run(self, values):
        """(the results, the run, what it keeps for backward and for jvp). Whoever holds the run must not hold
        what it keeps: results would hold themselves, by their node."""
        cls, context = self.cls, self.cls._backward_cls()
        with levels.level(True, self.size) as level:
            given = [x if d is None else _core.add_batch(level, x) for x, d in zip(values, self.dims)]
            args, _ = tree_unflatten(given, self.spec)
            context.needs_input_grad = tuple(isinstance(x, _core.Tensor) for x in args)
            if _sets_up(cls):
                out = cls.forward(*args)
                cls.setup_context(context, args, out)
            else:  # the rule of another batch
                out = cls.forward(context, *args)
            flat, self.out_spec = tree_flatten(out)
            # An argument or a result that is kept stays one object: by that its place on the tape is known.
            below = {id(g): x for g, x in zip(given, values)}
            results, self.out_many = _taken(flat, level, below)
            run = _Run(self, context)
            return tuple(results), run, *run.hand_over(level, below)


_TENSOR = object()


class _Run:
    """One run of it, with the ctx that it filled for all samples."""

    def __init__(self, batch, context):
        self.batch, self.context = batch, context

    def hand_over(self, level, below):
        """What is to be kept for backward and for jvp; behind the rest, the tensors that are attributes."""
        ctx = self.context
        kept, for_jvp = list(ctx.to_save or ()), list(ctx.saved_for_forward or ())
        ctx.to_save = ctx.dirty_tensors = ctx.non_differentiable = ctx.saved_for_forward = None
        self.named, own = {}, []
        for name, value in ctx.__dict__.items():
            leaves, spec = tree_flatten(value)
            if any(isinstance(x, _core.Tensor) for x in leaves):
                self.named[name] = [_TENSOR if isinstance(x, _core.Tensor) else x for x in leaves], spec
                own += [x for x in leaves if isinstance(x, _core.Tensor)]
        for name in self.named:
            del ctx.__dict__[name]
        self.own = len(own)
        kept, self.kept_many = _taken(kept + own, level, below)
        for_jvp, self.for_jvp_many = _taken(for_jvp + own, level, below)
        return kept, for_jvp

    @contextmanager
    def filled(self, kept, many):
        """A level and what was kept, under it; its attributes are on ctx for the time of the block."""
        with levels.level(True, self.batch.size) as level:
            kept = _given(kept, many, level)
            own = iter(kept[len(kept) - self.own :])
            for name, (leaves, spec) in self.named.items():
                whole = [next(own) if x is _TENSOR else x for x in leaves]
                self.context.__dict__[name] = tree_unflatten(whole, spec)
            try:
                yield level, kept[: len(kept) - self.own]
            finally:
                for name in self.named:
                    self.context.__dict__.pop(name, None)

    def jvp(self, kept, tangents):
        batch = self.batch
        with self.filled(kept, self.for_jvp_many) as (level, saved):
            arrived = _given(tangents, [d is not None for d in batch.dims], level)
            pushed = self.context.push_forward(arrived, saved)
            pushed = pushed if isinstance(pushed, tuple) else (pushed,)
            return tuple(
                levels.remove(levels.include(t, level), level) if m and isinstance(t, _core.Tensor) else t
                for t, m in zip(pushed, batch.out_many)
            )

    def backward(self, kept, grads):
        batch, context = self.batch, self.context
        with self.filled(kept, self.kept_many) as (level, saved):
            context._entries = tuple((x, None, 0 if x is None else _core.change_count(x)) for x in saved)
            try:
                found = context._run(_given(grads, batch.out_many, level))
            finally:
                context._entries = ()
            found = found if isinstance(found, tuple) else (found,)
            return tuple(_of_input(g, d, level) for g, d in zip(found, batch.dims))


def _of_input(g, dim, level):
    """The gradient of an input that has samples along `dim`, or that all share."""
    if g is None:
        return None
    many = levels.remove(levels.include(g, level), level)
    return many if dim is not None else many.sum(0)


def _sets_up(cls):
    return cls.setup_context is not Function.setup_context


def _taken(values, level, below):
    """Values without the level's layer, and which of them had it; `below`: those that were taken before."""
    many = [isinstance(x, _core.Tensor) and levels.has_level(x, level) for x in values]
    for x, m in zip(values, many):
        if m and id(x) not in below:
            below[id(x)] = levels.remove(x, level)
    return [below[id(x)] if m else x for x, m in zip(values, many)], many


def _given(values, many, level):
    """The inverse of _taken, under a level of the same size."""
    return [
        _core.add_batch(level, x) if m and isinstance(x, _core.Tensor) else x for x, m in zip(values, many)
    ]


def _generated(cls, level, values, dims, spec):
    if not _sets_up(cls) and not hasattr(cls, "_of_batch"):
        raise RuntimeError(
            f"You tried to vmap over {cls.__name__}, but generate_vmap_rule=True needs a forward without ctx "
            "and a setup_context staticmethod."
        )
    batch = _Batch(cls, level, dims, spec)
    out = _rule_for(cls).apply(batch, *values)
    out = out if isinstance(out, tuple) else (out,)
    flat = [levels.insert(y, level) if m else y for y, m in zip(out, batch.out_many)]
    return tree_unflatten(flat, batch.out_spec)


def _rule_for(cls):
    """The Function whose forward and backward run those of cls for all samples. Named as cls, for grad_fn.
    In another batch it has such a rule in its turn."""
    if "_batch_rule" in cls.__dict__:
        return cls._batch_rule

    def forward(ctx, batch, *values):
        out, ctx.run, kept, for_jvp = batch.run(values)
        ctx.save_for_backward(*kept)
        ctx.save_for_forward(*for_jvp)
        return out

    def jvp(ctx, _, *tangents):
        return ctx.run.jvp(ctx.saved_tensors, tangents)

    def backward(ctx, *grads):
        return (None, *ctx.run.backward(ctx.saved_tensors, grads))

    members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    members |= {"generate_vmap_rule": True, "_of_batch": True}
    if cls.jvp is not Function.jvp:
        members["jvp"] = staticmethod(jvp)
    cls._batch_rule = type(cls.__name__, (Function,), members)
    return cls._batch_rule


# ---- forward mode ----


def _push_forward(cls, level, args, kwargs):
    """The values by apply(), whatever lies under the level; the tangents by jvp()."""

    def value(x):
        return levels.parts(x, level)[0] if isinstance(x, _core.Tensor) else x

    def tangent(x):
        return levels.parts(x, level)[1] if isinstance(x, _core.Tensor) else None

    first, epoch, state = _core.peek_sequence(), _core.begin_epoch(), random.get_rng_state()
    args, kwargs = cls._arguments(args, kwargs)
    values, named, given = tree_map(value, args), tree_map(value, kwargs), (*args, *kwargs.values())
    below = (*values, *named.values())
    if newest_level(tree_flatten((values, named))[0]) is None:
        out, ctx, saved, for_jvp = cls._apply(values, named)
    else:
        out = cls.apply(*values, **named)
        _check_unchanged(cls, below, out)
        with kept_calls.random_numbers_from(state):
            ctx, saved, for_jvp = cls._context(values, named, out)
    tangents = [tangent(x) for x in given]
    if ctx.materialize_grads:
        tangents = [
            x.new_zeros(x.shape) if t is None and _takes_tangent(x) else t for t, x in zip(tangents, below)
        ]
    flat, spec = tree_flatten(out)
    pushed = _checked(ctx.push_forward(tangents, for_jvp), flat, level)
    joined = [
        y if t is None or not _takes_tangent(y) else levels.join(y, t, level) for y, t in zip(flat, pushed)
    ]
    if any(_takes_tangent(y) and y.requires_grad for y in flat):
        call, arguments, results = (args, kwargs, state), list(zip(below, given)), list(zip(flat, joined))
        found = kept_calls.recorded(ctx, level, saved, call, arguments, results, spec, epoch)
        if found is None:
            for y in flat:
                if _takes_tangent(y) and y.requires_grad:
                    _core.lack_tangents(y, first, level, True)
        joined = found or joined
    changed = {id(x): seen for x, seen in zip(below, given) if isinstance(x, _core.Tensor)}
    return tree_unflatten([_moved(changed.get(id(y)), z) for y, z in zip(flat, joined)], spec)


def _returned(arguments, outputs):
    """Whether an argument is among the outputs: only one that was changed in place is handed out as it is."""
    given = {id(x) for x in arguments if isinstance(x, _core.Tensor)}
    return any(id(y) in given for y in outputs)


def _check_unchanged(cls, arguments, output):
    """Where forward is to be run a second time, it must find its arguments as they were."""
    if not _sets_up(cls) and _returned(arguments, tree_flatten(output)[0]):
        raise RuntimeError(
            f"{cls.__name__} changes its arguments in place (mark_dirty), and is called under several "
            "transformations\nGive it a forward without ctx and a setup_context staticmethod."
        )


def _moved(argument, result):
    """A result; an argument that was changed in place (mark_dirty) becomes it."""
    if argument is None:
        return result
    if argument._base is not None:
        raise RuntimeError(
            "a Function with a jvp() changed a view in place under forward mode\n"
            "Give it a clone: the view's base does not get the tangent."
        )
    _core.take_place(argument, result)
    return argument


def _checked(pushed, outputs, level):
    """What a jvp() returned: a tangent or None for each output."""
    pushed = pushed if isinstance(pushed, tuple) else (pushed,)
    if len(pushed) != len(outputs):
        raise RuntimeError(
            "Function's jvp returned an invalid number of forward gradients (expected "
            f"{len(outputs)} but got {len(pushed)})\nReturn one for each output of forward."
        )
    for k, (t, y) in enumerate(zip(pushed, outputs)):
        if t is None:
            continue
        if not isinstance(t, _core.Tensor):
            raise RuntimeError(
                f"expected Variable or None (got {type(t).__name__}) for grad output {k}.\nA jvp returns a "
                "tensor for each output, None where it does not depend on the inputs."
            )
        if _takes_tangent(y):
            check_size(y, t)
    return pushed


def _takes_tangent(x):
    return isinstance(x, _core.Tensor) and x.dtype.is_floating_point
