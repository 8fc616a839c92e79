"""The rows of transforms.py in JAX, compiled, in one process: run by name on request, as worker.py does."""

from __future__ import annotations

import itertools
import sys

import jax
import jax.numpy as jnp
import numpy as np
from turns import TURN, turn


def drawn(*shape):
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), dtype=jnp.float32)


def network(sizes):
    return [(drawn(m, n) / m**0.5, drawn(n)) for m, n in itertools.pairwise(sizes)]


def forward(p, x):
    for w, b in p[:-1]:
        x = jnp.tanh(x @ w + b)
    w, b = p[-1]
    return x @ w + b


def rosenbrock_hessian():
    h = jax.hessian(lambda x: (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())
    return h, (drawn(50),)


def gradients_per_sample():
    loss = lambda p, x, y: ((forward(p, x) - y) ** 2).mean()  # noqa: E731
    p = network([64, 64, 64, 1])
    return jax.vmap(jax.grad(loss), (None, 0, 0)), (p, drawn(256, 64), drawn(256, 1))


def physics_informed():
    u = lambda p, z: forward(p, z)[0]  # noqa: E731
    slope = jax.grad(u, argnums=1)

    def residual(p, z):
        d, dd = slope(p, z), jax.jacfwd(slope, argnums=1)(p, z)
        return d[1] + u(p, z) * d[0] - 0.01 * dd[0, 0]

    loss = lambda p, points: (jax.vmap(residual, (None, 0))(p, points) ** 2).mean()  # noqa: E731
    return jax.grad(loss), (network([2, 32, 32, 1]), drawn(256, 2))


def dense_jacobian():
    return jax.jacrev(lambda v, a: jnp.tanh(a @ v) * v), (drawn(100), drawn(100, 100))


# The names of transforms.py.
ROWS = {
    "Hessian, Rosenbrock of 50": rosenbrock_hessian,
    "gradients per sample, MLP 64-64-64-1, 256": gradients_per_sample,
    "physics-informed loss, 2-32-32-1, 256": physics_informed,
    "Jacobian, dense 100x100": dense_jacobian,
}


def main():
    made = {}
    print("ready", flush=True)
    for line in sys.stdin:
        name = line.strip()
        first = name not in made
        if first:
            function, arguments = ROWS[name]()
            made[name] = jax.jit(function), arguments
        function, arguments = made[name]
        # What is answered first is the first call, which compiles.
        once = lambda: jax.block_until_ready(function(*arguments))  # noqa: E731, B023
        print(turn(once, 1, 0 if first else TURN), flush=True)


main()
