"""Writes tests/data/ops_oracle.npz: what PyTorch computes for the cases of tests/primitives/value_cases.py.

    ATEN_CPU_CAPABILITY=avx2 python tests/oracles/export_ops.py        (with PyTorch installed)

Values and gradients in both precisions, end to end in one array for each dtype; `index` says in JSON which
case has which arrays, in order.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch

TESTS = Path(__file__).resolve().parent.parent
OUTPUT = TESTS / "data" / "ops_oracle.npz"


def collect(run, cases):
    """Arrays by dtype, and the index."""
    parts: dict[str, list] = {}
    index = []
    for dtype in ("float32", "float64"):
        for label, path, args, kwargs in cases:
            arrays = run(torch, label, path, args, kwargs, dtype)
            for a in arrays:
                parts.setdefault(str(a.dtype), []).append(a.ravel())
            index.append([label, dtype, [[str(a.dtype), list(a.shape)] for a in arrays]])
    return {k: np.concatenate(v) for k, v in parts.items()}, index


def main():
    sys.path.insert(0, str(TESTS / "primitives"))
    import value_cases

    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    if torch.backends.cpu.get_cpu_capability() != "AVX2":
        sys.exit("run with ATEN_CPU_CAPABILITY=avx2: the values are those of that path")
    arrays, index = collect(value_cases.run, value_cases.CASES)
    np.savez_compressed(OUTPUT, index=np.asarray(json.dumps(index)), **arrays)
    print(f"{len(index)} cases, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
