"""Writes tests/data/printing_oracle.json.gz: some thousand tensors and the text that PyTorch prints for them.

    python tests/oracles/export_printing.py        (with PyTorch installed)

A case says how to build a tensor with either library (`build`), the options to print it under, and the text.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
import random
from itertools import chain
from pathlib import Path

import numpy as np

OUTPUT = Path(__file__).resolve().parent.parent / "data" / "printing_oracle.json.gz"
CASES = 3000

FLOATS = ["float32", "float64", "float16", "bfloat16"]
INTEGERS = ["int64", "int32", "uint8", "bool", "int16", "int8"]
COMPLEX = ["complex64", "complex128"]
NUMPY_NAME = {"bfloat16": "float32"}  # bfloat16 values travel as float32, which holds each of them
OPERATIONS = {
    "mul": lambda t: t * 1,
    "neg": lambda t: -t,
    "clone": lambda t: t.clone(),
    "abs": lambda t: t.abs(),
    "view": lambda t: t.reshape(-1),
}


def build(torch, case: dict):
    """The tensor of a case. Big ones repeat a few values."""
    name = case["dtype"]
    values = np.frombuffer(base64.b64decode(case["values"]), NUMPY_NAME.get(name, name))
    t = torch.from_numpy(np.resize(values, case["shape"]).copy())
    if name == "bfloat16":
        t = t.to(torch.bfloat16)
    for change in case.get("views", ()):
        t = t.transpose(0, -1) if change == "transpose" else t[::2]
    history = case.get("history")
    if history in OPERATIONS:
        t = OPERATIONS[history](t.requires_grad_())
    elif history == "leaf":
        t.requires_grad_()
    if "subclass" in case:
        t = t.as_subclass(type(case["subclass"], (torch.Tensor,), {}))
    if history == "parameter":
        t = torch.nn.Parameter(t)
    elif history == "frozen":
        t = torch.nn.Parameter(t, requires_grad=False)
    elif history == "parameter subclass":
        t = type("Weight", (torch.nn.Parameter,), {})(t)
    return t


# Values on the borders between the notations.
BORDERS = [
    [1e-4],
    [1e-4, 0.05],
    [9.9999e-5, 0.05],
    [0.0001, 0.1],
    [0.0001, 0.1001],
    [0.5, 500.0],
    [0.5, 500.5],
    [1.0, 1000.0],
    [1.0, 1001.0],
    [1e8],
    [1e8, 99999999.0],
    [100000001.0],
    [99999999.5],
    [1e8 + 0.5],
    [1e5, 1e8],
    [1e5, 1e8 + 1],
    [0.0],
    [-0.0],
    [0.99995],
    [9.99995, 1.5],
    [-9.99995, 1.5],
    [1e100, 1e99],
    [1e-100, 1e-99],
    [9.99999e99, 1e98],
    [np.nan],
    [np.inf],
    [-np.inf, 0.5],
    [np.nan, 0.0, -1.0],
    [5e-324],
    [5e-324, 1.7e308],
    [1.7e308],
    [123456.789, 1000.5],
]


def encode(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()


def border_cases():
    for name in ("float64", "float32"):
        for row in BORDERS:
            with np.errstate(all="ignore"):
                values = np.array(row, name)
            for shape in [[len(row)], [len(row), 1]] + [[]] * (len(row) == 1):
                yield {"dtype": name, "shape": shape, "values": encode(values)}
    values = np.array([1.5, -20.25, 3.0, 0.0, 7.5])
    kinds = [("float64", "mul"), ("float32", "leaf"), ("float64", "parameter"), ("int64", None)]
    for width in range(1, 90):  # a line may be exactly full, with a suffix and without
        for name, history in kinds:
            case = {"dtype": name, "shape": [2, 5], "values": encode(values.astype(name))}
            yield case | {"options": {"linewidth": width}} | ({"history": history} if history else {})


def pick_shape(r: random.Random, big: bool) -> list[int]:
    ndim = r.choice([0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5])
    longest = ([1, 3000, 90, 25, 14, 9] if big else [1, 40, 9, 5, 3, 3])[ndim]
    return [r.randint(0 if r.random() < 0.06 else 1, longest) for _ in range(ndim)]


def pick_floats(r: random.Random, g: np.random.Generator, n: int) -> np.ndarray:
    """One of several distributions, chosen around the places where the notation changes."""
    x = g.standard_normal(n)
    makers = [
        lambda: x,
        lambda: np.round(x * 10.0 ** r.uniform(-1, 10)),
        lambda: x * 10.0 ** r.randint(-46, 40),
        lambda: x * 10.0 ** g.uniform(-r.uniform(0, 8), r.uniform(0, 8), n),
        lambda: np.round(x * r.choice([1, 3, 1000, 1e5])) / r.choice([1, 2, 4, 10, 100]),
        lambda: x * 10.0 ** g.integers(-310, 308, n),
        lambda: np.sign(x) * 0.0,
        lambda: np.round(x * 3),
        lambda: np.sign(x) * 1e3 * r.choice([1.0, 0.999999, 1.00001, 1e5, 100000.001]) ** g.integers(0, 2, n),
        lambda: 10.0 ** g.integers(-5, 9, n) * r.choice([1, 1, -1]),
        lambda: g.random(n),
    ]
    x = r.choice(makers)()
    if r.random() < 0.4:
        odd = [0.0, -0.0] if r.random() < 0.4 else [np.nan, np.inf, -np.inf, 0.0, -0.0]
        x = np.where(g.random(n) < r.random(), g.choice(np.array(odd), n), x)
    return x


def pick_values(r: random.Random, g: np.random.Generator, name: str, n: int) -> np.ndarray:
    if name in FLOATS:
        return pick_floats(r, g, n)
    if name in COMPLEX:
        out = np.empty(n, np.complex128)
        out.real, out.imag = pick_floats(r, g, n), pick_floats(r, g, n)
        return out
    if name == "bool":
        return g.random(n) < r.choice([0, 0.5, 0.5, 1])
    limits = np.iinfo(name)
    reach = r.choice([1, 10, 100, 3000, limits.max])
    low = max(limits.min, -reach if r.random() < 0.6 else 0)
    return g.integers(low, min(limits.max, reach), n, endpoint=True, dtype=name)


def pick_options(r: random.Random) -> dict:
    if r.random() < 0.5:
        return {}
    choices = {
        "profile": ["default", "short", "full"],
        "precision": [0, 1, 2, 3, 5, 8, 12, 17],
        "threshold": [-1, 0, 1, 5, 20, 100, 500],
        "edgeitems": [0, 1, 1, 2, 3, 4, 7],
        "linewidth": [1, 20, 40, 60, 79, 100, 200],
        "sci_mode": [True, False],
    }
    return {name: r.choice(values) for name, values in choices.items() if r.random() < 0.35}


def pick_case(torch, r: random.Random, g: np.random.Generator) -> dict:
    kind = r.random()
    name = r.choice(["float32"] * 6 + ["float64"] * 3 + FLOATS if kind < 0.7 else INTEGERS)
    if kind > 0.95:
        name = r.choice(COMPLEX)
    options = pick_options(r)
    big = r.random() < 0.12 and options.get("profile") != "full"
    shape = pick_shape(r, big)
    with np.errstate(all="ignore"):
        values = pick_values(r, g, name, min(math.prod(shape), r.choice([5, 11, 23])) or 1)
        if name == "bfloat16":
            values = torch.from_numpy(values).to(torch.bfloat16).float().numpy()
        values = values.astype(NUMPY_NAME.get(name, name))
    case = {"dtype": name, "shape": shape, "values": encode(values)}
    views = [v for v, p in (("transpose", 0.15), ("step", 0.1)) if shape and r.random() < p]
    if name in FLOATS and r.random() < 0.35:
        histories = [*OPERATIONS, "leaf", "leaf", "parameter", "parameter", "frozen", "parameter subclass"]
        case["history"] = r.choice(histories)
        # A step makes a view that needs a node of its own name, and a view of a view is a copy in a reshape.
        views = views if case["history"] == "mul" else []
    if "history" not in case and r.random() < 0.04:
        case["subclass"] = r.choice(["Sub", "AttributionMap", "S"])
        if name in FLOATS and r.random() < 0.4:
            case["history"] = "parameter"
    if r.random() < 0.03:
        case["default_dtype"] = "float64"
    if views:
        case["views"] = views
    if options:
        case["options"] = options
    return case


def render(torch, case: dict) -> str:
    torch.set_default_dtype(getattr(torch, case.get("default_dtype", "float32")))
    try:
        torch.set_printoptions(**{"profile": "default"} | case.get("options", {}))
        return repr(build(torch, case))
    finally:
        torch.set_printoptions(profile="default")
        torch.set_default_dtype(torch.float32)


def limits(torch) -> list[dict]:
    rows = []
    names = [*FLOATS, *COMPLEX, *INTEGERS]
    for what, name in ((what, name) for what in ("finfo", "iinfo") for name in names):
        row = {"what": what, "dtype": name}
        try:
            made = getattr(torch, what)(getattr(torch, name))
        except TypeError as error:
            row["error"] = str(error)
        else:
            row["text"] = repr(made)
            row["values"] = {k: getattr(made, k) for k in dir(made) if not k.startswith("_")}
        rows.append(row)
    return rows


def main() -> None:
    import torch

    torch.set_num_threads(1)
    cases = []
    picked = (pick_case(torch, random.Random(i), np.random.default_rng(i)) for i in range(CASES))
    for case in chain(border_cases(), picked):
        case["text"] = render(torch, case)
        if len(case["text"]) < 6000:
            cases.append(case)
    content = {"torch": torch.__version__, "cases": cases, "limits": limits(torch)}
    text = json.dumps(content, separators=(",", ":"))
    # No time stamp and no file name in the header: the same cases give the same file.
    with OUTPUT.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(text.encode())
    print(f"{len(cases)} tensors, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
