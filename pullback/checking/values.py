"""Values and gradients against torch's: how far they are apart, in last places, by rule.

A rule is measured by the functions that are this rule alone, or else by those that it takes part in.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np

import pullback
from pullback.checking import value_cases
from pullback.checking.cases import Fixed, Strided, cases_of, listed
from pullback.checking.harness import Call
from pullback.primitives.registry import methods, ops, public
from pullback.trace.rules import vjp
from pullback.trace.tracer import Graph, Tracer, apply_traced

COMMITTED = Path(__file__).with_name("torch_errors.json")
DTYPES = ("float32", "float64")
# Where torch is the less exact one: its trigamma has an error of 1e-9.
INEXACT = {"digamma"}
INEXACT_TEXT = "Of `digamma` it has the gradient to ten digits only."
# Torch keeps the history of the value that these overwrite.
TORCH_DIFFERS = {f"logical_{name}_in_place" for name in ("not", "and", "or", "xor")}


# ---- the cases: those written for values, and those of the rules ----


def rule_cases():
    """(label, path, args, kwargs) for the rules that have a public name, under the first of their names."""
    lists, seen = listed(), set()
    for name, f in sorted({**methods, **public}.items(), key=lambda pair: pair[0].endswith("_")):
        for op in () if name.startswith("_") else getattr(f, "declarations", ()):
            if op.name in seen | TORCH_DIFFERS or not op.differentiable or op.kernel == "foreign":
                continue
            if any(p.name == "reduction" for p in op.signature.parameters):
                continue  # a number here, a word in nn.functional
            seen.add(op.name)
            for k, case in enumerate(cases_of(op, lists) or ()):
                if name.endswith("_") and (k or not isinstance(case[0], np.ndarray)):
                    continue
                pairs = list(zip(op.signature.parameters, case, strict=False))
                args = [value for p, value in pairs if not p.keyword_only]
                kwargs = {p.name: value for p, value in pairs if p.keyword_only}
                label = f"rule {op.name} {zlib.crc32(_content([args, kwargs])):08x}"
                yield label, name, args, kwargs


def _content(x) -> bytes:
    """What tells the arguments of cases apart: another number makes another case."""
    if isinstance(x, (Fixed, Strided)):
        return type(x).__name__.encode() + _content(x.array)
    if isinstance(x, np.ndarray):
        return repr(x.shape).encode() + x.tobytes()
    if isinstance(x, dict):
        return _content(sorted(x.items(), key=lambda pair: pair[0]))
    if isinstance(x, (list, tuple)):
        return b"(" + b",".join(map(_content, x)) + b")"
    return repr(x).encode()


def all_cases():
    yield from value_cases.CASES
    yield from rule_cases()


def run(module, case, dtype):
    """The outputs and gradients of a case, as arrays, and the outputs as tensors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return value_cases.run(module, *case, dtype)


# ---- errors ----


