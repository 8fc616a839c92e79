"""Threads that are started inside transformations, and are given the tensors there.

torch takes those for constants, or fails; here a thread's derivatives are part of the program's.
"""

import threading

import pytest

import pullback as torch
from pullback.func import grad, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap

X = torch.tensor([0.3, -1.2, 0.7], dtype=torch.float64)
ONE = torch.ones(3, dtype=torch.float64)


def in_thread(work, *args):
    found = []

    def run():
        try:
            found.append(work(*args))
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


WORK = {
    "grad": lambda x: grad(lambda z: (z**3 * x).sum())(ONE * 2),
    "grad of the same": lambda x: grad(lambda z: (z**3 * x).sum())(x),
    "vjp": lambda x: vjp(lambda z: z**3 * x, x)[1](x)[0],
    "grad grad": lambda x: grad(lambda z: grad(lambda u: (u**3 * z * x).sum())(x).sum())(x),
    "jvp": lambda x: jvp(lambda z: z**3 * x, (x,), (x,))[1],
    "jacrev": lambda x: jacrev(lambda z: z**3 * x)(x).sum(0),
    "jacfwd": lambda x: jacfwd(lambda z: z**3 * x)(x).sum(0),
    "hessian": lambda x: hessian(lambda z: (z**3 * x).sum())(x).sum(0),
    "vmap": lambda x: vmap(lambda z: z**3 * x)(x),
    "linearize": lambda x: linearize(lambda z: z**3 * x, ONE)[1](x),
    "another thread": lambda x: in_thread(lambda: grad(lambda z: (z**3 * x).sum())(x)),
}
AROUND = {
    "grad": lambda f: grad(lambda x: (f(x) * x).sum()),
    "grad grad": lambda f: grad(lambda x: (grad(lambda z: (f(z) * z).sum())(x) * x).sum()),
    "vjp": lambda f: lambda x: vjp(f, x)[1](x[:1])[0],
    "jacrev": jacrev,
    "jvp": lambda f: lambda x: jvp(f, (x,), (x,))[1],
    "jvp grad": lambda f: lambda x: jvp(grad(lambda x: (f(x) * x).sum()), (x,), (x,))[1],
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("work", WORK)
def test_derivatives_in_a_thread(work, around):
    a = AROUND[around](lambda x: in_thread(WORK[work], x).sum().reshape(1))(X)
    b = AROUND[around](lambda x: WORK[work](x).sum().reshape(1))(X)
    assert torch.allclose(a, b) and b.abs().sum() > 0


def test_what_the_thread_records_is_differentiated_around_it():
    def gradient(x):
        return (in_thread(lambda: grad(lambda z: (z * z * x).sum())(ONE)) * x).sum()

    assert torch.allclose(grad(gradient)(X), 4 * X)


def test_a_hook_of_a_thread_belongs_to_the_scope_of_its_tensor():
    calls = []

    def f(x):
        y = x.sin()
        in_thread(lambda: y.register_hook(lambda g: calls.append(1) or g * 2))
        return (y * y).sum()

    assert torch.allclose(grad(f)(X), 2 * (2 * X).sin()) and calls == [1]
    calls.clear()
    hessian(f)(X)
    assert calls == [1]


def test_more_threads_than_there_are_bits():
    """All open at once."""
    n = 40
    barrier, found = threading.Barrier(n), [None] * n

    def work(k):
        def f(x):
            barrier.wait(timeout=60)
            return (x**3 * (k + 1)).sum()

        found[k] = grad(f)(X)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for k in range(n):
        assert torch.allclose(found[k], 3 * X**2 * (k + 1))
    assert torch.allclose(hessian(lambda x: (x**3).sum())(X), torch.diag(6 * X))


def test_too_many_scopes_in_one_thread():
    f = lambda x: (x * x).sum()  # noqa: E731
    for _ in range(40):
        f = lambda x, f=f: (grad(f)(x) * x).sum()  # noqa: E731
    with pytest.raises(RuntimeError, match=r"^more than 31 transformations are nested"):
        grad(f)(X)
    assert torch.allclose(grad(lambda x: (x * x).sum())(X), 2 * X)
