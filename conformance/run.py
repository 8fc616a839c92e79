"""Scores pullback against PyTorch's own test databases.

The databases (OpInfo, ModuleInfo, OptimizerInfo) ship inside the torch wheel. Each sample runs in torch and
in the module under test; values, dtypes, shapes and gradients must agree.

    python conformance/run.py --module pullback [--ops | --modules | --optims] [--only NAMES] [--json FILE]

NAMES are separated by commas, or @FILE for a file of names (conformance/ops.txt). Ops run in float64 and
float32 (double backward in float64), on contiguous and on strided inputs; conformance/not_comparable.txt
names the variants that cannot be compared, and why. The first gradient is asked for twice: plainly (the
engine's own path) and with create_graph (the rules run on live tensors, recorded again). Both must agree with
torch; where they differ from each other in a bit, it is counted as "paths differ" and listed.

A few samples of each op also go through the transformations (transform_checks.py, module_transforms.py):
forward mode, forward over reverse, batches, batches of tangents and of gradients, and the variants that
change their argument.

Prints one line a kind:  ops 480/508  fail backward 12, ..., missing 6, paths differ 3, and below it one a
column of what was compared. With --only, the exit code is 1 if a named variant fails anywhere, is missing,
has two paths or silently cannot be compared.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import warnings

import torch
from bridge import under_test
from module_checks import modules
from op_checks import ops
from optimizer_checks import optims

HERE = pathlib.Path(__file__).resolve().parent
KINDS = {"optims": optims, "modules": modules, "ops": ops}


def read_names(path):
    """The first word of each line; `#` begins a comment."""
    lines = (line.split("#")[0].split() for line in pathlib.Path(path).read_text().splitlines())
    return {words[0] for words in lines if words}


def names(only):
    if only is None:
        return None
    return read_names(only[1:]) if only.startswith("@") else set(only.split(","))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", default="pullback")
    for kind in KINDS:
        parser.add_argument("--" + kind, action="store_true")
    parser.add_argument("--only", help="names separated by commas, or @FILE")
    parser.add_argument("--json")
    parser.add_argument("--quiet", action="store_true")
    return parser.parse_args()


def print_line(kind, counts):
    comparable = counts["all"] - counts["not comparable"]
    rest = ", ".join(f"{name} {n}" for name, n in sorted(counts.items()) if name not in ("all", "pass"))
    print(f"{kind} {counts['pass']}/{comparable}  {rest}")


def print_columns(columns):
    for column, counts in columns.items():
        rest = "".join(f", {name} {n}" for name, n in sorted(counts.items()) if name not in ("pass", "fail"))
        print(f"    {column:16} pass {counts['pass']}, fail {counts['fail']}{rest}")


def main():
    options = arguments()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    module = under_test(options.module)
    only = names(options.only)
    known = read_names(HERE / "not_comparable.txt")
    result, bad = {}, []
    for kind in [k for k in KINDS if getattr(options, k)] or list(KINDS):
        counts, log, columns = KINDS[kind](module, only, known)
        result[kind] = {"counts": counts, "log": log, "columns": columns}
        bad += [name for name, why in log.items() if why != "not comparable" or name not in known]
        if not options.quiet:
            for name, why in log.items():
                print(f"  {kind}: {name}: {why}")
    for kind in result:
        print_line(kind, result[kind]["counts"])
        print_columns(result[kind]["columns"])
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(result, indent=1))
    return 1 if only is not None and bad else 0


if __name__ == "__main__":
    sys.exit(main())
