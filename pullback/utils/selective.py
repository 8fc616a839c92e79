"""Selective checkpoints: a policy says which results of a region are kept, and which are computed again.

Both contexts see every call of the API. An operation that is kept is not run a second time, so it packs
nothing then: what its node keeps of its operands is packed for it, in the order of the forward; the rest is
kept.
"""

from __future__ import annotations

import enum
import functools
import inspect

from pullback import _core, random
from pullback.autograd.saved import saved_tensors_hooks
from pullback.errors import InplaceError
from pullback.overrides import TorchFunctionMode
from pullback.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

__all__ = [
    "SAC_IGNORED_OPS",
    "CheckpointPolicy",
    "SelectiveCheckpointContext",
    "create_selective_checkpoint_contexts",
]

# Asked of no policy: the machinery of checkpoints calls it itself.
SAC_IGNORED_OPS = {_core.Tensor.detach}
_ACCESSORS = ("__get__", "__set__", "__delete__")  # x.shape and its like compute nothing


class CheckpointPolicy(enum.Enum):
    """What happens to a result: it is kept (SAVE, and CPU_OFFLOAD: memory is the CPU's) or computed again.

    Example   >>> from pullback.utils.checkpoint import CheckpointPolicy
              >>> CheckpointPolicy.MUST_SAVE.value
              0
    """

    MUST_SAVE = 0
    PREFER_SAVE = 1
    MUST_RECOMPUTE = 2
    PREFER_RECOMPUTE = 3
    MUST_CPU_OFFLOAD = 4
    PREFER_CPU_OFFLOAD = 5


_AGAIN = (CheckpointPolicy.MUST_RECOMPUTE, CheckpointPolicy.PREFER_RECOMPUTE)


class SelectiveCheckpointContext:
    """What a policy is told beside the call: its result. is_recompute is always False.

    Example   >>> from pullback.utils.checkpoint import SelectiveCheckpointContext
              >>> SelectiveCheckpointContext(is_recompute=False, op_output=3).op_output
              3
    """

    def __init__(self, *, is_recompute, op_output=None):
        self.is_recompute = is_recompute
        self.op_output = op_output


class _Saved:
    """A value that must not change until it is used."""

    def __init__(self, tensor, may_change):
        self.tensor, self.wants = tensor.detach(), tensor.requires_grad
        self.version = None if may_change else tensor._version

    def restore(self):
        if self.version not in (None, self.tensor._version):
            raise InplaceError(
                "Tensor cached during selective activation checkpoint has been mutated\n"
                "Change a clone of it, or give allow_cache_entry_mutation=True."
            )
        return self.tensor


class _Packed:
    """What a node keeps while the policy was not asked yet, and from then on."""

    def __init__(self, tensor):
        self.tensor, self.kept, self.place = tensor, None, None

    def unpack(self, unpack_place):
        return unpack_place(self.place) if self.kept is None else self.kept.restore()


class _Call:
    """A call of the forward; `outputs` is None for one that is run again."""

    def __init__(self, func):
        self.func, self.outputs, self.spec, self.inputs, self.random = func, None, None, (), None


def _is_same(a, b):
    return a.data_ptr() == b.data_ptr() and a.shape == b.shape and a.stride() == b.stride()


def _share_memory(outputs, operands):
    """Whether a result is an operand, or a view of one: nothing is computed for it."""
    memory = {x.untyped_storage().data_ptr() for x in operands}
    return any(y.untyped_storage().data_ptr() in memory for y in outputs)


@functools.cache
def _public_functions():
    import pullback

    callables = (_core.OpFunction, _core.Overridable)
    public = [v for v in vars(pullback).values() if isinstance(v, callables)]
    return {inspect.unwrap(v): v for v in public}


def _public(func):
    """The function of the package that does what a method or an operator does, if there is one."""
    func = getattr(func, "function", func)
    return _public_functions().get(inspect.unwrap(func), func)


def _is_asked(func):
    return func not in SAC_IGNORED_OPS and getattr(func, "__name__", None) not in _ACCESSORS


def _tensors(values):
    return [x for x in tree_leaves(values) if isinstance(x, _core.Tensor)]


class _Region:
    """The calls of one region's forward, in order."""

    def __init__(self, policy, may_change):
        self.policy, self.may_change = policy, may_change
        self.calls, self.finished = [], False


