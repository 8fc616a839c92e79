"""The page of all rules: one row a rule, the worst error of each check. What `pullback check-rules` does."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import pullback
from pullback.checking import checks, values
from pullback.checking.checks import CHECKS, REASONS, Outcome
from pullback.primitives.registry import ops

TORCH = {f"torch {dtype}": dtype for dtype in values.DTYPES}
COLUMNS = (*CHECKS, *TORCH)
MEANINGS = {
    "slope": "the gradient against the slope of the function, by central differences",
    "transpose": "⟨g, J t⟩ = ⟨Jᵀg, t⟩, with J t from forward mode, and again as the derivative of Jᵀg by g",
    "second order": "the derivative of the gradient against the gradient's slope",
    "third order": "the derivative of that against its slope",
    "forward over reverse": "against reverse over reverse",
    "vmap": "three samples at once against one by one: all inputs batched, and each alone",
    "vmap of gradient": "the same for the gradient",
    "recorded path": "tensors of which the engine's own path gives other bits than the recorded one "
    "(create_graph=True), or than the same call again; float32 and float64",
    "fused steps": "tensors of which a program that runs the steps in one pass gives other bits than single "
    "steps",
    "torch float32": "the distance of values and gradients from torch's, in last places (ulp): of functions "
    "that are this rule alone, or else of those that it takes part in",
    "torch float64": "the same in float64",
}


@dataclass
class Row:
    """A rule with the outcome of each check; prints as one line a check."""

    name: str
    kind: str
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every error is within its bound."""
        return not self.failures

    @property
    def failures(self) -> dict[str, Outcome]:
        return {k: o for k, o in self.outcomes.items() if not o.passed}

    def __str__(self):
        width = max(map(len, COLUMNS))
        lines = [f"{self.name} ({self.kind}): {'passed' if self.passed else 'FAILED'}"]
        for check, o in self.outcomes.items():
            line = f"  {check:{width}}  {cell(check, o)}"
            if not o.passed:
                line += f"  above {o.bound:g}" + (f": {o.reason}" if o.reason else "")
            lines.append(line)
        return "\n".join(lines)

    __repr__ = __str__


def cell(check, o: Outcome) -> str:
    """A number, or n/a with its reason."""
    if o.error is None:
        return f"n/a ({o.reason})"
    if check in TORCH:
        return f"{o.error:.2g}"
    return f"{o.error:.0e}" if 0 < o.error < math.inf and o.bound else f"{o.error:g}"


def row(name, rule, torch_errors) -> Row:
    """The row of one rule."""
    foreign = rule.op.kernel == "foreign"
    out = Row(name, "extension" if foreign else rule.op.family)
    for check in CHECKS:
        out.outcomes[check] = checks.run(check, rule, catch=True)
    for column, dtype in TORCH.items():
        error = None if foreign else torch_errors[dtype].get(name)
        reason = (
            "extension" if foreign else "torch differs" if name in values.TORCH_DIFFERS else "not torch's"
        )
        out.outcomes[column] = Outcome(error, "" if error is not None else reason, bound=1e30)
    return out


def rows(names=None):
    """The rows of these rules, or of all: the package's own, and those that were declared from outside."""
    if names is None:
        names = sorted(n for n, op in ops.items() if checks.has_rule(op))
    built_in = any(ops[n].kernel != "foreign" for n in names)
    torch_errors = values.torch_errors() if built_in else {dtype: {} for dtype in values.DTYPES}
    for name in names:
        yield row(name, checks.rule(name), torch_errors)


def check_outside(op, samples) -> Row:
    """The row of a primitive that was declared from outside, for its own samples if there are any."""
    rule = checks.rule(op.name)
    if samples:
        rule.cases = checks.as_cases(samples)
    if not rule.cases:
        raise ValueError(
            f"{op.name}: no arguments are known to check it with\n"
            "Give some: check(function, (tensor, 2.0), (another_tensor, 3.0))."
        )
    return row(op.name, rule, {dtype: {} for dtype in values.DTYPES})


# ---- the page ----


def markdown(table) -> str:
    """The page of these rows."""
    lines = [
        "# The rules, checked",
        "",
        f"What `pullback check-rules --write docs/rules.md` found in version {pullback.__version__}. One row "
        "a rule of the registry: the worst error over the rule's cases (shapes, strides, edges, options).",
        "",
        "| column | what is compared | largest error allowed |",
        "|---|---|---|",
    ]
    for check in COLUMNS:
        bound = "by function: tests/primitives/test_values.py" if check in TORCH else f"{CHECKS[check][1]:g}"
        lines.append(f"| {check} | {MEANINGS[check]} | {bound} |")
    lines += [
        "",
        "The error of a number a against b is |a - b| / (1 + |a|), in float64; where bits are compared, "
        "tensors that differ are counted.",
        f"Torch is 2.13 on its CPU, on one thread. {values.INEXACT_TEXT}",
        "",
        f"| {' | '.join(('rule', 'kind', *COLUMNS))} |",
        f"|{'---|' * (len(COLUMNS) + 2)}",
    ]
    table = list(table)
    for r in table:
        cells = (cell(check, r.outcomes[check]) for check in COLUMNS)
        lines.append(f"| `{r.name}` | {r.kind} | {' | '.join(cells)} |")
    lines += ["", f"**{len(table)} rules**, the worst of all:", ""]
    lines += [f"- {check}: {worst(check, table)}" for check in COLUMNS]
    lines += ["", "## Why a cell has no number", ""]
    used = {o.reason for r in table for o in r.outcomes.values() if o.error is None}
    lines += [f"- **{k}**: {text}" for k, text in REASONS.items() if k in used]
    looped = sorted(r.name for r in table if any(o.looped for o in r.outcomes.values()))
    if looped:
        lines += ["", "Run sample by sample under vmap: " + ", ".join(f"`{n}`" for n in looped) + "."]
    bare = sorted(n for n, op in ops.items() if not op.differentiable and op.kernel != "foreign")
    lines += ["", "Without a derivative, so without a row: " + ", ".join(f"`{n}`" for n in bare) + "."]
    return "\n".join(lines) + "\n"


def worst(check, table) -> str:
    """The largest error of a column and whose it is."""
    found = [r for r in table if r.outcomes[check].error is not None]
    if not found:
        return "n/a"
    most = max(found, key=lambda r: r.outcomes[check].error)
    return f"{cell(check, most.outcomes[check])} (`{most.name}`)"


def command(write, only, modules) -> int:
    """Runs the checks, prints what failed and the worst errors, and writes the page. 0 if all is well."""
    import importlib

    for module in modules:
        importlib.import_module(module)
    unknown = [n for n in only if n not in ops or not checks.has_rule(ops[n])]
    if unknown:
        print(f"no rule named {', '.join(unknown)}; docs/rules.md lists all")
        return 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about old forms of calls, which are among the cases
        table = list(rows(only or None))
    for r in table:
        if only or not r.passed:
            print(r)
    print(f"{len(table)} rules, {sum(not r.passed for r in table)} failed; the worst errors:")
    for check in COLUMNS:
        print(f"  {check:{max(map(len, COLUMNS))}}  {worst(check, table)}")
    if write:
        Path(write).write_text(markdown(table), encoding="utf-8")
        print(f"wrote {write}")
    return 0 if all(r.passed for r in table) else 1
