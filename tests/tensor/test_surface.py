"""Each line of tests/tensor/cases/*.txt answers as torch does: values as printed, errors by kind and words.

What torch answered is in tests/data/surface_oracle.json; tests/oracles/export_surface.py wrote it.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

import pullback

TESTS = Path(__file__).resolve().parent.parent


def load_exporter():
    spec = importlib.util.spec_from_file_location("export_surface", TESTS / "oracles" / "export_surface.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


exporter = load_exporter()
oracle = json.loads((TESTS / "data" / "surface_oracle.json").read_text(encoding="utf-8"))


def test_every_case_has_an_answer():
    assert {topic: sorted(lines) for topic, lines in exporter.cases().items()} == {
        topic: sorted(answers) for topic, answers in oracle.items()
    }


@pytest.mark.parametrize(
    ("topic", "line"), [(topic, line) for topic, answers in oracle.items() for line in answers]
)
def test_answers_as_torch(topic, line):
    expected = oracle[topic][line]
    value, error, warned = exporter.evaluate(pullback, line)
    if "error" in expected:
        assert error is not None, f"expected {expected['error']}: {expected['text']}\ngot {value}"
        assert expected["error"] in [c.__name__ for c in type(error).__mro__], repr(error)
        assert exporter.first_line(error) == expected["text"]
    else:
        if error is not None:
            raise error
        assert value == expected["value"]
    assert warned == expected.get("warnings", [])
