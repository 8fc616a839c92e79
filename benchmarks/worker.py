"""One library in one process: runs rows by name on request, so that two libraries can take turns."""

from __future__ import annotations

import importlib
import sys

import transforms  # noqa: F401 - its rows
from rows import ROWS
from turns import TURN, turn


def main():
    torch = importlib.import_module(sys.argv[1])
    for sub in ("nn", "optim"):
        importlib.import_module(f"{sys.argv[1]}.{sub}")
    if sys.argv[2] != "default":
        torch.set_num_threads(int(sys.argv[2]))
    made = {}
    print("ready", flush=True)
    for line in sys.stdin:
        name = line.strip()
        if name not in made:
            torch.manual_seed(0)
            while len(made) > 1:  # a row and the one beside it
                made.pop(next(iter(made)))
            made[name] = ROWS[name]["make"](torch)
            made[name][0]()
            made[name][0]()
        print(turn(*made[name], TURN if ROWS[name]["repeats"] else 0), flush=True)


main()