def ulps(got, expected) -> float:
    """The largest distance in last places of the largest number near it; inf where one is not finite."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return math.inf
    if got.dtype.kind != "f":
        return 0.0 if np.array_equal(got, expected) else math.inf
    both = np.isfinite(expected) & np.isfinite(got)
    if not np.array_equal(got[~both], expected[~both], equal_nan=True):
        return math.inf
    got, expected = got[both], expected[both]
    if not expected.size:
        return 0.0
    size = np.maximum(np.abs(expected), np.abs(expected).max() * 0.25)
    return float((np.abs(got - expected) / np.spacing(size)).max())


def worst_ulps(got, expected) -> float:
    if len(got) != len(expected):
        return math.inf
    return max((ulps(a, b) for a, b in zip(got, expected, strict=True)), default=0.0)


# ---- which rules a case is about ----


def recorded_ops(outputs) -> list[str]:
    """The names of the ops behind the outputs, one for each node."""
    found, seen, stack = [], set(), [o.grad_fn for o in outputs]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        application = node._application() if hasattr(node, "_application") else None
        if application is not None:
            found.append(application[0].name)
        stack.extend(below for below, _ in node.next_functions)
    return found


def parts_of(op, lists) -> set[str]:
    """The ops that the forward and backward programs of an op are made of."""
    found = {op.name}
    for case in cases_of(op, lists) or ():
        call, graph, inputs = Call(op, case), Graph(), []

        def traced(x, graph=graph, inputs=inputs):
            if isinstance(x, list):
                return [traced(v) for v in x]
            if not isinstance(x, pullback.Tensor):
                return x
            inputs.append(graph.input((x.dtype._id, tuple(x.shape), tuple(x.stride())), len(inputs)))
            return inputs[-1]

        values = [traced(x) for x in (*call.args, *call.kwargs.values())]
        values += [p.default for p in op.signature.parameters[len(values) :]]
        for k, p in enumerate(op.signature.parameters[: len(values)]):
            if p.kind in ("Operand", "Scalar") and isinstance(values[k], (int, float)):
                values[k] = graph.number_of(values[k])
        out = apply_traced(op, values)
        out = [o for o in (out if isinstance(out, (tuple, list)) else [out]) if isinstance(o, Tracer)]
        wanted = [t for t in inputs if t.dtype.is_floating_point]
        out = [o for o in out if o.dtype.is_floating_point]
        if out:
            cotangents = [graph.companion(o, -1 - k) for k, o in enumerate(out)]
            vjp(out, cotangents, wanted)
        found.update(i.op.name for i in graph.instructions)
    return found


def by_rule(errors) -> dict[str, float]:
    """From [(ops of the case, error)] to the worst error for each rule."""
    lists, parts = listed(), {}
    alone: dict[str, float] = {}
    among: dict[str, float] = {}
    for names, error in errors:
        where = alone if len(names) == 1 else among
        for name in names:
            where[name] = max(where.get(name, 0.0), error)
            if name not in parts:
                parts[name] = parts_of(ops[name], lists) if name in ops and name not in INEXACT else {name}
            for part in parts[name]:
                among[part] = max(among.get(part, 0.0), error)
    return {**among, **alone}


def errors_against(expected) -> dict[str, dict[str, float]]:
    """The worst error of each rule by dtype. expected(case, dtype): torch's arrays, or None."""
    found: dict[str, list] = {dtype: [] for dtype in DTYPES}
    for case in all_cases():
        for dtype in DTYPES:
            arrays = expected(case, dtype)
            if arrays is None:
                continue
            outputs: list = []
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                got = value_cases.run(pullback, *case, dtype, outputs=outputs)
            found[dtype].append((recorded_ops(outputs), worst_ulps(got, arrays)))
    return {dtype: by_rule(pairs) for dtype, pairs in found.items()}


def rounded(errors):
    """With three digits, for files that do not change by themselves."""
    return {name: float(f"{error:.3g}") for name, error in errors.items()}


# ---- where torch's values come from ----


def torch_is_installed() -> bool:
    """Torch itself: not pullback under its name."""
    loaded = sys.modules.get("torch")
    if loaded is not None:
        return "pullback" not in str(getattr(loaded, "__version__", "pullback"))
    try:
        return importlib.util.find_spec("torch") is not None
    except ValueError:
        return False


def torch_values(case, dtype):
    """What torch computes for a case; None where it does not know the function with these arguments."""
    os.environ.setdefault("ATEN_CPU_CAPABILITY", "avx2")  # before the import: its order of sums is ours
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return run(torch, case, dtype)
    except (TypeError, RuntimeError, AttributeError, ValueError, IndexError, NotImplementedError):
        return None
    finally:
        torch.set_num_threads(threads)


def torch_errors() -> dict[str, dict[str, float]]:
    """By dtype and rule: against torch where it is installed, else those that were measured and committed."""
    if torch_is_installed():
        return {dtype: rounded(errors) for dtype, errors in errors_against(torch_values).items()}
    return json.loads(COMMITTED.read_text())
