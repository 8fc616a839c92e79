"""Tests run in a folder of their own: programs that they start find the installed package, not sources."""

import pytest


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
