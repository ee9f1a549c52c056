"""Callers who ask and ask again until the time is up."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from vaeserve.errors import VaeServeError
from vaeserve.load.histogram import Histogram
from vaeserve.load.pace import Closed, Open, Pace
from vaeserve.load.tally import Tally


@dataclass(frozen=True, slots=True)
class Load:
    """How much to ask for.

    callers  calls in flight at most
    rate     calls a second to be due (an open loop); None: each caller asks when it has its answer (a closed loop)
    seconds  that count
    warm_up  seconds before, which do not
    """

    callers: int
    rate: float | None
    seconds: float
    warm_up: float


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What was measured."""

    tally: Tally
    lag: Histogram  # how late free callers were themselves: the timer's error, which is part of every wait
    cpu: float  # cores' worth of processor time that this process used, over the whole run


async def run(
    ask: Callable[[int], Awaitable[object]],
    load: Load,
    *,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Run:
    """Have `load.callers` call `ask(number of the call)`, and count what comes of it.

    Returns when the time is up and all calls in flight have ended. Errors other than VaeServeError pass through.
    """
    lag = Histogram()
    numbers = itertools.count()
    begun, cpu_begun = clock(), time.process_time()
    start = begun + load.warm_up
    end = start + load.seconds
    tally = Tally(start=start, end=end)
    pace: Pace = Closed(end=end) if load.rate is None else Open(start=begun, end=end, rate=load.rate)

    async def caller() -> None:
        while (due := pace.next(clock())) is not None:
            if (wait := due - clock()) > 0:
                await sleep(wait)
                lag.add(clock() - due)
            try:
                await ask(next(numbers))
            except VaeServeError as error:
                tally.failure(error, due=due, now=clock())
            else:
                tally.answer(due=due, now=clock())

    async with asyncio.TaskGroup() as group:
        for _ in range(load.callers):
            group.create_task(caller())
    for due in pace.left():
        tally.never(due=due)
    cpu = (time.process_time() - cpu_begun) / max(clock() - begun, 1e-9)
    return Run(tally, lag, cpu)
