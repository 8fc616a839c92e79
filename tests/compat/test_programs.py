"""Programs written for torch, run unmodified: they print what PyTorch 2.13 printed (export_programs.py)."""

import pathlib
import subprocess
import sys

import pytest

PROGRAMS = sorted((pathlib.Path(__file__).parent / "programs").glob("*.py"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.stem)
def test_prints_what_torch_prints(program):
    command = [sys.executable, "-m", "pullback", "run", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.stdout == program.with_suffix(".txt").read_text(), done.stderr
    assert done.returncode == 0
