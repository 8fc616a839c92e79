"""Runs other people's torch libraries on pullback, in an environment without torch, and prints a table.

    python conformance/clients.py [--pullback FOLDER_OR_WHEEL] [--environment FOLDER] [NAME ...]

Makes an environment, installs the clients with `pip install --no-deps`, and runs each program of
tests/clients/programs unmodified by `pullback run`. A program passes when it prints what it prints over
PyTorch 2.13, which stands beside it. The folder given by --pullback holds a built package `pullback` (the one
that this Python finds, unless told); a wheel is installed. The exit code is the number of programs that
differ.
"""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "tests" / "clients" / "programs"
NEEDED = (
    "numpy",
    "scipy",
    "scipy-openblas64",
    "graphviz",
    "tabulate",
    "colorama",
    "setuptools<81",
    "typing_extensions",
)
CLIENTS = (
    "torchviz",
    "torchdiffeq",
    "torchinfo",
    "einops",
    "lion-pytorch",
    "adabelief-pytorch",
    "pytorch-ranger",
    "madgrad",
    "prodigyopt",
    "torch-optimizer",
    "torch-ema",
)
# What of the clients does not run, and why. No program asks for it.
KNOWN = {
    "torch-optimizer: Shampoo": "torch.svd: there are no matrix decompositions yet",
    "torch-optimizer: Lookahead": "has no state_dict() over PyTorch 2.13 either",
    "higher": "looks at torch.nn.RNNBase: there are no recurrent layers yet",
    "curvlinops, linear-operator": "torch.linalg.{inv,qr,cholesky}: there are no matrix decompositions yet",
    "geotorch": "torch.nn.utils.parametrize, torch.linalg.matrix_exp: not there yet",
    "backpack-for-pytorch": "torch.fx: graphs of a program are not offered",
    "pytorch-minimize": "imports torch._vmap_internals, which is private to torch",
    "rotary-embedding-torch": "torch.amp: there is no reduced precision",
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="programs; all, if none is given")
    parser.add_argument("--pullback", help="a folder that holds the package, or a wheel")
    parser.add_argument("--environment", default=str(ROOT / "build" / "clients"))
    return parser.parse_args()


def prepared(folder):
    """The Python of an environment with the clients in it."""
    python = pathlib.Path(folder) / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "-q", "install"]
    subprocess.run([*pip, *NEEDED], check=True)
    subprocess.run([*pip, "--no-deps", *CLIENTS], check=True)
    return str(python), pip


def package_folder(given):
    if given is not None:
        return given
    found = importlib.util.find_spec("pullback")
    if found is None:
        sys.exit("no package 'pullback' is found: give its folder or a wheel by --pullback")
    return str(pathlib.Path(found.origin).parent.parent)


def outcome(python, program, environment):
    """None if the program prints what it should; else what is wrong, in a line."""
    command = [python, "-W", "ignore", "-m", "pullback", "run", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT / "build")
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if re.match(r"[\w.]+(Error|Exception)\b", line)]
        return said[-1] if said else f"exit code {done.returncode}"
    expected = program.with_suffix(".txt").read_text()
    if done.stdout == expected:
        return None
    lines = difflib.unified_diff(expected.splitlines(), done.stdout.splitlines(), lineterm="", n=0)
    changes = [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")]
    return f"{len(changes)} lines differ: " + " | ".join(changes[:2])


def main():
    options = arguments()
    (ROOT / "build").mkdir(exist_ok=True)
    python, pip = prepared(options.environment)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["PYTHONHASHSEED"] = "0"
    folder = package_folder(options.pullback)
    if folder.endswith(".whl"):
        subprocess.run([*pip, "--no-deps", "--force-reinstall", folder], check=True)
    else:
        environment["PYTHONPATH"] = os.path.abspath(folder)
    there = subprocess.run([python, "-c", "import torch"], capture_output=True, env=environment)
    if there.returncode == 0:
        sys.exit(f"torch is installed in {options.environment}: the table would say nothing")
    programs = [p for p in sorted(PROGRAMS.glob("*.py")) if not options.names or p.stem in options.names]
    failed = 0
    for program in programs:
        wrong = outcome(python, program, environment)
        failed += wrong is not None
        print(f"{program.stem:24} {'worked' if wrong is None else 'failed: ' + wrong}", flush=True)
    print(f"{len(programs) - failed}/{len(programs)} programs print what they print over torch")
    for name, why in KNOWN.items():
        print(f"  not run: {name}: {why}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
