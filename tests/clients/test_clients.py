"""Programs over other people's torch libraries, run unmodified:
they print what they print over PyTorch 2.13.

A program names what it needs in its first lines; where that is not installed it is skipped.
conformance/clients.py makes an environment in which nothing is.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest

PROGRAMS = sorted((pathlib.Path(__file__).parent / "programs").glob("*.py"))


def requirements(program):
    """The modules of the program's first lines, "# Requires: name name"."""
    lines = program.read_text().splitlines()
    return [name for line in lines if line.startswith("# Requires:") for name in line.split()[2:]]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.stem)
def test_prints_what_torch_prints(program):
    missing = [name for name in requirements(program) if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    command = [sys.executable, "-W", "ignore", "-m", "pullback", "run", str(program)]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.stdout == program.with_suffix(".txt").read_text(), done.stderr
    assert done.returncode == 0


def test_programs_have_an_oracle_and_name_what_they_need():
    assert PROGRAMS
    for program in PROGRAMS:
        assert requirements(program) and program.with_suffix(".txt").stat().st_size > 0
