"""Concurrent callers, which send one call after the other until the time is up."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from vaeserve.errors import VaeServeError
from vaeserve.load.histogram import Histogram
from vaeserve.load.pace import ClosedLoop, OpenLoop, Pace
from vaeserve.load.tally import Tally


@dataclass(frozen=True, slots=True)
class Load:
    """The load of one run.

    callers  calls in flight at most
    rate     calls a second that fall due (an open loop); None: a call is due when the last is answered (a closed loop)
    seconds  that are measured
    warm_up  seconds before them, which are not
    """

    callers: int
    rate: float | None
    seconds: float
    warm_up: float


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """The measurements of one run."""

    tally: Tally
    lag: Histogram  # how late idle callers began: the timer's error, part of every wait
    cpu: float  # cores' worth of processor time that this process used, over the whole run


async def run(
    ask: Callable[[int], Awaitable[object]],
    load: Load,
    *,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Run:
    """Run `load.callers` callers, each of which awaits `ask(number of the call)`, and count the outcomes.

    Returns when the time is up and all calls in flight have ended. Errors other than VaeServeError are raised.
    """
    lag = Histogram()
    numbers = itertools.count()
    begun, cpu_begun = clock(), time.process_time()
    start = begun + load.warm_up
    end = start + load.seconds
    tally = Tally(start=start, end=end)
    pace: Pace = ClosedLoop(end=end) if load.rate is None else OpenLoop(start=begun, end=end, rate=load.rate)

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
