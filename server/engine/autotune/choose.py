"""How a graph should run, decided from what it was measured to do: rows, executors and threads. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from server.core.model import Rate

BATCH_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
THREADS = (1, 2, 4, 8)
EXECUTORS_AT_MOST = 16
GOOD_ENOUGH = 0.95  # of the best rows/s: past that, more rows only make callers wait
# What a batch costs beside its run: it is put together, drawn, taken apart and delivered, each in its turn.
BATCH_SECONDS = 4e-4
THREADS_BRING = 1.15  # times the best of executors: less is noise, and executors also serve callers side by side
EXTRA_CORE_BRINGS = 0.25  # of what the first core does, or it is better left to other graphs and to the transport

# What a transport does on one core, from which follows how many cores a graph can be kept busy on. Measured with Envoy,
# the faster one: 22,600 calls/s of one row, 2,650 calls/s with replies of 256 rows of 3 KB.
CALL_SECONDS = 45e-6
FED_ROWS_PER_SECOND = 680_000


@dataclass(frozen=True, slots=True)
class Setup:
    """So many executors, each running the graph on so many threads."""

    executors: int
    threads: int

    @property
    def cores(self) -> int:
        return self.executors * self.threads


@dataclass(frozen=True, slots=True)
class ExecutionOverrides:
    """What was said beforehand and is not measured; 0: to be measured."""

    rows: int = 0
    executors: int = 0
    threads: int = 0

    @property
    def everything(self) -> bool:
        return bool(self.rows and self.executors and self.threads)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The batch sizes to measure."""
        return (self.rows,) if self.rows else BATCH_ROWS

    @property
    def start(self) -> Setup:
        """The simplest setup there is to measure."""
        return Setup(self.executors or 1, self.threads or 1)


def choose(rates: Sequence[Rate]) -> Rate:
    """The simplest way to run that is within 5 % of the best rows/s: fewest cores, then threads, then rows.

    Ways that hold more cores than the least count only if every further core brings a quarter of the first, and
    threads inside a run only if they are clearly faster than executors.
    """
    fewest = min(rate.cores for rate in rates)
    base = max(served(rate) for rate in rates if rate.cores == fewest)

    def worth_its_cores(rate: Rate) -> bool:
        further = rate.cores / fewest - 1
        return further == 0 or served(rate) >= base * (1 + EXTRA_CORE_BRINGS * further)

    worth = [rate for rate in rates if worth_its_cores(rate)]
    threads = min(rate.threads for rate in worth)
    plain = max(served(rate) for rate in worth if rate.threads == threads)
    worth = [rate for rate in worth if rate.threads == threads or served(rate) >= THREADS_BRING * plain]
    best = max(served(rate) for rate in worth)
    good = [rate for rate in worth if served(rate) >= GOOD_ENOUGH * best]
    return min(good, key=lambda rate: (rate.cores, rate.threads, rate.rows, -rate.rows_per_second))


def served(rate: Rate) -> float:
    """Rows/s that are left of a rate when every batch costs what it costs."""
    batch_seconds = rate.rows * rate.executors / rate.rows_per_second
    return rate.rows * rate.executors / (batch_seconds + BATCH_SECONDS)


def setups(overrides: ExecutionOverrides, *, cores: int, row_seconds: float) -> list[Setup]:
    """The setups worth measuring beyond `given.start`, the most promising first.

    `row_seconds` is what a row takes on one core at best. docs/decisions/0006-calibration.md has the reasons.
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
    """How many executors more a graph gets that take full batches only: one, where a core was left to the transport.

    Requests of few rows need that core and fill no batch while it is busy; requests of many rows leave it idle.
    """
    return 1 if way.threads == 1 and not overrides.executors and way.cores < cores else 0


def _cores_for(*, cores: int, row_seconds: float) -> int:
    """How many cores one graph may hold: one is left to the transport where that has as much to do as the graph, and
    no more are taken than the transport can bring rows for."""
    free = cores if row_seconds >= CALL_SECONDS else max(1, cores - 1)
    return min(free, math.ceil(row_seconds * FED_ROWS_PER_SECOND))


def _executors(most: int) -> list[int]:
    """`most` and the powers of two below it, falling."""
    most = min(most, EXECUTORS_AT_MOST)
    powers = [2**n for n in range(most.bit_length())]
    return sorted({*powers, most} - {0}, reverse=True)
