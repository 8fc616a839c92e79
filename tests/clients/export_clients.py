"""Writes what each program in programs/ prints over torch beside it. Needs torch 2.13 on its AVX2 path.

python tests/clients/export_clients.py [NAME ...]        (with the clients installed by pip --no-deps)
"""

import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent / "programs"


def main():
    environment = {
        **os.environ,
        "ATEN_CPU_CAPABILITY": "avx2",
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
    }
    for program in sorted(HERE.glob("*.py")):
        if sys.argv[1:] and program.stem not in sys.argv[1:]:
            continue
        command = [sys.executable, "-W", "ignore", str(program)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
        program.with_suffix(".txt").write_text(done.stdout)


if __name__ == "__main__":
    main()
