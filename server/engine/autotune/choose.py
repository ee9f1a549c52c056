"""Chooses a graph's batch rows, executors and threads from measured rates. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from server.core.model import Rate

BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
THREADS = (1, 2, 4, 8)
EXECUTORS_AT_MOST = 16
GOOD_ENOUGH = 0.95  # of the best rows/s: above that, larger batches only make callers wait
# What a batch costs outside its run: joining rows, drawing noise, splitting outputs, delivering results.
BATCH_SECONDS = 4e-4
# Threads must reach this many times the best rows/s of executors. Less is noise, and executors run calls in parallel.
MIN_THREADS_GAIN = 1.15
# Each extra core must add this part of the first core's rows/s; else other graphs and the transport use it better.
MIN_EXTRA_CORE_GAIN = 0.25

# How fast a transport is on one core. This limits how many cores a graph can be kept busy on. Measured with Envoy, the
# faster transport: 22,600 calls/s of one row, and 2,650 calls/s with replies of 256 rows of 3 KB.
CALL_SECONDS = 45e-6
FED_ROWS_PER_SECOND = 680_000


@dataclass(frozen=True, slots=True)
class Setup:
    """A number of executors, and of threads inside each one's runs."""

    executors: int
    threads: int

    @property
    def cores(self) -> int:
        return self.executors * self.threads


@dataclass(frozen=True, slots=True)
class ExecutionOverrides:
    """What the operator set, so that it is not measured; 0: measure it."""

    rows: int = 0
    executors: int = 0
    threads: int = 0

    @property
    def everything(self) -> bool:
        """Whether nothing is left to measure."""
        return bool(self.rows and self.executors and self.threads)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes to measure."""
        return (self.rows,) if self.rows else BATCH_ROWS

    @property
    def start(self) -> Setup:
        """The simplest setup that these settings allow."""
        return Setup(self.executors or 1, self.threads or 1)


def choose(rates: Sequence[Rate]) -> Rate:
    """The simplest of the ways to run that reach 95 % of the best rows/s: fewest cores, then threads, then rows.

    A way that uses more cores counts only if each extra core adds a quarter of the first core's rows/s. Threads inside
    a run count only if they are clearly faster than executors. `rates` must not be empty.
    """
    fewest = min(rate.cores for rate in rates)
    base = max(effective_rate(rate) for rate in rates if rate.cores == fewest)

    def worth_its_cores(rate: Rate) -> bool:
        further = rate.cores / fewest - 1
        return further == 0 or effective_rate(rate) >= base * (1 + MIN_EXTRA_CORE_GAIN * further)

    worth = [rate for rate in rates if worth_its_cores(rate)]
    threads = min(rate.threads for rate in worth)
    plain = max(effective_rate(rate) for rate in worth if rate.threads == threads)
    worth = [rate for rate in worth if rate.threads == threads or effective_rate(rate) >= MIN_THREADS_GAIN * plain]
    best = max(effective_rate(rate) for rate in worth)
    good = [rate for rate in worth if effective_rate(rate) >= GOOD_ENOUGH * best]
    return min(good, key=lambda rate: (rate.cores, rate.threads, rate.rows, -rate.rows_per_second))


def effective_rate(rate: Rate) -> float:
    """The rows/s of a rate once the cost of a batch outside its run is included."""
    batch_seconds = rate.rows * rate.executors / rate.rows_per_second
    return rate.rows * rate.executors / (batch_seconds + BATCH_SECONDS)


def setups(overrides: ExecutionOverrides, *, cores: int, row_seconds: float) -> list[Setup]:
    """The setups worth measuring besides `overrides.start`, the most promising first.

    `row_seconds` is the least time of a row on one core. docs/decisions/0006-calibration.md gives the reasons.
    """
    budget = _cores_for(cores=cores, row_seconds=row_seconds)
    threads = (overrides.threads,) if overrides.threads else THREADS
    found = [
        Setup(executors, count)
        for count in threads
        for executors in ((overrides.executors,) if overrides.executors else _executors(budget // count))
        if executors * count <= budget
    ]
    return [setup for setup in found if setup != overrides.start]


def helpers(way: Setup, overrides: ExecutionOverrides, *, cores: int) -> int:
    """The number of helpers: 1 if a core is left to the transport, else 0.

    Requests of few rows keep the transport's core busy and fill no batch, so the helper does not run. Requests of many
    rows leave that core idle, and the helper uses it.
    """
    return 1 if way.threads == 1 and not overrides.executors and way.cores < cores else 0


def _cores_for(*, cores: int, row_seconds: float) -> int:
    """How many cores one graph may use.

    One core is left to the transport if that takes longer for a call than the graph for a row. The transport must also
    be able to bring enough rows for all of them.
    """
    free = cores if row_seconds >= CALL_SECONDS else max(1, cores - 1)
    return min(free, math.ceil(row_seconds * FED_ROWS_PER_SECOND))


def _executors(most: int) -> list[int]:
    """`most` and the powers of two below it, in falling order."""
    most = min(most, EXECUTORS_AT_MOST)
    powers = [2**n for n in range(most.bit_length())]
    return sorted({*powers, most} - {0}, reverse=True)
