"""Writes tests/data/graph_oracle.json: the graphs that PyTorch draws for the cases of graph_cases.py.

    python tests/oracles/export_graph.py        (with PyTorch installed)

`pictures` has the tree behind each output of each case. `saved` has, for each node, the names of its
`_saved_` attributes and their values in two cases. Cases that PyTorch refuses are printed and left out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

TESTS = Path(__file__).resolve().parent.parent
OUTPUT = TESTS / "data" / "graph_oracle.json"
EXAMPLES = 2


def attributes(node):
    """Name and value of everything that a node keeps."""
    names = [n for n in dir(node) if n.startswith("_saved_")]
    return {n.removeprefix("_saved_"): getattr(node, n) for n in names}


def collect(cases):
    pictures, saved, refused = {}, {}, {}
    for label, *call in cases.all_cases():
        try:
            out = cases.run(torch, label, *call)
        except (TypeError, AttributeError, RuntimeError, IndexError) as e:
            refused[label] = str(e).splitlines()[0]
            continue
        pictures[label] = [cases.picture(o.grad_fn, o.output_nr) for o in out]
        for node in cases.nodes(out):
            found = saved.setdefault(node.name(), {})
            if len(found) < EXAMPLES and label not in found:
                found[label] = {k: cases.saved_value(v) for k, v in attributes(node).items()}
    return pictures, saved, refused


def main():
    sys.path.insert(0, str(TESTS / "autograd"))
    import graph_cases

    torch.set_num_threads(1)
    pictures, saved, refused = collect(graph_cases)
    lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(pictures.items())]
    nodes = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(saved.items())]
    text = '{"pictures": {\n' + ",\n".join(lines) + '\n},\n"saved": {\n' + ",\n".join(nodes) + "\n}}\n"
    OUTPUT.write_text(text)
    for label, why in refused.items():
        print(f"left out: {label}: {why}")
    print(f"{len(pictures)} graphs, {len(saved)} nodes, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
