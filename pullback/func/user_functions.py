"""A user's autograd.Function inside vmap and forward mode: its own rules, a generated one, or sample by
sample."""

from __future__ import annotations

from typing import NamedTuple

from pullback import _core
from pullback.func import levels
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
            "overriden vmap staticmethod. Please set generate_vmap_rule=False or delete the overriden vmap "
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
        raise RuntimeError(
            f"The vmap staticmethod of {cls.__name__} must return a tuple of (output, out_dims), got "
            f"{type(answer).__name__}"
        )
    out, out_dims = answer
    flat, out_spec = tree_flatten(out)
    places = broadcast_to_and_flatten(out_dims, out_spec)
    if places is None:
        raise RuntimeError(
            f"The vmap staticmethod of {cls.__name__} returned an incompatible (output, out_dims) tuple: "
            f"out_dims {out_dims} does not fit the structure of the output {out_spec}"
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
            kept = self.context.to_save or ()
            self.kept_many = [isinstance(x, _core.Tensor) and levels.has_level(x, level) for x in kept]
            self.kept = [levels.remove(x, level) if m else x for x, m in zip(kept, self.kept_many)]
            self.out_many = [isinstance(y, _core.Tensor) and levels.has_level(y, level) for y in flat]
            return tuple(levels.remove(y, level) if m else y for y, m in zip(flat, self.out_many))

    def backward(self, kept, grads):
        with levels.level(True, self.size) as level:
            context = self.context
            saved = [_core.add_batch(level, x) if m else x for x, m in zip(kept, self.kept_many)]
            context._entries = tuple((x, None, 0 if x is None else x._version) for x in saved)
            given = [
                _core.add_batch(level, g) if m and isinstance(g, _core.Tensor) else g
                for g, m in zip(grads, self.out_many)
            ]
            found = self.cls.backward(context, *given)
            found = found if isinstance(found, tuple) else (found,)
            return tuple(self.gradient(g, d, level) for g, d in zip(found, self.dims))

    def gradient(self, g, dim, level):
        if g is None:
            return None
        many = levels.remove(levels.include(g, level), level)
        return many if dim is not None else many.sum(0)


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
            return out

        def backward(ctx, *grads):
            return (None, *ctx.batch.backward(ctx.saved_tensors, grads))

        members = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
        _rules[cls] = type(cls.__name__, (Function,), members)
    return _rules[cls]


# ---- forward mode ----


def _push_forward(cls, level, args, kwargs):
    def value(x):
        return levels.parts(x, level)[0] if isinstance(x, _core.Tensor) else x

    def tangent(x):
        return levels.parts(x, level)[1] if isinstance(x, _core.Tensor) else None

    out, ctx = cls._apply(tree_map(value, args), tree_map(value, kwargs))
    given = [tangent(x) for x in (*args, *kwargs.values())]
    if ctx.materialize_grads:
        given = [
            value(x).new_zeros(x.shape) if t is None and _takes_tangent(x) else t
            for t, x in zip(given, (*args, *kwargs.values()))
        ]
    pushed = ctx.push_forward(given)
    flat, spec = tree_flatten(out)
    pushed = pushed if isinstance(pushed, tuple) else (pushed,)
    if len(pushed) != len(flat):
        raise RuntimeError(
            f"The jvp function of {cls.__name__} returned an incorrect number of gradients (expected "
            f"{len(flat)}, got {len(pushed)})"
        )
    joined = [
        y if t is None or not _takes_tangent(y) else levels.join(y, t, level) for y, t in zip(flat, pushed)
    ]
    return tree_unflatten(joined, spec)


def _takes_tangent(x):
    return isinstance(x, _core.Tensor) and x.dtype.is_floating_point