class _Keeping(TorchFunctionMode):
    """Around the forward."""

    def __init__(self, region):
        self.region = region

    def __exit__(self, *exc):
        self.region.finished = True
        return super().__exit__(*exc)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = {} if kwargs is None else kwargs
        if not _is_asked(func):
            return func(*args, **kwargs)
        call = _Call(_public(func))
        pack, unpack = _core.saved_hooks()
        before, packed = random.get_rng_state(), []

        def hold(tensor):
            packed.append(_Packed(tensor))
            return packed[-1]

        with saved_tensors_hooks(hold, lambda p: p.unpack(unpack)):
            out = func(*args, **kwargs)
        told = SelectiveCheckpointContext(is_recompute=False, op_output=out)
        policy = self.region.policy(told, call.func, *args, **kwargs)
        keeps = policy if isinstance(policy, bool) else policy not in _AGAIN
        leaves, spec = tree_flatten(out)
        operands = _tensors((args, kwargs))
        if keeps and all(isinstance(y, _core.Tensor) for y in leaves) and not _share_memory(leaves, operands):
            call.outputs, call.spec = [_Saved(y, self.region.may_change) for y in leaves], spec
            after = random.get_rng_state()
            call.random = None if _is_same_state(before, after) else after
        self._settle(call, packed, operands, pack)
        self.region.calls.append(call)
        return out

    def _settle(self, call, packed, operands, pack):
        """Packs what is computed again, and keeps the rest."""
        inputs = []
        for p in packed:
            k = None
            if call.outputs is not None:
                k = next((k for k, x in enumerate(operands) if _is_same(x, p.tensor)), None)
                if k is None:
                    p.kept = _Saved(p.tensor, self.region.may_change)
                else:
                    inputs.append(k)
            if p.kept is None:
                p.place = pack(p.tensor)
            p.tensor = None
        call.inputs = inputs


def _is_same_state(a, b):
    """Whether two states of the generator are the same bytes."""
    return a.numpy().tobytes() == b.numpy().tobytes()


class _Using(TorchFunctionMode):
    """Around the second run."""

    def __init__(self, region):
        self.region, self.at = region, 0

    def __enter__(self):
        self.at = 0  # with retain_graph=True there is a third run
        return super().__enter__()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = {} if kwargs is None else kwargs
        if not _is_asked(func):
            return func(*args, **kwargs)
        call = self._next(func)
        if call is None or call.outputs is None:
            return func(*args, **kwargs)
        pack, operands = _core.saved_hooks()[0], _tensors((args, kwargs))
        for k in call.inputs:
            pack(operands[k])
        if call.random is not None:
            random.set_rng_state(call.random)
        return tree_unflatten([y.restore().detach().requires_grad_(y.wants) for y in call.outputs], call.spec)

    def _next(self, func):
        calls, k = self.region.calls, self.at
        self.at += 1
        if k >= len(calls) and not self.region.finished:
            return None  # differentiated inside of the region
        if k >= len(calls) or calls[k].func is not _public(func):
            name = getattr(func, "__name__", func)
            raise RuntimeError(
                f"{name} encountered during backward but not found in storage. This can happen if the "
                "operations in the checkpointed region are nondeterministic or depend on global state that "
                "changed between forward and backward."
            )
        return calls[k]


def create_selective_checkpoint_contexts(policy_fn_or_list, allow_cache_entry_mutation=False):
    """The contexts of a checkpoint that keeps some results instead of computing them again.

    policy_fn_or_list             policy(ctx, op, *args, **kwargs) -> CheckpointPolicy, or a list of the
                                  operations to keep. `op` is the public function (torch.matmul, also for
                                  `a @ b` and a.matmul(b); F.linear inside nn.Linear), not an OpOverload
    allow_cache_entry_mutation    lets results that are kept be changed in place afterwards

    Views are never kept: they compute nothing. Random numbers behind one that is kept are the same again.

    Gradient  bit for bit that without checkpoint
    Errors    TypeError for anything else than a policy or a list, ValueError for a list of other things;
              in backward RuntimeError where the second run differs, InplaceError for a changed result

    >>> import functools
    >>> import pullback as torch
    >>> from pullback.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts
    >>> x = torch.ones(2, 2, requires_grad=True)
    >>> keep = functools.partial(create_selective_checkpoint_contexts, [torch.matmul])
    >>> checkpoint(lambda t: (t @ t).exp().sum(), x, use_reentrant=False, context_fn=keep).backward()
    >>> x.grad
    tensor([[29.5562, 29.5562],
            [29.5562, 29.5562]])
    """
    if isinstance(policy_fn_or_list, list):
        for op in policy_fn_or_list:
            if not callable(op):
                raise ValueError(
                    f"Expected op in `op_list` to be an OpOverload but got: {op} of type {type(op)}. \n"
                    "Give public functions, as torch.matmul."
                )
        kept = tuple(policy_fn_or_list)

        def policy(ctx, op, *args, **kwargs):
            return op in kept

    elif callable(policy_fn_or_list):
        policy = policy_fn_or_list
    else:
        raise TypeError("policy_fn_or_list must be either a function or a list of ops.")
    region = _Region(policy, allow_cache_entry_mutation)
    return _Keeping(region), _Using(region)
