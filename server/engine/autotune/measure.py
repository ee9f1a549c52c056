"""Measures a graph's rows/s on this machine over batch sizes and setups, in bounded time.

On a CPU larger batches are often slower. Every rate is the best of several short windows, since disturbances only make
a measurement slower. Setups are measured in turn, so that a disturbance affects all of them.
"""

import time
from collections.abc import Callable, Iterable
from typing import TypeAlias

from server.core.model import Rate
from server.engine.autotune.choose import ExecutionOverrides, Setup, choose, effective_rate, setups

# run(setup, rows, runs): every executor of the setup runs `runs` batches of `rows` rows, all at the same time. Returns
# the seconds that the slowest executor worked. On a machine that others use too, more time than that may have passed.
RunBatches: TypeAlias = Callable[[Setup, int, int], float]
Clock: TypeAlias = Callable[[], float]

WINDOW_SECONDS = 0.002
# With several executors: waking threads takes tenths of a millisecond, and in a short window each would run alone.
SETUP_WINDOW_SECONDS = 0.02
WINDOWS = 5
WINDOWS_AT_LEAST, SECONDS_ENOUGH = 2, 0.02  # one window may be disturbed; for a slow graph two are enough
BETTER = 1.05  # times the best rate so far counts as an improvement
SECONDS_FOR_SIZES = 0.15  # for each number of threads
SECONDS_FOR_SETUPS = 0.4


def measure_rates(
    run: RunBatches, overrides: ExecutionOverrides, *, cores: int, clock: Clock = time.perf_counter
) -> tuple[Rate, ...]:
    """Measure a graph over batch sizes first, then over the setups that fit the cores. `overrides` stay fixed.

    This also warms the graph up at every size measured.
    """
    rates = _climb(run, overrides.start, overrides.sizes, clock)
    best = choose(rates)
    row_seconds = overrides.start.executors / best.rows_per_second
    others = setups(overrides, cores=cores, row_seconds=row_seconds)
    sizes = {best.threads: best.rows}
    for threads in sorted({setup.threads for setup in others} - set(sizes)):
        # Starting threads costs time, which larger batches make up for: smaller sizes need not be measured.
        larger = [rows for rows in overrides.sizes if rows >= best.rows]
        climbed = _climb(run, Setup(overrides.start.executors, threads), larger, clock)
        sizes[threads] = choose(climbed).rows
        rates += climbed
    if others:
        rates += _in_turn(run, [(setup, sizes[setup.threads]) for setup in (*others, overrides.start)], clock)
    return _best_of_each(rates)


def _climb(run: RunBatches, setup: Setup, sizes: Iterable[int], clock: Clock) -> list[Rate]:
    """Rates at rising sizes, until two in a row are no better than the best before them or the time is up."""
    rates: list[Rate] = []
    best, no_better, ends = 0.0, 0, clock() + SECONDS_FOR_SIZES
    for rows in sizes:
        run(setup, rows, 1)
        rate = _best_window(run, setup, rows, clock, seconds=WINDOW_SECONDS)
        rates.append(rate)
        no_better = 0 if effective_rate(rate) > BETTER * best else no_better + 1
        best = max(best, effective_rate(rate))
        if no_better == 2 or clock() > ends:
            break
    return rates


def _in_turn(run: RunBatches, ways: list[tuple[Setup, int]], clock: Clock) -> list[Rate]:
    """Rates of several setups, each at its own batch size: three rounds over all, or fewer when the time is up."""
    rates: list[Rate] = []
    ends = clock() + SECONDS_FOR_SETUPS
    for setup, rows in ways * 3:
        if rates and clock() > ends:
            break
        run(setup, rows, 1)
        rates.append(_best_window(run, setup, rows, clock, seconds=SETUP_WINDOW_SECONDS))
    return rates


def _best_window(run: RunBatches, setup: Setup, rows: int, clock: Clock, *, seconds: float) -> Rate:
    """The best rate of several windows of about `seconds` each."""
    runs, best, spent = 1, 0.0, 0.0
    for window in range(1, WINDOWS + 1):
        started = clock()
        worked = run(setup, rows, runs)
        best = max(best, setup.executors * runs * rows / worked)
        spent += clock() - started
        if window >= WINDOWS_AT_LEAST and spent > SECONDS_ENOUGH:
            break
        runs = max(1, round(runs * seconds / worked))
    return Rate(rows=rows, executors=setup.executors, threads=setup.threads, rows_per_second=best)


def _best_of_each(rates: Iterable[Rate]) -> tuple[Rate, ...]:
    best: dict[tuple[int, int, int], Rate] = {}
    for rate in rates:
        way = (rate.threads, rate.executors, rate.rows)
        if way not in best or rate.rows_per_second > best[way].rows_per_second:
            best[way] = rate
    return tuple(best[way] for way in sorted(best))
