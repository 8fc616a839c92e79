"""AVX-512 gives the bits of AVX2; float32 functions are the nearest values but for a few; large results,
written past the caches, are those of small ones."""

import os
import subprocess
import sys

import numpy as np
import pytest

import pullback as torch
from pullback import _core

PROGRAM = """
import hashlib
import numpy as np
import pullback as torch
from pullback import _core
from pullback.primitives.family import Elementwise
from pullback.primitives.registry import ops

random = np.random.RandomState(0)

def samples(dtype):
    if dtype == torch.float32:
        bits = np.concatenate([np.arange(0, 2**32, 65537, dtype=np.uint32),
                               random.uniform(-4, 4, 50_000).astype(np.float32).view(np.uint32)])
        return torch.from_numpy(bits.view(np.float32))
    bits = random.randint(0, 2**63, 50_000, dtype=np.uint64) << np.uint64(1)
    return torch.from_numpy(np.concatenate([bits.view(np.float64), random.uniform(-4, 4, 50_000)]))

print(_core.isa())
for name, op in ops.items():
    f, parameters = getattr(torch, name, None), op.signature.parameters
    if f is None or not isinstance(op, Elementwise) or any(p.kind != "Tensor" for p in parameters):
        continue
    for dtype in (torch.float32, torch.float64):
        x = samples(dtype)
        others = [x[torch.from_numpy(random.permutation(len(x)))] for _ in parameters[1:]]
        try:
            y = f(x, *others)
        except (RuntimeError, TypeError):  # for integers only
            continue
        if y.dtype == dtype:
            y = torch.where(y.isnan(), 7.0, y)
        print(name, dtype, hashlib.sha256(y.numpy().tobytes()).hexdigest())
"""


ACCURACY = """
import math
import numpy as np
import pullback as torch

random = np.random.RandomState(0)
x = np.concatenate([np.arange(0, 2**32, 65537, dtype=np.uint32).view(np.float32),
                    random.uniform(-10, 10, 30_000).astype(np.float32)])
edges = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1.1754942e-38, 1.17549435e-38, 3.4028235e38, 1.0,
         -1.0, 87.3, -87.3, 88.72283, 88.72284, -87.33655, -103.27893, -103.97208, 8.9, 9.02, 131072.0]
x = np.concatenate([x, np.array(edges, np.float32)])
exact = {
    "exp": np.exp, "tanh": np.tanh, "log": np.log, "log2": np.log2, "log10": np.log10, "sin": np.sin,
    "cos": np.cos, "sigmoid": lambda v: 1 / (1 + np.exp(-v)), "erf": np.vectorize(math.erf),
}
np.seterr(all="ignore")
for name, function in exact.items():
    y = getattr(torch, name)(torch.from_numpy(x)).numpy()
    true = function(x.astype(np.float64))
    near = true.astype(np.float32)
    same = (y.view(np.uint32) == near.view(np.uint32)) | (np.isnan(y) & np.isnan(near))
    place = np.ldexp(1.0, np.maximum(np.frexp(np.where(np.isfinite(true), true, 1))[1] - 24, -149))
    worst = (np.abs(y[~same].astype(np.float64) - true[~same]) / place[~same]).max(initial=0.5)
    pieces = [getattr(torch, name)(torch.from_numpy(x[i : i + 37])).numpy() for i in range(0, 37 * 50, 37)]
    whole = np.array_equal(np.concatenate(pieces), y[: 37 * 50], equal_nan=True)
    print(name, worst, same.mean(), same[-len(edges) :].mean(), whole)
"""


def printed(isa, program=PROGRAM):
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PULLBACK_ISA": isa},
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout.splitlines()


@pytest.mark.skipif(_core.isa() != "avx512", reason="this processor, or the caller, chose narrower registers")
def test_wider_registers_change_no_bit():
    wide, narrow = printed("avx512"), printed("avx2")
    assert (wide[0], narrow[0]) == ("avx512", "avx2")
    assert len(wide) > 80
    assert wide[1:] == narrow[1:]


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_float32_functions_give_the_nearest_values_but_for_a_few(isa):
    lines = [line.split() for line in printed(isa, ACCURACY)]
    assert len(lines) == 9
    for name, worst, near, near_at_edges, same_in_pieces in lines:
        assert float(worst) < 0.53 and float(near) > 0.999, (name, worst, near)
        assert float(near_at_edges) == 1, name
        assert same_in_pieces == "True", name


def pieces(f, *operands):
    """`f` of pieces of the operands, joined."""
    parts = [f(*chunk) for chunk in zip(*(x.chunk(100) for x in operands))]
    return torch.cat(parts)


@pytest.mark.parametrize("n", [4 << 20, (4 << 20) + 13])
def test_results_larger_than_the_caches(n):
    draw = np.random.RandomState(1)
    x, y = (torch.from_numpy(draw.randn(n).astype(np.float32)) for _ in range(2))
    for f in (torch.mul, lambda a, b: (a < b).double(), lambda a, b: torch.lerp(a, b, 0.3)):
        assert torch.equal(f(x, y), pieces(f, x, y))
    # Beginning off a line of the caches, and through strides.
    assert torch.equal(torch.mul(x[3:], y[:-3]), pieces(torch.mul, x[3:], y[:-3]))
    table = x[: n // 1024 * 1024].reshape(1024, -1)
    assert torch.equal(table.t() * 2.0, (table * 2.0).t())


def test_large_gradients_and_in_place():
    n = (4 << 20) + 5
    draw = np.random.RandomState(2)
    x, y = (torch.from_numpy(draw.randn(n).astype(np.float32)).requires_grad_() for _ in range(2))
    (x.tanh() * y + x * x).sum().backward()
    with torch.no_grad():
        t = x.tanh()
        expected = x + x
        expected += y * (1 - t * t)
        assert torch.allclose(x.grad, expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(y.grad, t)
        before = x.clone()
        x.mul_(y).add_(1.0)
        assert torch.equal(x, pieces(lambda a, b: a * b + 1.0, before, y))
