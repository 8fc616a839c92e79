"""Loops of each construct with the garbage collector off do not grow; threads do not meet."""

import gc
import os
import threading

import pytest

import pullback as torch
import pullback.autograd.forward_ad as fwAD
from pullback.func import (
    functional_call,
    grad,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    vjp,
    vmap,
)

X = torch.tensor([[0.5, -1.0], [2.0, 0.25]])
LINEAR = torch.nn.Linear(2, 1)
PARAMETERS = {k: v.detach() for k, v in LINEAR.named_parameters()}


def f(x):
    return (x.sin() * x).sum()


def written(x):
    z = torch.zeros(2)
    z[0] = x[1]
    return (z * x).sum()


def with_duals():
    with fwAD.dual_level():
        d = fwAD.make_dual(X, X).requires_grad_()
        return fwAD.unpack_dual(torch.autograd.grad(f(d), d)[0])


def leaf_inside(x):
    x = x.detach().requires_grad_()
    return torch.autograd.grad(f(x), x)[0]


def hooked(x):
    y = x.sin()
    y.register_hook(lambda g: g * x)
    return (y * y).sum()


class Exp(torch.autograd.Function):
    """Keeps its result for both ways."""

    @staticmethod
    def forward(x):
        return x.exp()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)
        ctx.save_for_forward(output)

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]

    @staticmethod
    def jvp(ctx, t):
        return t * ctx.saved_tensors[0]


class BatchedExp(Exp):
    generate_vmap_rule = True


class MadeInside(Exp):
    """Keeps what it makes for itself."""

    setup_context = torch.autograd.Function.setup_context

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y * 1)
        ctx.save_for_forward(y)
        return y


def changed_gelu(x):
    z = x * 1
    y = torch.nn.functional.gelu(z)
    z.add_(1)
    return y


def through(function):
    def g(x):
        y = function(x)
        y.register_hook(lambda g: g * 2)
        return (y * y).sum()

    return g


def backward_of_duals():
    w = X[0].clone().requires_grad_()
    with fwAD.dual_level():
        y = w * fwAD.make_dual(X[0], X[1])
        y.retain_grad()
        Exp.apply(y).sum().backward()


def dropped_duals():
    w = X[0].clone().requires_grad_()
    with fwAD.dual_level():
        return fwAD.unpack_dual(Exp.apply(w * fwAD.make_dual(X[0], X[1])))


def lost_view():
    a = X.clone().requires_grad_() * 1
    with torch.no_grad():
        b = a[0]
        b.add_(1)
    with pytest.raises(RuntimeError):
        b.grad_fn  # noqa: B018


CONSTRUCTS = {
    "grad": lambda: grad(f)(X),
    "vjp": lambda: vjp(f, X)[1](torch.ones(())),
    "jvp": lambda: jvp(f, (X,), (X,)),
    "linearize": lambda: linearize(f, X)[1](X),
    "vmap": lambda: vmap(f)(X),
    "vmap grad": lambda: vmap(grad(f))(X),
    "jacrev": lambda: jacrev(f)(X),
    "jacfwd": lambda: jacfwd(f)(X[0]),
    "hessian": lambda: hessian(f)(X[0]),
    "groups": lambda: vmap(lambda x: x if x[0] > 1 else -x)(X),
    "one by one": lambda: vmap(lambda x: torch.multinomial(x.abs(), 1), randomness="different")(X),
    "writes": lambda: vmap(grad(written))(X),
    "writes forward": lambda: jvp(written, (X[0],), (X[1],)),
    "captured": lambda: vmap(lambda x: torch.ones(2).add_(x).sum() if x[0] > 1 else x[0])(X),
    "random": lambda: vmap(lambda x: torch.rand(2) + x, randomness="different")(X),
    "leaf inside": lambda: vmap(leaf_inside)(X),
    "dual level": with_duals,
    "hooks": lambda: vmap(grad(hooked))(X),
    "hooks forward": lambda: jvp(grad(hooked), (X[0],), (X[1],)),
    "functional_call": lambda: functional_call(LINEAR, PARAMETERS, (X,)),
    "function": lambda: Exp.apply(X.clone().requires_grad_()),
    "function hessian": lambda: hessian(lambda x: Exp.apply(x).sum())(X[0]),
    "function vmap": lambda: vmap(grad(lambda x: BatchedExp.apply(x).sum()))(X),
    "function vmap dropped": lambda: vmap(BatchedExp.apply)(X.clone().requires_grad_()),
    "function batched hessian": lambda: hessian(lambda x: BatchedExp.apply(x).sum())(X[0]),
    "hooks through a function": lambda: hessian(through(Exp.apply))(X[0]),
    "hooks through what it made": lambda: hessian(through(MadeInside.apply))(X[0]),
    "hooks through hidden results": lambda: hessian(through(changed_gelu))(X[0]),
    "function in nested vmaps": lambda: vmap(vmap(BatchedExp.apply))(X),
    "hooks through a checkpoint": lambda: jvp(
        grad(through(lambda x: torch.utils.checkpoint.checkpoint(torch.sin, x, use_reentrant=False))),
        (X[0],),
        (X[1],),
    ),
    "checkpoint after its level": lambda: jacrev(
        jacfwd(lambda x: torch.utils.checkpoint.checkpoint(torch.sin, x, use_reentrant=False))
    )(X[0]),
    "backward of duals": backward_of_duals,
    "dropped duals": dropped_duals,
    "lost view": lost_view,
    "inference": lambda: torch.inference_mode()(grad(f))(X),
}


def resident():
    if os.environ.get("PULLBACK_SANITIZED"):
        return 0  # the address sanitizer keeps freed memory aside; the objects are still counted
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_does_not_grow(name):
    """10^4 times. The least growth of three rounds, for a leak is in each."""
    run = CONSTRUCTS[name]
    for _ in range(200):
        run()
    gc.collect()
    gc.disable()
    try:
        rounds = []
        for _ in range(3):
            before, objects = resident(), len(gc.get_objects())
            for _ in range(3400):
                run()
            rounds.append((resident() - before, len(gc.get_objects()) - objects))
    finally:
        gc.enable()
    assert min(r[0] for r in rounds) <= 65536 and min(r[1] for r in rounds) <= 5, rounds


def test_levels_are_a_threads_own():
    wrong, start = [], threading.Barrier(2)

    def work(scale):
        start.wait()
        for _ in range(200):
            x = X * scale
            if not torch.equal(vmap(grad(f))(x), grad(f)(x)):
                wrong.append(scale)
            if not torch.equal(jvp(f, (x,), (x,))[1], (grad(f)(x) * x).sum()) and scale > 0:
                got, expected = jvp(f, (x,), (x,))[1], (grad(f)(x) * x).sum()
                if not torch.allclose(got, expected):
                    wrong.append((scale, got, expected))

    threads = [threading.Thread(target=work, args=(s,)) for s in (1.0, 3.0)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []
