"""Writes tests/data/surface_oracle.json: what torch answers to each line of tests/tensor/cases/*.txt.

Needs PyTorch 2.13 (CPU). Run it with ATEN_CPU_CAPABILITY=avx2, the path that pullback's numbers follow:

    ATEN_CPU_CAPABILITY=avx2 python tests/oracles/export_surface.py
"""

from __future__ import annotations

import ast
import contextlib
import copy
import io
import json
import math
import pickle
import warnings
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parent.parent
OUTPUT = TESTS / "data" / "surface_oracle.json"


def cases() -> dict[str, list[str]]:
    """The lines of each file of cases; `\\n` in a line starts a new one."""
    out = {}
    for path in sorted((TESTS / "tensor" / "cases").glob("*.txt")):
        lines = path.read_text(encoding="utf-8").splitlines()
        out[path.stem] = [line for line in lines if line and not line.startswith("#")]
    return out


def show(value) -> str:
    if type(value) in (list, tuple):
        inner = ", ".join(map(show, value))
        return f"[{inner}]" if isinstance(value, list) else f"({inner})"
    return repr(value)


def run(torch, line: str) -> str:
    """The repr of the line's last expression."""
    names = {"torch": torch, "np": np, "copy": copy, "pickle": pickle, "math": math, "T": torch.tensor}
    tree = ast.parse(line.replace("\\n", "\n"))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<case>", "exec"), names)
    return (
        "None" if last is None else show(eval(compile(ast.Expression(last.value), "<case>", "eval"), names))
    )


def evaluate(torch, line: str) -> tuple[str, BaseException | None, list[str]]:
    """The repr of a line's value, or the error that it raises, and the first words of its warnings."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float32)
    text, error = "", None
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("always")
        try:
            text = run(torch, line)
        except Exception as e:
            error = e
        finally:
            torch.set_default_dtype(torch.float32)
            torch.set_printoptions(profile="default")
    return text, error, [f"{w.category.__name__}: {str(w.message).splitlines()[0][:90]}" for w in caught]


def first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]


def main() -> None:
    import torch

    torch.set_num_threads(1)
    oracle = {}
    for topic, lines in cases().items():
        oracle[topic] = {}
        for line in lines:
            text, error, warned = evaluate(torch, line)
            entry = {"error": type(error).__name__, "text": first_line(error)} if error else {"value": text}
            oracle[topic][line] = entry | ({"warnings": warned} if warned else {})
    OUTPUT.write_text(json.dumps(oracle, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
