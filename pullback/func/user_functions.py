"""A user's autograd.Function inside vmap and forward mode: its own rules, a generated one, or sample by
sample."""

from __future__ import annotations

from typing import NamedTuple

from pullback import _core
from pullback.func import levels
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
    from pullback.autograd.function import Function

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
    """One generated rule's call: which values have samples, on the way in, kept, and out."""

    def __init__(self, cls, level, dims, spec):
        self.cls, self.size, self.dims, self.spec = cls, level.size, dims, spec
        self.kept, self.kept_many, self.out_spec, self.out_many, self.context = (), (), None, (), None
        self.for_jvp, self.for_jvp_many = (), ()

    def forward(self, values):
        cls = self.cls
        with levels.level(True, self.size) as level:
            given = [x if d is None else _core.add_batch(level, x) for x, d in zip(values, self.dims)]
            args, _ = tree_unflatten(given, self.spec)
            self.context = cls._backward_cls()
            self.context.needs_input_grad = tuple(isinstance(x, _core.Tensor) for x in args)
            out = cls.forward(*args)
            cls.setup_context(self.context, args, out)
            flat, self.out_spec = tree_flatten(out)
            # An argument or a result that is kept stays one object: by that its place on the tape is known.
            below = {id(g): x for g, x in zip(given, values)}
            results, self.out_many = _taken(flat, level, below)
            self.kept, self.kept_many = _taken(self.context.to_save or (), level, below)
            self.for_jvp, self.for_jvp_many = _taken(self.context.saved_for_forward or (), level, below)
            return tuple(results)

    def let_go(self):
        """Results that ctx held by its batch would hold themselves, by their node."""
        self.kept = self.for_jvp = ()
        self.context.to_save = self.context.saved_for_forward = None

    def jvp(self, kept, tangents):
        with levels.level(True, self.size) as level:
            arrived = _given(tangents, [d is not None for d in self.dims], level)
            pushed = self.context.push_forward(arrived, _given(kept, self.for_jvp_many, level))
            pushed = pushed if isinstance(pushed, tuple) else (pushed,)
            return tuple(
                levels.remove(levels.include(t, level), level) if m and isinstance(t, _core.Tensor) else t
                for t, m in zip(pushed, self.out_many)
            )

    def backward(self, kept, grads):
        with levels.level(True, self.size) as level:
            context = self.context
            saved = _given(kept, self.kept_many, level)
            context._entries = tuple((x, None, 0 if x is None else _core.change_count(x)) for x in saved)
            try:
                found = self.cls.backward(context, *_given(grads, self.out_many, level))
            finally:
                context._entries = ()
            found = found if isinstance(found, tuple) else (found,)
            return tuple(self.gradient(g, d, level) for g, d in zip(found, self.dims))

    def gradient(self, g, dim, level):
        if g is None:
            return None
        many = levels.remove(levels.include(g, level), level)
        return many if dim is not None else many.sum(0)


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
    from pullback.autograd.function import Function

    if cls.setup_context is Function.setup_context:
        raise RuntimeError(
            f"You tried to vmap over {cls.__name__}, but generate_vmap_rule=True needs a forward without ctx "
            "and a setup_context staticmethod."
        )
    batch = _Batch(cls, level, dims, spec)
    out = _rule_for(cls).apply(batch, *values)
    out = out if isinstance(out, tuple) else (out,)
    flat = [levels.insert(y, level) if m else y for y, m in zip(out, batch.out_many)]
    return tree_unflatten(flat, batch.out_spec)


_rules: dict = {}


def _rule_for(cls):
    """The Function whose forward and backward run those of cls for all samples. Named as cls, for grad_fn."""
    from pullback.autograd.function import Function

    if cls not in _rules:

        def forward(ctx, batch, *values):
            out = batch.forward(values)
            ctx.batch = batch
            ctx.save_for_backward(*batch.kept)
            ctx.save_for_forward(*batch.for_jvp)
            batch.let_go()
            return out

        def jvp(ctx, _, *tangents):
            return ctx.batch.jvp(ctx.saved_tensors, tangents)

        def backward(ctx, *grads):
            return (None, *ctx.batch.backward(ctx.saved_tensors, grads))

        members = {name: staticmethod(rule) for name, rule in (("forward", forward), ("backward", backward))}
        if cls.jvp is not Function.jvp:
            members["jvp"] = staticmethod(jvp)
        _rules[cls] = type(cls.__name__, (Function,), members)
    return _rules[cls]


# ---- forward mode ----


def _push_forward(cls, level, args, kwargs):
    """The values by apply(), whatever lies under the level; the tangents by jvp()."""

    def value(x):
        return levels.parts(x, level)[0] if isinstance(x, _core.Tensor) else x

    def tangent(x):
        return levels.parts(x, level)[1] if isinstance(x, _core.Tensor) else None

    first, epoch = _core.peek_sequence(), _core.begin_epoch()
    args, kwargs = cls._arguments(args, kwargs)
    values, named, given = tree_map(value, args), tree_map(value, kwargs), (*args, *kwargs.values())
    below = (*values, *named.values())
    if newest_level(tree_flatten((values, named))[0]) is None:
        out, ctx, saved, for_jvp = cls._apply(values, named)
    else:
        out = cls.apply(*values, **named)
        _check_unchanged(cls, below, out)
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
        joined = _recorded(ctx, level, saved, (given, below), (flat, joined), first, epoch)
    changed = {id(x): seen for x, seen in zip(below, given) if isinstance(x, _core.Tensor)}
    return tree_unflatten([_moved(changed.get(id(y)), z) for y, z in zip(flat, joined)], spec)


def _returned(arguments, outputs):
    """Whether an argument is among the outputs: only one that was changed in place is handed out as it is."""
    given = {id(x) for x in arguments if isinstance(x, _core.Tensor)}
    return any(id(y) in given for y in outputs)


def _check_unchanged(cls, arguments, output):
    """Where forward is to be run a second time, it must find its arguments as they were."""
    from pullback.autograd.function import Function

    if cls.setup_context is Function.setup_context and _returned(arguments, tree_flatten(output)[0]):
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


def _recorded(ctx, level, saved, arguments, results, first, epoch):
    """The results on the tape. The pairs are what the program knows and what lies below the level."""
    from pullback.func import kept_calls

    (given, below), (flat, joined) = arguments, results
    pairs = [(x, y) for x, y in zip((*below, *flat), (*given, *joined)) if isinstance(x, _core.Tensor)]
    tensors = [x for x in given if isinstance(x, _core.Tensor)]
    made = [y for y in joined if isinstance(y, _core.Tensor)]
    found = kept_calls.recorded(ctx, level, saved, pairs, tensors, made, epoch)
    if found is not None:
        found = iter(found)
        return [next(found) if isinstance(y, _core.Tensor) else y for y in joined]
    for y in flat:
        if _takes_tangent(y) and y.requires_grad:
            _core.lack_tangents(y, first, level, True)
    return joined


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
