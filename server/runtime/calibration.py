"""How many rows a graph should run at once on this machine: measured, since on CPU bigger is often slower."""

import time
from collections.abc import Callable

import numpy as np

from server.core.arrays import Floats, RunGraph

BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
GOOD_ENOUGH = 0.95  # of the best rows/s: past that, more rows only make callers wait
SECONDS_PER_SIZE = 0.02


def best_batch_rows(
    run: RunGraph, row_shape: tuple[int, ...], *, clock: Callable[[], float] = time.perf_counter
) -> int:
    """The smallest batch within 5 % of the best rows/s. It also warms the graph up at every size.

    Stops climbing once a size has fallen well behind the best, so slow graphs do not pay for sizes they will not use.
    """
    noise = np.random.default_rng(0)
    rates: dict[int, float] = {}
    for rows in BATCH_ROWS:
        batch = noise.random((rows, *row_shape), np.float32)
        rates[rows] = rows / _seconds(run, batch, clock)
        if rates[rows] < 0.8 * max(rates.values()):
            break
    best = max(rates.values())
    return next(rows for rows, rate in rates.items() if rate >= GOOD_ENOUGH * best)


def _seconds(run: RunGraph, batch: Floats, clock: Callable[[], float]) -> float:
    """The least time of several runs: what the graph needs when nothing else disturbs it."""
    run(batch)
    least, spent = float("inf"), 0.0
    while spent < SECONDS_PER_SIZE:
        started = clock()
        run(batch)
        seconds = clock() - started
        least, spent = min(least, seconds), spent + seconds
    return least
