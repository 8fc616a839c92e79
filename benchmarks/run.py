"""pullback beside torch, in turns: ratio of medians, and the spread of the paired ratios.

    python benchmarks/run.py [--rounds 9] [--threads default,1] [--only TEXT] [--json FILE]

Needs torch in the same environment. A ratio below 1 means that pullback is faster.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import transforms  # noqa: F401 - its rows
from rows import ROWS

HERE = pathlib.Path(__file__).parent


class Worker:
    """A library in a process of its own, idle while the other one runs."""

    def __init__(self, module, threads):
        environment = {
            k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
        }
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), module, threads],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=HERE,
        )
        if self.process.stdout.readline().strip() != "ready":
            raise SystemExit(f"{module} could not be imported in {sys.executable}")

    def time(self, name):
        time.sleep(0.25)  # the other library's threads spin for a while before they sleep
        self.process.stdin.write(name + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the worker died in '{name}'")
        return float(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def overhead(name, beside, worker, rounds):
    """What a row takes, over what it takes without that which it is about: both in one process, in turns."""
    worker.time(beside), worker.time(name)
    return statistics.median(worker.time(name) / worker.time(beside) for _ in range(rounds))


def measure(name, ours, theirs, rounds):
    ours.time(name), theirs.time(name)
    a, b = [], []
    for _ in range(rounds):
        a.append(ours.time(name))
        b.append(theirs.time(name))
    ratios = sorted(x / y for x, y in zip(a, b))
    return {
        "ours": statistics.median(a),
        "torch": statistics.median(b),
        "ratio": statistics.median(ratios),
        "low": ratios[0],
        "high": ratios[-1],
    }


def import_time(module, runs=7):
    """Seconds beyond an empty interpreter that has NumPy."""

    def once(code):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, cwd=HERE)
        return time.perf_counter() - begin

    base = statistics.median(once("import numpy") for _ in range(runs))
    return statistics.median(once(f"import numpy, {module}") for _ in range(runs)) - base


def table(threads, rounds, only):
    ours, theirs = Worker("pullback", threads), Worker("torch", threads)
    results = {}
    print(
        f"\nthreads: {threads}\n{'':44}{'pullback':>12}{'torch':>12}{'ratio':>8}   spread         must / aim"
    )
    for name, row in ROWS.items():
        if only and only not in name:
            continue
        r = results[name] = measure(name, ours, theirs, rounds)
        mark = "ok  " if r["ratio"] <= row["must"] else "MISS"
        print(
            f"{name:44}{r['ours'] * 1e6:10.2f}us{r['torch'] * 1e6:10.2f}us{r['ratio']:8.3f}   "
            f"{r['low']:.3f}-{r['high']:.3f}  {mark} {row['must']} / {row['aim']}",
            flush=True,
        )
        if row["beside"]:
            r["over"], r["torch_over"] = (overhead(name, row["beside"], w, rounds) for w in (ours, theirs))
            print(f"{'':8}over the row without: {r['over']:.2f} (must 1.10), torch {r['torch_over']:.2f}")
    ours.close(), theirs.close()
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", default="default,1")
    parser.add_argument("--only")
    parser.add_argument("--json")
    options = parser.parse_args()
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {os.cpu_count()} cores, Python {platform.python_version()}")
    results = {t: table(t, options.rounds, options.only) for t in options.threads.split(",")}
    if not options.only:
        results["import"] = import_time("pullback")
        print(f"\nimport, beyond NumPy's own: {results['import'] * 1e3:.0f} ms (must 60, aim 30)")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1))


main()
