"""Matrix products in every layout, on each instruction set: near the exact product, and the same bits
wherever there are fused multiply-adds, with one thread and with two."""

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import pullback as torch

# Around the edges of tiles (6 or 14 rows, 16 or 32 columns), of packed blocks (384 deep, 112 rows, 512
# columns) and of what a BLAS may take.
SIZES = [
    (5, 7, 9),
    (13, 40, 31),
    (14, 33, 32),
    (15, 385, 33),
    (29, 129, 65),
    (57, 24, 520),
    (64, 784, 128),
    (113, 500, 47),
    (128, 64, 784),
    (230, 390, 530),
    (1030, 66, 530),
    (260, 770, 300),
]
LAYOUTS = ("rows", "columns", "every second", "part of wider rows")
PAIRS = [(a, b) for a in LAYOUTS for b in LAYOUTS]


def operand(rng, rows, columns, layout, dtype):
    if layout == "columns":
        return torch.from_numpy(rng.standard_normal((columns, rows)).astype(dtype)).t()
    if layout == "every second":
        return torch.from_numpy(rng.standard_normal((rows, 2 * columns)).astype(dtype))[:, ::2]
    wide = torch.from_numpy(rng.standard_normal((rows, columns + 3)).astype(dtype))
    return wide[:, 1 : columns + 1] if layout == "part of wider rows" else wide[:, :columns].contiguous()


def products():
    """(what, result, exact, sum of magnitudes) for each size, layout and type."""
    rng = np.random.default_rng(0)
    for i, (m, k, n) in enumerate(SIZES):
        for j, (left, right) in list(enumerate(PAIRS))[i % 3 :: 3]:
            dtype = "float64" if (i + j) % 3 == 0 else "float32"
            a, b = operand(rng, m, k, left, dtype), operand(rng, k, n, right, dtype)
            exact = a.numpy().astype("f8") @ b.numpy().astype("f8")
            size = np.abs(a.numpy()).astype("f8") @ np.abs(b.numpy())
            yield f"{m}x{k}x{n} {left}, {right}, {dtype}", a @ b, exact, size
            if j % 2 == 0:
                bias = operand(rng, 1, n, "rows", dtype)[0]
                with_bias = torch.nn.functional.linear(a, b.t(), bias)
                yield (
                    f"{m}x{k}x{n} {left}, {right}, {dtype}, bias",
                    with_bias,
                    exact + bias.numpy(),
                    size + np.abs(bias.numpy()),
                )


def survey():
    """The bits of all products by name, and the largest error over that of rounding the sum of magnitudes."""
    bits, worst = {}, 0.0
    for what, result, exact, size in products():
        values = result.numpy()
        error = (np.abs(values - exact) / size).max() / np.finfo(values.dtype).eps
        bits[what], worst = hashlib.sha256(values.tobytes()).hexdigest(), max(worst, float(error))
    return {"bits": bits, "worst": worst}


@pytest.fixture(scope="module")
def here():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        return survey()
    finally:
        torch.set_num_threads(before)


def survey_with(**environment):
    folders = [os.path.dirname(__file__), *sys.path]
    code = "import json, test_products; print(json.dumps(test_products.survey()))"
    environment = {**os.environ, **environment, "PYTHONPATH": os.pathsep.join(f for f in folders if f)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_near_the_exact_product(here):
    assert here["worst"] < 10


def test_narrower_vectors_and_one_thread_give_the_same_bits(here):
    if "avx2" not in open("/proc/cpuinfo").read():
        pytest.skip("no AVX2 on this machine")
    assert survey_with(PULLBACK_ISA="avx2", OMP_NUM_THREADS="1")["bits"] == here["bits"]


def test_without_fused_multiply_adds(here):
    plain = survey_with(PULLBACK_ISA="baseline")
    assert plain["worst"] < 10
    assert plain["bits"].keys() == here["bits"].keys()


def test_a_batch_that_meets_one_matrix_is_one_product():
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.standard_normal((50, 1, 64)).astype("f4"))
    w = torch.from_numpy(rng.standard_normal((64, 64)).astype("f4"))
    assert torch.equal(x @ w.expand(50, 64, 64), (x.reshape(50, 64) @ w).reshape(50, 1, 64))


def test_batched_outer_products():
    rng = np.random.default_rng(2)
    a = rng.standard_normal((20, 37, 1)).astype("f4")
    b = rng.standard_normal((20, 1, 45)).astype("f4")
    for right in (torch.from_numpy(b), torch.from_numpy(np.repeat(b, 2, 2))[:, :, ::2]):
        assert np.array_equal((torch.from_numpy(a) @ right).numpy(), a * b)


@pytest.mark.parametrize("columns", [64, 70])
def test_large_outer_products_are_written_past_the_caches(columns):
    """In whole vectors or, where rows do not end with one, as ever; with a remainder of columns too."""
    a, b = torch.rand(300, 64, 1), torch.rand(300, 1, columns)
    assert a.shape[0] * 64 * columns * 4 >= 4 << 20
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            assert (torch.bmm(a, b).numpy() == a.numpy() * b.numpy()).all()
    finally:
        torch.set_num_threads(before)


def test_a_layers_gradient_lies_like_its_weight():
    x, w, b = torch.rand(5, 7), torch.rand(3, 7, requires_grad=True), torch.rand(3)
    g = torch.rand(5, 3)
    (grad,) = torch.autograd.grad(torch.nn.functional.linear(x, w, b), w, g)
    assert grad.stride() == (7, 1)
    assert torch.equal(grad, g.t() @ x)
