"""Writes tests/data/ops_oracle.npz: what PyTorch computes for the cases of pullback/checking/values.py.

    ATEN_CPU_CAPABILITY=avx2 python tests/oracles/export_ops.py        (with PyTorch installed)

Values and gradients in both precisions, end to end in one array for each dtype; `index` says in JSON which
case has which arrays, in order. Then pullback/checking/torch_errors.json: how far from these the values of
each rule are. Cases that PyTorch refuses are left out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch

from pullback.checking import values

TESTS = Path(__file__).resolve().parent.parent
OUTPUT = TESTS / "data" / "ops_oracle.npz"


def collect(found):
    """Arrays by dtype, and the index."""
    parts: dict[str, list] = {}
    index = []
    for (label, dtype), arrays in found.items():
        for a in arrays:
            parts.setdefault(str(a.dtype), []).append(a.ravel())
        index.append([label, dtype, [[str(a.dtype), list(a.shape)] for a in arrays]])
    return {k: np.concatenate(v) for k, v in parts.items()}, index


def main():
    if torch.backends.cpu.get_cpu_capability() != "AVX2":
        sys.exit("run with ATEN_CPU_CAPABILITY=avx2: the values are those of that path")
    found = {}
    for dtype in values.DTYPES:
        for case in values.all_cases():
            arrays = values.torch_values(case, dtype)
            if arrays is not None:
                found[case[0], dtype] = arrays
            elif not case[0].startswith("rule "):
                sys.exit(f"PyTorch refuses {case[0]}")
    arrays, index = collect(found)
    np.savez_compressed(OUTPUT, index=np.asarray(json.dumps(index)), **arrays)
    errors = values.errors_against(lambda case, dtype: found.get((case[0], dtype)))
    text = json.dumps({dtype: values.rounded(e) for dtype, e in errors.items()}, indent=0, sort_keys=True)
    values.COMMITTED.write_text(text + "\n")
    print(f"{len(index)} cases, {OUTPUT.stat().st_size} bytes; {len(errors['float64'])} rules")


if __name__ == "__main__":
    main()
