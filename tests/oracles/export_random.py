"""Writes tests/data/random_oracle.json: what PyTorch draws for given seeds, in sequences of calls.

    ATEN_CPU_CAPABILITY=avx2 python tests/oracles/export_random.py        (with PyTorch installed)

A case is a seed and a list of calls made one after the other. A call has the name of a fill, the dtype, the
number of elements and the arguments; `values` are the bytes of the result in base64, or, for long results,
`head` (the first eight elements) with `sha` (SHA-256 of all bytes). `state` is the SHA-256 of PyTorch's state
after the case. `libm` marks results that pass through the C library's double-precision log, sin, cos or tan:
with another C library they may differ in the last place.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import sys
from pathlib import Path

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "random_oracle.json"
SIZES = [0, 1, 2, 15, 16, 17, 31, 32, 33, 100, 1000]
SEEDS = [0, 1, 42, 2**32 + 5, 2**63, 2**64 - 1, 67280421310721]
FLOATS = ["float32", "float64"]
ALL = ["bool", "uint8", "int32", "int64", *FLOATS]
LONG = 40  # elements; beyond, a result is kept as head and hash


def call_of(torch, fill: str, dtype: str, n: int, args: list):
    """The result of one call, drawn from torch's default generator."""
    kind = getattr(torch, dtype)
    if fill == "randperm":
        return torch.randperm(n, dtype=kind)
    if fill == "bernoulli_tensor":
        p = torch.tensor(args[1], dtype=getattr(torch, args[0]))
        return torch.empty(n, dtype=kind).bernoulli_(p)
    if fill == "multinomial":
        weights, samples, replacement = args
        return torch.multinomial(torch.tensor(weights, dtype=kind), samples, replacement)
    if fill == "normal_one_by_one":  # the path of a tensor that is not contiguous
        return torch.empty(2 * n, dtype=kind)[::2].normal_(*args).contiguous()
    method = {"randint": "random_", "randint_from": "random_", "random": "random_"}.get(fill, fill + "_")
    extra = [None] if fill == "randint_from" else []
    return getattr(torch.empty(n, dtype=kind), method)(*args, *extra)


def record(torch, fill: str, dtype: str, n: int, args: list) -> dict:
    raw = call_of(torch, fill, dtype, n, args).numpy()
    entry = {"fill": fill, "dtype": dtype, "n": n, "args": args}
    if raw.size > LONG:
        entry["head"] = base64.b64encode(raw.ravel()[:8].tobytes()).decode()
        entry["sha"] = hashlib.sha256(raw.tobytes()).hexdigest()[:32]
    else:
        entry["values"] = base64.b64encode(raw.tobytes()).decode()
    libm = fill in ("exponential", "geometric", "cauchy", "log_normal", "normal_one_by_one", "multinomial")
    if libm or (fill == "normal" and (n < 16 or dtype == "float64")):
        entry["libm"] = True
    return entry


def every_call() -> list[tuple]:
    """Each fill with each of its dtypes, at sizes on both sides of every switch."""
    calls = []
    for dtype in FLOATS:
        for n in SIZES:
            calls += [("uniform", dtype, n, [0.0, 1.0]), ("normal", dtype, n, [0.0, 1.0])]
        calls += [("uniform", dtype, 33, [-2.5, 3.0]), ("normal", dtype, 33, [1.5, 0.25])]
        calls += [("normal", dtype, 7, [-3.0, 2.0]), ("normal_one_by_one", dtype, 20, [0.5, 2.0])]
        calls += [("exponential", dtype, 33, [1.5]), ("cauchy", dtype, 33, [0.5, 2.0])]
        calls += [("log_normal", dtype, 33, [1.0, 2.0])]
        weights = [[0.1, 0.0, 2.5, 1.0, 0.4], [1.0, 1.0, 0.0, 0.0, 3.0]]
        calls += [
            ("multinomial", dtype, 3, [weights, 3, False]),
            ("multinomial", dtype, 20, [weights, 20, True]),
        ]
        calls += [("multinomial", dtype, 1, [weights[0], 1, True])]
    for dtype in ALL:
        p = [0.0, 1.0, 0.5, 0.25, 0.9] * 4
        calls += [("random", dtype, 17, []), ("bernoulli", dtype, 33, [0.3])]
        calls += [("bernoulli_tensor", dtype, 20, [kind, p]) for kind in FLOATS]
        calls += [("randint", dtype, 33, [0, 2]), ("randint_from", dtype, 9, [1])]
        if dtype != "bool":
            calls += [("randint", dtype, 33, [3, 100]), ("geometric", dtype, 33, [0.3])]
            calls += [("randperm", dtype, n, []) for n in (0, 1, 2, 17, 100)]
    for dtype in ALL[2:]:
        calls += [("randint", dtype, 9, [0, 2**28 - 1]), ("randint", dtype, 9, [0, 2**28])]
        calls += [("randint", dtype, 9, [-(2**31), 2**31 - 1])]
    calls += [("randint", "int64", 9, [-(2**63), 2**63 - 1]), ("randint", "int64", 9, [-5, 2**40])]
    calls += [("randint_from", kind, 9, [-(2**63)]) for kind in ("int64", *FLOATS)]
    calls += [
        ("randint", "float32", 9, [2**25 + 1, 2**40 + 3]),
        ("randint", "float64", 9, [-(2**60), 2**62 + 1]),
    ]
    return calls


def main() -> None:
    import torch

    if os.environ.get("ATEN_CPU_CAPABILITY") != "avx2":
        sys.exit("run with ATEN_CPU_CAPABILITY=avx2: large normals depend on it")
    torch.set_num_threads(1)
    calls = every_call()
    choose = random.Random(2)
    plans = [(SEEDS[i % len(SEEDS)], [call]) for i, call in enumerate(calls)]
    plans += [(choose.randrange(2**64), choose.choices(calls, k=8)) for _ in range(40)]
    cases = []
    for seed, plan in plans:
        torch.manual_seed(seed)
        done = [record(torch, *call) for call in plan]
        state = hashlib.sha256(torch.get_rng_state().numpy().tobytes()).hexdigest()[:32]
        cases.append({"seed": seed, "calls": done, "state": state})
    torch.manual_seed(5)
    torch.randn(3)
    whole = base64.b64encode(torch.get_rng_state().numpy().tobytes()).decode()
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    head = json.dumps({"torch": torch.__version__.split("+")[0], "state_after_seed_5_randn_3": whole})
    OUTPUT.write_text(head[:-1] + ', "cases": [\n' + lines + "\n]}\n")
    print(f"{len(cases)} cases, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
