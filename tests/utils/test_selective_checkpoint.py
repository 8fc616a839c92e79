"""Selective checkpoints: what a policy keeps is not computed again, and gradients are the same bits."""

import functools
import itertools

import pytest

import pullback as torch
import pullback.nn.functional as F
from pullback.errors import InplaceError
from pullback.overrides import wrap_torch_function
from pullback.utils import checkpoint as module
from pullback.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts


def block(x, w):
    h = F.layer_norm((x @ w).exp().sin(), (4,))
    h = F.dropout(h, 0.5) * torch.cat([h, h])[:3].softmax(1)
    parts = torch.split(F.linear(h, w).tanh(), 2, 1)
    h = F.dropout(torch.cat(parts, 1) * h.T.T, 0.5).reshape(-1)
    return (h.view(3, 4) + torch.topk(h, 2).values.sum()).square().sum()


def leaves():
    torch.manual_seed(1)
    return torch.randn(3, 4, requires_grad=True), torch.randn(4, 4, requires_grad=True)


def gradients(run, times=1):
    x, w = leaves()
    torch.manual_seed(2)
    y = run(x, w)
    for _ in range(times):
        y.backward(retain_graph=True)
    return x.grad, w.grad


def kept(policy, **options):
    context = functools.partial(create_selective_checkpoint_contexts, policy, **options)
    return lambda *args: checkpoint(block, *args, use_reentrant=False, context_fn=context)


OPS = [torch.matmul, torch.exp, F.linear, F.dropout, F.layer_norm, torch.softmax, torch.split, torch.topk]
SETS = [list(ops) for n in (0, 1, 2, len(OPS)) for ops in itertools.combinations(OPS, n)]


@pytest.mark.parametrize("ops", SETS, ids=lambda ops: ",".join(op.__name__ for op in ops) or "none")
def test_gradients_are_the_same(ops):
    expected = gradients(block)
    for found, e in zip(gradients(kept(ops)), expected, strict=True):
        assert found.equal(e)


@pytest.mark.parametrize("seed", range(6))
def test_any_choice_gives_the_same(seed):
    choices = torch.rand(100, generator=torch.Generator().manual_seed(seed)).gt(0.5).tolist()

    def policy(ctx, op, *args, **kwargs):
        assert ctx.is_recompute is False and ctx.op_output is not None
        return CheckpointPolicy.PREFER_SAVE if choices.pop() else CheckpointPolicy.MUST_RECOMPUTE

    for found, e in zip(gradients(kept(policy), 2), gradients(block, 2), strict=True):
        assert found.equal(e)
    assert len(choices) < 85


def test_what_is_kept_is_not_run_again():
    runs = []

    @wrap_torch_function(lambda x: (x,))
    def slow(x):
        runs.append(x)
        return x.exp()

    def count(policy):
        runs.clear()
        x = torch.ones(2, requires_grad=True)
        context = functools.partial(create_selective_checkpoint_contexts, policy)
        y = checkpoint(lambda x: slow(x.sin()).cos().sum(), x, use_reentrant=False, context_fn=context)
        y.backward(retain_graph=True)
        y.backward()
        return len(runs)

    assert count([]) == 3
    assert count([slow]) == 1
    assert count(lambda ctx, op, *args, **kwargs: True) == 1
    assert count(lambda ctx, op, *args, **kwargs: CheckpointPolicy.MUST_RECOMPUTE) == 3


def test_layers_and_second_derivatives():
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    x = torch.randn(3, 4, requires_grad=True)

    def second(run):
        (g,) = torch.autograd.grad(run(x).sum(), x, create_graph=True)
        return torch.autograd.grad(g.square().sum(), [x, *list(net.parameters())[:2]])

    for ops in ([], [F.linear], [torch.tanh], [F.linear, torch.tanh]):
        context = functools.partial(create_selective_checkpoint_contexts, ops)
        run = functools.partial(checkpoint, net, use_reentrant=False, context_fn=context)
        for found, expected in zip(second(run), second(net), strict=True):
            assert found.equal(expected)


def test_misuse():
    for wrong, kind, text in (
        (3, TypeError, "policy_fn_or_list must be either a function or a list of ops."),
        (
            ["mm"],
            ValueError,
            "Expected op in `op_list` to be an OpOverload but got: mm of type <class 'str'>. ",
        ),
    ):
        with pytest.raises(kind) as e:
            create_selective_checkpoint_contexts(wrong)
        assert str(e.value).split("\n")[0] == text
    x = torch.ones(2, requires_grad=True)

    def changes(x):
        y = x.exp()
        z = y * 2
        y.add_(1)
        return z.sin().sum()

    context = functools.partial(create_selective_checkpoint_contexts, [torch.exp])
    with pytest.raises(InplaceError, match="Tensor cached during selective activation checkpoint has been"):
        checkpoint(changes, x, use_reentrant=False, context_fn=context).backward()
    how = iter([torch.sin, torch.cos])
    y = checkpoint(lambda x: next(how)(x).exp().sum(), x, use_reentrant=False, context_fn=context)
    with pytest.raises(RuntimeError, match="cos encountered during backward but not found in storage"):
        y.backward()


def test_states_of_devices():
    assert module.get_device_states(torch.ones(2), 3) == ([], [])
    assert module.set_device_states([], []) is None
    with pytest.raises(RuntimeError, match="Torch not compiled with CUDA enabled"):
        module.set_device_states([0], [torch.get_rng_state()])


def test_a_policy_sees_the_public_function_for_methods_and_operators():
    seen = []

    def policy(ctx, op, *args, **kwargs):
        seen.append(op)
        return False

    context = functools.partial(create_selective_checkpoint_contexts, policy)
    x = torch.ones(2, 2, requires_grad=True)
    run = lambda t: ((t @ t).matmul(t).mm(t) + 1).exp().sum()  # noqa: E731
    checkpoint(run, x, use_reentrant=False, context_fn=context).backward()
    assert seen == [torch.matmul, torch.matmul, torch.mm, torch.add, torch.exp, torch.sum]
