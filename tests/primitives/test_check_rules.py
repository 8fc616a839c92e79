"""`pullback check-rules`, its page in the docs, and that the checks find what is wrong."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

import pullback as torch
from pullback import cli, extend
from pullback.checking import checks, page, values
from pullback.checking.checks import CHECKS, REASONS, Outcome
from pullback.primitives.registry import ops

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "rules.md"


def cells():
    """The rows of the page: name -> cells by column."""
    rows = [line.strip("|").split("|") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    rows = [[c.strip() for c in r] for r in rows if len(r) == len(page.COLUMNS) + 2]
    head, _, *body = rows
    assert head == ["rule", "kind", *page.COLUMNS]
    return {r[0].strip("`"): dict(zip(head[1:], r[1:], strict=True)) for r in body}


def test_the_page_has_every_rule():
    assert sorted(cells()) == checks.built_in(), (
        "write the page anew: pullback check-rules --write docs/rules.md"
    )


def test_every_cell_of_the_page_is_a_number_or_has_a_reason():
    text = PAGE.read_text(encoding="utf-8")
    legend = dict(re.findall(r"^- \*\*(.+?)\*\*: (.+)$", text[text.index("## Why") :], re.M))
    assert legend.items() <= REASONS.items()
    for name, row in cells().items():
        assert row.pop("kind") == ops[name].family
        for check, value in row.items():
            if value.startswith("n/a"):
                assert re.fullmatch(r"n/a \((.+)\)", value)[1] in legend, (name, check)
            elif check in CHECKS:
                assert float(value) <= CHECKS[check][1], (name, check)
            else:
                assert 0 <= float(value) < 100 or name in values.INEXACT, (name, check)


def test_one_rule(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(values, "torch_is_installed", lambda: False)
    written = tmp_path / "page.md"
    assert cli.main(["check-rules", "--only", "sin", "--only", "sum_to", "--write", str(written)]) == 0
    printed = capsys.readouterr().out
    assert "sin (elementwise): passed" in printed and "2 rules, 0 failed" in printed
    lines = [x for x in written.read_text(encoding="utf-8").splitlines() if x.startswith("| `")]
    assert [x.split("`")[1] for x in lines] == ["sin", "sum_to"]
    committed = PAGE.read_text(encoding="utf-8").splitlines()
    assert next(x for x in committed if x.startswith("| `sin`")).split("|")[-3:] == lines[0].split("|")[-3:]


def test_a_wrong_rule_fails_the_command(tmp_path, capsys, monkeypatch):
    (tmp_path / "mine_rules.py").write_text(
        "from pullback import extend\n"
        "@extend.elementwise('mine_wrong(Tensor x)', lambda g, x, out: 2 * g)\n"
        "def wrong(x):\n    return x\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert cli.main(["check-rules", "--import", "mine_rules", "--only", "mine_wrong"]) == 1
        assert "mine_wrong (extension): FAILED" in capsys.readouterr().out
    finally:
        del ops["mine_wrong"], extend._mine["mine_wrong"]
    assert cli.main(["check-rules", "--only", "no_such_rule"]) == 2
    assert "no rule named no_such_rule" in capsys.readouterr().out


def test_torch_is_told_from_pullback_under_its_name(monkeypatch):
    import sys
    import types

    for version, answer in (("2.13.0+cpu", True), ("2.13.0+pullback", False)):
        module = types.ModuleType("torch")
        module.__version__ = version
        monkeypatch.setitem(sys.modules, "torch", module)
        assert values.torch_is_installed() is answer
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(sys, "path", [])
    assert not values.torch_is_installed()


# ---- the checks find faults ----


@pytest.fixture
def rule():
    return checks.rule("sin")


def test_numbers_that_are_compared():
    assert checks.relative(1.0, 1.5) == 0.25
    assert checks.relative(math.nan, 1.0) == math.inf
    a, b = (torch.tensor([1.0, math.nan, 3.0], dtype=torch.float64) for _ in range(2))
    assert checks.batch_error(a, b) == 0
    b[2] += 0.31
    assert checks.batch_error(a, b) == pytest.approx(0.31 / 3.41)
    a[1] = 0
    assert checks.batch_error(a, b) == math.inf
    assert checks.batch_error(torch.tensor([1]), torch.tensor([2])) == math.inf
    assert checks.differing([torch.tensor(0.0), None], [torch.tensor(-0.0), None]) == 1


def test_a_batch_that_is_not_the_loop(rule):
    calls = []

    def drifting(x):
        calls.append(x)
        return (x * len(calls),)

    x = torch.ones(2, dtype=torch.float64)
    assert max(checks.batch_errors(rule, drifting, [x], [checks.variations(x)], [0])) > 0.1
    assert not rule.looped
    assert list(checks.batch_errors(rule, lambda x: (x[x > 1],), [x], [checks.variations(x)], [0])) == []


@pytest.mark.parametrize("check", ["slope", "second order", "third order"])
def test_a_slope_of_another_function(rule, check, monkeypatch):
    monkeypatch.setattr(checks, "STEP", 1.0)
    assert not checks.run(check, rule).passed


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_without_cases_says_so(rule, check):
    rule.cases = []
    assert checks.run(check, rule) == Outcome(None, "no samples")


def test_an_error_is_raised_or_caught(rule):
    rule.cases = [[np.ones(2), "surplus"]]
    rule.op = ops["cat"]
    with pytest.raises(TypeError):
        checks.run("slope", rule)
    outcome = checks.run("slope", rule, catch=True)
    assert outcome.error == math.inf and outcome.reason.startswith("TypeError: ") and not outcome.passed
