"""Writes what torch prints for each program in programs/ beside it. Needs torch 2.13 on its AVX2 path."""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent / "programs"


def main():
    environment = {**os.environ, "ATEN_CPU_CAPABILITY": "avx2", "OMP_NUM_THREADS": "1"}
    for program in sorted(HERE.glob("*.py")):
        done = subprocess.run(
            [sys.executable, str(program)], capture_output=True, text=True, env=environment, check=True
        )
        program.with_suffix(".txt").write_text(done.stdout)


if __name__ == "__main__":
    main()
