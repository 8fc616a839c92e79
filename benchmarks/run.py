"""pullback beside torch, in turns: ratio of medians, and the spread of the paired ratios.

    python benchmarks/run.py [--rounds 9] [--threads default,1] [--only TEXT] [--json FILE] [--jax PYTHON]

Needs torch in the same environment. A ratio below 1 means that pullback is faster. JAX takes its turns in the
rows of transformations where --jax names a Python that has it; its threads are its own in every table.
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

    def __init__(self, python, *command):
        environment = {
            k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
        }
        self.process = subprocess.Popen(
            [python, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=HERE,
        )
        if self.process.stdout.readline().strip() != "ready":
            raise SystemExit(f"no answer from: {python} {' '.join(command)}")

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


def measure(name, ours, theirs, jax, rounds):
    ours.time(name), theirs.time(name)
    compiling = jax.time(name) if jax else None
    a, b, c = [], [], []
    for _ in range(rounds):
        a.append(ours.time(name))
        b.append(theirs.time(name))
        if jax:
            c.append(jax.time(name))
    ratios = sorted(x / y for x, y in zip(a, b))
    result = {
        "ours": statistics.median(a),
        "torch": statistics.median(b),
        "ratio": statistics.median(ratios),
        "low": ratios[0],
        "high": ratios[-1],
    }
    if jax:
        result |= {"jax": statistics.median(c), "jax_first_call": compiling}
    return result


def import_time(module, runs=7):
    """Seconds beyond an empty interpreter that has NumPy."""

    def once(code):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, cwd=HERE)
        return time.perf_counter() - begin

    base = statistics.median(once("import numpy") for _ in range(runs))
    return statistics.median(once(f"import numpy, {module}") for _ in range(runs)) - base


def table(threads, rounds, only, jax_python):
    ours, theirs = (
        Worker(sys.executable, str(HERE / "worker.py"), module, threads) for module in ("pullback", "torch")
    )
    jax = Worker(jax_python, str(HERE / "jax_rows.py")) if jax_python else None
    results = {}
    print(
        f"\nthreads: {threads}\n{'':44}{'pullback':>12}{'torch':>12}{'ratio':>8}   spread         must / aim"
    )
    for name, row in ROWS.items():
        if only and only not in name:
            continue
        r = results[name] = measure(
            name, ours, theirs, jax if row["make"].__module__ == "transforms" else None, rounds
        )
        mark = "ok  " if r["ratio"] <= row["must"] else "MISS"
        print(
            f"{name:44}{r['ours'] * 1e6:10.2f}us{r['torch'] * 1e6:10.2f}us{r['ratio']:8.3f}   "
            f"{r['low']:.3f}-{r['high']:.3f}  {mark} {row['must']} / {row['aim']}",
            flush=True,
        )
        if "jax" in r:
            ratio, pause = r["ours"] / r["jax"], r["jax_first_call"]
            print(f"{'':8}JAX, compiled: {r['jax'] * 1e6:.2f}us, ratio {ratio:.2f}; first call {pause:.2f} s")
        if row["beside"]:
            r["over"], r["torch_over"] = (overhead(name, row["beside"], w, rounds) for w in (ours, theirs))
            print(f"{'':8}over the row without: {r['over']:.2f} (must 1.10), torch {r['torch_over']:.2f}")
    for worker in (ours, theirs, jax):
        if worker:
            worker.close()
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", default="default,1")
    parser.add_argument("--only")
    parser.add_argument("--json")
    parser.add_argument("--jax", metavar="PYTHON")
    options = parser.parse_args()
    machine = platform.processor() or platform.machine()
    print(f"{machine}, {os.cpu_count()} cores, Python {platform.python_version()}")
    results = {t: table(t, options.rounds, options.only, options.jax) for t in options.threads.split(",")}
    if not options.only:
        results["import"] = import_time("pullback")
        print(f"\nimport, beyond NumPy's own: {results['import'] * 1e3:.0f} ms (must 60, aim 30)")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1))


main()
