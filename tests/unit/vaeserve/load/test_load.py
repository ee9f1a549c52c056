"""The load that `vaeserve bench` makes, on a clock of its own."""

import asyncio
import math
from collections.abc import Callable

import numpy as np
import pytest

from vaeserve.errors import DeadlineExceeded, QueueFull
from vaeserve.load.caller import Load, Run, run
from vaeserve.load.histogram import Histogram


class Time:
    """A clock that only moves when a caller sleeps or works."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def measured(
    work: Callable[[int, Time], None], *, rate: float | None = None, seconds: float = 10.0, warm_up: float = 0.0
) -> Run:
    """One caller on its own clock; `work` moves the clock, or raises."""
    time = Time()

    async def ask(call: int) -> None:
        work(call, time)

    load = Load(callers=1, rate=rate, seconds=seconds, warm_up=warm_up)
    return asyncio.run(run(ask, load, clock=time.clock, sleep=time.sleep))


def taking(seconds: float) -> Callable[[int, Time], None]:
    def work(_call: int, time: Time) -> None:
        time.now += seconds

    return work


def test_a_closed_loop_asks_again_when_it_has_its_answer():
    tally = measured(taking(0.5)).tally
    assert (tally.answered, tally.in_time, tally.not_begun) == (20, 20, 0)
    assert tally.waits.quantile(0.5) == pytest.approx(0.5, rel=0.005)


def test_an_open_loop_keeps_its_rate_when_answers_are_fast():
    tally = measured(taking(0.01), rate=5).tally
    assert (tally.answered, tally.not_begun) == (50, 0)
    assert tally.waits.largest == pytest.approx(0.01)


def test_a_stall_is_seen_by_every_call_that_it_held_up():
    """One call of 100 takes a second; 10 are due meanwhile. A loop that omits them would show one slow call."""

    def work(call: int, time: Time) -> None:
        time.now += 1.0 if call == 40 else 0.001

    waits = measured(work, rate=10).tally.waits
    assert waits.count == 100
    assert waits.quantile(0.91) > 0.05
    assert waits.quantile(0.95) == pytest.approx(0.5, abs=0.1)
    assert waits.quantile(1.0) == pytest.approx(1.0)


def test_calls_that_no_caller_began_are_counted_with_their_wait_so_far():
    tally = measured(taking(1.0), rate=2, seconds=10).tally
    assert (tally.answered, tally.not_begun) == (10, 10)
    assert tally.waits.count == 20
    assert tally.waits.quantile(0.5) > 2.9


def test_warming_up_counts_nothing():
    tally = measured(taking(0.5), seconds=2.0, warm_up=3.0).tally
    assert (tally.answered, tally.waits.count) == (4, 4)


def test_errors_are_counted_by_status_and_are_no_latencies_but_for_deadlines():
    def work(call: int, time: Time) -> None:
        time.now += 1.0
        if call % 5 == 1:
            raise QueueFull(f"full at {call}")
        if call % 5 == 2:
            raise DeadlineExceeded("too late")

    tally = measured(work).tally
    assert tally.errors == {"RESOURCE_EXHAUSTED": 2, "DEADLINE_EXCEEDED": 2}
    assert tally.messages["RESOURCE_EXHAUSTED"] == "full at 1"
    assert (tally.answered, tally.waits.count) == (6, 8)


def test_no_more_calls_are_in_flight_than_there_are_callers():
    flying, most = 0, 0

    async def ask(call: int) -> None:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0)
        flying -= 1

    asyncio.run(run(ask, Load(callers=7, rate=None, seconds=0.02, warm_up=0.0)))
    assert (most, flying) == (7, 0)


def test_a_bug_of_the_caller_is_not_counted_but_raised():
    def work(call: int, time: Time) -> None:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup, match="unhandled errors"):
        measured(work)


def test_quantiles_are_right_to_half_a_percent_in_bounded_memory():
    histogram = Histogram()
    durations = sorted(np.random.default_rng(3).lognormal(-6, 2, 20_000).tolist())
    for duration in durations:
        histogram.add(duration)
    for fraction in (0.001, 0.5, 0.9, 0.99, 0.999):
        exact = durations[math.ceil(fraction * len(durations)) - 1]
        assert histogram.quantile(fraction) == pytest.approx(exact, rel=0.0051, abs=1e-6), fraction
    assert histogram.quantile(1.0) == durations[-1]
    assert histogram.mean == pytest.approx(sum(durations) / len(durations))
    assert len(histogram._buckets) < 2300


def test_an_empty_histogram_knows_nothing_and_odd_durations_do_no_harm():
    histogram = Histogram()
    assert (histogram.quantile(0.5), histogram.mean) == (None, None)
    for seconds in (-1.0, 0.0, 1e9):
        histogram.add(seconds)
    assert (histogram.quantile(0.0), histogram.quantile(1.0)) == (pytest.approx(0, abs=1.1e-6), 1e9)
