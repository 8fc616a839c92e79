"""How a worker times what it is asked for; needs no library."""

from __future__ import annotations

import time

TURN = 0.1  # seconds: what else a machine does comes and goes within tens of milliseconds


def turn(run, count, least):
    """Seconds a thing takes, over a turn of so many seconds at least."""
    times, begin = 0, time.perf_counter()
    while True:
        run()
        times += 1
        taken = time.perf_counter() - begin
        if taken >= least:
            return taken / (times * count)
