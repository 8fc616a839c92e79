"""The random stream against what PyTorch drew (tests/data/random_oracle.json), via generator_bridge.cpp."""

from __future__ import annotations

import base64
import ctypes
import hashlib
import json
import math
import os
import shutil
import subprocess
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")

ROOT = Path(__file__).resolve().parents[2]
ORACLE = json.loads((ROOT / "tests" / "data" / "random_oracle.json").read_text())
DTYPE_CODE = {
    "bool": 0,
    "uint8": 1,
    "int32": 4,
    "int64": 5,
    "float32": 8,
    "float64": 9,
}  # native/core/dtype.h
STATE_BYTES = 5056
INTEGER_ARGS = {"randint", "randint_from"}
RUNTIME_ERROR, NOT_IMPLEMENTED = 1, 5  # 1 + the place in ErrorKind


@pytest.fixture(scope="module")
def bridge(tmp_path_factory):
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if not compiler:
        pytest.skip("no C++ compiler")
    library = tmp_path_factory.mktemp("generator") / "bridge.so"
    kernels = ("random", "random_integers", "multinomial")
    sources = ["runtime/generator.cpp", *(f"kernels/{name}.cpp" for name in kernels)]
    paths = [ROOT / "native" / s for s in sources] + [Path(__file__).with_name("generator_bridge.cpp")]
    flags = ["-std=gnu++20", "-O3", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC"]
    subprocess.run(
        [compiler, *flags, f"-I{ROOT / 'native'}", *map(str, paths), "-o", str(library)], check=True
    )
    lib = ctypes.CDLL(str(library))
    lib.gen_error.restype = ctypes.c_char_p
    lib.gen_seed.argtypes = [ctypes.c_uint64]
    for name in ("gen_random64", "gen_reseed", "gen_initial_seed"):
        getattr(lib, name).restype = ctypes.c_uint64
    return lib


def argument(value, as_double: bool):
    return ctypes.c_double(value) if as_double else ctypes.c_int64(value)


def fill(lib, name: str, dtype: str, n: int, args: list):
    """The status of the call and the array it filled."""
    code, count = DTYPE_CODE[dtype], ctypes.c_int64(n)
    if name == "multinomial":
        weights, samples, replacement = np.array(args[0], dtype), args[1], args[2]
        rows, columns = np.atleast_2d(weights).shape
        out = np.zeros((*weights.shape[:-1], max(samples, 0)), np.int64)
        sizes = (ctypes.c_int64(rows), ctypes.c_int64(columns), ctypes.c_int64(samples), int(replacement))
        return lib.gen_multinomial(code, pointer(weights), *sizes, pointer(out)), out
    out = np.zeros(n, dtype)
    if name == "bernoulli_tensor":
        p = np.array(args[1], args[0])
        return lib.gen_bernoulli_tensor(code, pointer(out), count, DTYPE_CODE[args[0]], pointer(p)), out
    function = getattr(lib, {"random": "gen_random_full"}.get(name, f"gen_{name}"))
    return function(code, pointer(out), count, *(argument(a, name not in INTEGER_ARGS) for a in args)), out


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


def state_of(lib):
    state = np.zeros(STATE_BYTES, np.uint8)
    lib.gen_get_state(pointer(state))
    return state


def within_four_units(a, b) -> bool:
    spacing = np.spacing(np.maximum(np.abs(a), np.abs(b)))
    return bool(np.all((a == b) | (np.abs(a - b) <= 4 * spacing)))


def check_call(out, call) -> bool:
    """True if the bytes are PyTorch's; fails unless that or, where the C library has a say, nearly so."""
    if "sha" in call:
        exact = hashlib.sha256(out.tobytes()).hexdigest()[:32] == call["sha"]
        kept, ours = call["head"], out.ravel()[:8]
    else:
        exact = base64.b64encode(out.tobytes()).decode() == call["values"]
        kept, ours = call["values"], out.ravel()
    if not exact:
        theirs = np.frombuffer(base64.b64decode(kept), out.dtype)
        assert call.get("libm") and out.dtype.kind == "f", (call, ours, theirs)
        assert within_four_units(ours, theirs), (call, ours, theirs)
    return exact


@pytest.mark.parametrize(
    "case", ORACLE["cases"], ids=lambda c: "-".join([c["calls"][0]["fill"], str(c["seed"])])
)
def test_draws_what_torch_draws(bridge, case):
    bridge.gen_seed(case["seed"])
    exact = True
    for call in case["calls"]:
        status, out = fill(bridge, call["fill"], call["dtype"], call["n"], call["args"])
        assert status == 0, bridge.gen_error()
        exact &= check_call(out, call)
    if exact:
        assert hashlib.sha256(state_of(bridge).tobytes()).hexdigest()[:32] == case["state"]


def test_state_travels(bridge):
    theirs = np.frombuffer(base64.b64decode(ORACLE["state_after_seed_5_randn_3"]), np.uint8).copy()
    bridge.gen_seed(1)
    assert bridge.gen_set_state(pointer(theirs), ctypes.c_int64(STATE_BYTES)) == 0
    assert (state_of(bridge) == theirs).all()
    assert bridge.gen_initial_seed() == 5
    _, expected = fill(bridge, "normal", "float64", 9, [0.0, 1.0])
    bridge.gen_seed(5)
    for n in (3, 0):
        fill(bridge, "normal", "float32", n, [0.0, 1.0])
    assert (fill(bridge, "normal", "float64", 9, [0.0, 1.0])[1] == expected).all()


def test_refused_states_change_nothing(bridge):
    bridge.gen_seed(5)
    before = state_of(bridge)
    damaged = before.copy()
    damaged[8] = 0  # no draws left, which never happens
    past_the_end = before.copy()
    past_the_end[16:18] = 255
    for state, text in (
        (
            before[:10].copy(),
            b"Expected a CPUGeneratorImplState of size 5056 but found the input RNG state size to be 10",
        ),
        (damaged, b"Invalid mt19937 state"),
        (past_the_end, b"Invalid mt19937 state"),
        (np.zeros(STATE_BYTES, np.uint8), b"Invalid mt19937 state"),
    ):
        assert bridge.gen_set_state(pointer(state), ctypes.c_int64(state.size)) == RUNTIME_ERROR
        assert bridge.gen_error() == text
        assert (state_of(bridge) == before).all()


def test_bulk_draws_are_single_draws(bridge):
    for n in (0, 1, 3, 623, 624, 625, 1248, 2000):
        bridge.gen_seed(n)
        bridge.gen_random()
        bulk = np.zeros(n, np.uint32)
        bridge.gen_draw(pointer(bulk), ctypes.c_int64(n))
        after = state_of(bridge)
        bridge.gen_seed(n)
        bridge.gen_random()
        singles = [bridge.gen_random() & 0xFFFFFFFF for _ in range(n)]
        assert singles == bulk.tolist() and (state_of(bridge) == after).all()


def test_reseeding_from_entropy(bridge):
    seeds = {bridge.gen_reseed() for _ in range(4)}
    assert len(seeds) == 4 and all(s < 2**53 for s in seeds) and bridge.gen_initial_seed() in seeds


REFUSED = [
    ("normal", "float32", [0.0, -1.5], "normal expects std >= 0.0, but found std -1.5"),
    ("normal", "int64", [0.0, 1.0], "\"normal_kernel_cpu\" not implemented for 'Long'"),
    (
        "uniform",
        "float32",
        [0.5, 0.25],
        "uniform_ expects to return a [from, to) range, but found from=0.5 > to=0.25",
    ),
    ("uniform", "float32", [0.0, 1e39], "to is out of bounds for float"),
    (
        "uniform",
        "float32",
        [-3e38, 3e38],
        "uniform_ expects to-from <= std::numeric_limits<Float>::max(), but found to=3e+38 and from=-3e+38 "
        "which result in to-from to exceed the limit",
    ),
    ("bernoulli", "float32", [-0.1234567], "bernoulli_ expects p to be in [0, 1], but got p=-0.123457"),
    ("bernoulli", "float32", [math.nan], "bernoulli_ expects p to be in [0, 1], but got p=nan"),
    (
        "bernoulli_tensor",
        "float32",
        ["float32", [0.5, 1.5, 0.5]],
        "Expected p_in >= 0 && p_in <= 1 to be true, but got false.",
    ),
    ("exponential", "float32", [0.0], "exponential_ expects lambda > 0.0, but found lambda=0"),
    (
        "exponential",
        "int64",
        [1.0],
        "Exponential distribution is a continuous probability distribution. dtype must be a floating point "
        "but you specified Long",
    ),
    ("geometric", "float32", [1.0], "geometric_ expects p to be in (0, 1), but got p=1"),
    ("geometric", "bool", [0.5], "\"geometric_cpu\" not implemented for 'Bool'"),
    ("cauchy", "float32", [0.0, 0.0], "cauchy_ expects sigma > 0.0, but found sigma=0"),
    (
        "cauchy",
        "int64",
        [0.0, 1.0],
        "Cauchy distribution is a continuous probability distribution. dtype must be a floating point "
        "but you specified long int",
    ),
    ("log_normal", "float32", [0.0, 0.0], "log_normal_ expects std > 0.0, but found std=0"),
    ("randint", "int64", [5, 5], "random_ expects 'from' to be less than 'to', but got from=5 >= to=5"),
    ("randint", "uint8", [0, 300], "to - 1 is out of bounds for unsigned char"),
    ("randint", "uint8", [-1, 30], "from is out of bounds for unsigned char"),
    ("randint", "bool", [0, 3], "to - 1 is out of bounds for bool"),
    ("randint", "int32", [0, 2**31 + 1], "to - 1 is out of bounds for int"),
    ("randint_from", "uint8", [300], "from is out of bounds for unsigned char"),
    (
        "randint_from",
        "uint8",
        [-(2**63)],
        "random_full_64_bits_range_kernel_cpu handles only int64, double, float and bfloat16",
    ),
    (
        "randint_from",
        "float32",
        [2**25],
        "random_ expects 'from' casted to dtype to be less than or equal to 'to_inc' casted to dtype, "
        "but got from=33554432 > to_inc=16777216",
    ),
    ("randperm", "bool", [], "\"randperm\" not implemented for 'Bool'"),
    (
        "multinomial",
        "int64",
        [[1, 2], 1, False],
        "multinomial only supports floating-point dtypes for input, got: Long",
    ),
    (
        "multinomial",
        "float32",
        [[1.0, -2.0], 2, False],
        "probability tensor contains either `inf`, `nan` or element < 0",
    ),
    (
        "multinomial",
        "float32",
        [[1.0, -2.0], 2, True],
        "invalid multinomial distribution (encountering probability entry < 0)",
    ),
    (
        "multinomial",
        "float32",
        [[1.0, math.inf], 2, True],
        "invalid multinomial distribution (encountering probability entry = infinity or NaN)",
    ),
    (
        "multinomial",
        "float32",
        [[0.0, 0.0], 1, False],
        "invalid multinomial distribution (sum of probabilities <= 0)",
    ),
    (
        "multinomial",
        "float32",
        [[1.0, 0.0], 3, False],
        "cannot sample n_sample > prob_dist.size(-1) samples without replacement",
    ),
    ("multinomial", "float32", [[1.0, 0.0], 0, True], "cannot sample n_sample <= 0 samples"),
]


@pytest.mark.parametrize(("name", "dtype", "args", "text"), REFUSED)
def test_refusals_begin_with_torchs_words(bridge, name, dtype, args, text):
    status, _ = fill(bridge, name, dtype, 3, args)
    assert status == (NOT_IMPLEMENTED if "not implemented" in text else RUNTIME_ERROR)
    assert bridge.gen_error().decode().split("\n")[0] == text
