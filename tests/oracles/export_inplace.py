"""Writes tests/data/inplace_oracle.json: which in-place changes PyTorch refuses, and the others' gradients.

    python tests/oracles/export_inplace.py        (with PyTorch installed)

For each form and method of tests/autograd/inplace_cases.py: where it ended ("change" or "backward" with an
error, "gradient", or "no graph") and which of the `texts` came out: an error's type and first line, or the
gradients of the leaves.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

TESTS = Path(__file__).resolve().parent.parent
OUTPUT = TESTS / "data" / "inplace_oracle.json"


def table_of(items):
    """Values once each, and where they stand."""
    listed, places = [], {}
    for item in items:
        if item not in places:
            places[item] = len(listed)
            listed.append(item)
    return listed, places


def main():
    sys.path.insert(0, str(TESTS / "autograd"))
    import inplace_cases

    torch.set_num_threads(1)
    found = {}
    for form, method in inplace_cases.all_cases():
        where, what = inplace_cases.attempt(torch, form, method)
        if isinstance(what, Exception):
            text = f"{type(what).__name__}: {str(what).splitlines()[0]}"
        elif where == "gradient":
            text = json.dumps([g if g is None else [round(v, 9) for v in g] for g in what])
        else:
            text = ""
        found[form.__name__, method] = (where, text)
    listed, places = table_of(text for _, text in found.values())
    rows: dict = {}
    for (form, method), (where, text) in found.items():
        rows.setdefault(form, {})[method] = [where, places[text]]
    lines = [f"{json.dumps(form)}: {json.dumps(row)}" for form, row in rows.items()]
    texts = ",\n".join(json.dumps(t) for t in listed)
    OUTPUT.write_text('{"texts": [\n' + texts + '\n],\n"cases": {\n' + ",\n".join(lines) + "\n}}\n")
    print(f"{len(found)} cases, {len(listed)} outcomes, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
