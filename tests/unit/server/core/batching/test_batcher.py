"""The batcher's promises (docs/explanation/architecture.md), with a graph that shows who got whose row."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from server.core.batching.batcher import Batcher
from server.core.batching.scheduler import Scheduler
from server.core.call import Call, CallRecord
from server.core.events import BatchDone, Event, ExecutorDied, GraphFailed, JobRefused, RowsDropped
from server.core.noise import Noise, Purpose, draw
from server.errors import Cancelled, DeadlineExceeded, EngineFailure, QueueFull, Unavailable

WAIT = 10.0  # seconds until a test that hangs fails


class Graph:
    """Multiplies rows by ten, fails on rows that contain 13, and can be made to wait."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.entered = threading.Semaphore(0)
        self._open = threading.Event()
        self._open.set()

    def __call__(self, rows: np.ndarray) -> tuple[np.ndarray, ...]:
        self.entered.release()
        assert self._open.wait(WAIT)
        self.sizes.append(len(rows))
        if (rows == 13).any():
            raise RuntimeError("unlucky")
        return rows * 10, rows.sum(axis=1)

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def running(graph: Callable, **options) -> Iterator[tuple[Batcher, list[Event]]]:
    events: list[Event] = []
    clock = options.pop("clock", time.monotonic)
    soon = options.pop("soon", lambda work: work())
    helpers = options.pop("helpers", 0)
    limits = {"max_batch_rows": 8, "max_queued_rows": 100, "max_queued_bytes": 10**6} | options
    batcher = Batcher(
        graph, scheduler=Scheduler(**limits), helpers=helpers, observe=events.append, soon=soon, clock=clock
    )
    try:
        yield batcher, events
    finally:
        if isinstance(graph, Graph):
            graph.release()
        batcher.close()


def rows(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def call(deadline: float = float("inf")) -> Call:
    return Call(deadline)


def test_every_call_gets_its_own_rows_of_a_shared_batch():
    graph = Graph()
    with running(graph) as (batcher, _):
        graph.hold()
        first = batcher.submit(rows(0), call())
        graph.entered.acquire(timeout=WAIT)
        waiting = [batcher.submit(rows(i, i + 0.5), call()) for i in range(1, 4)]
        graph.release()
        assert first.wait(WAIT)[0].tolist() == [[0]]
        assert [t.wait(WAIT)[0].tolist() for t in waiting] == [[[10 * i], [10 * i + 5]] for i in range(1, 4)]
        assert graph.sizes == [1, 6]


def test_noise_and_rows_in_one_batch_give_what_they_give_alone():
    graph = Graph()
    noises = [Noise(seed=s, purpose=Purpose.PRIOR, first_row=s, rows=2, size=1) for s in (1, 2)]
    with running(graph) as (batcher, _):
        graph.hold()
        first = batcher.submit(rows(0), call())
        graph.entered.acquire(timeout=WAIT)
        mates = [batcher.submit(waiting, call()) for waiting in (noises[0], rows(5, 6), noises[1])]
        graph.release()
        first.wait(WAIT)
        got = [ticket.wait(WAIT)[0] for ticket in mates]
    assert graph.sizes == [1, 6]
    assert [a.tolist() for a in got] == [(10 * a).tolist() for a in (draw(noises[:1]), rows(5, 6), draw(noises[1:]))]


def test_a_job_larger_than_a_batch_comes_back_whole():
    graph = Graph()
    with running(graph, max_batch_rows=4) as (batcher, _):
        scaled, sums = batcher.submit(rows(*range(11)), call()).wait(WAIT)
        assert scaled[:, 0].tolist() == [10 * i for i in range(11)]
        assert sums.tolist() == list(range(11))


def test_a_helper_takes_full_batches_beside_a_busy_executor_and_leaves_the_rest():
    graph = Graph()
    with running(graph, helpers=1, max_batch_rows=4) as (batcher, _):
        graph.hold()
        first = batcher.submit(rows(0), call())
        graph.entered.acquire(timeout=WAIT)
        large = batcher.submit(rows(*range(1, 7)), call())
        graph.entered.acquire(timeout=WAIT)
        assert (batcher.running_rows, batcher.queued_rows) == (5, 2), "four rows of six fill a batch, two do not"
        graph.release()
        assert first.wait(WAIT)[0].tolist() == [[0]]
        assert large.wait(WAIT)[0][:, 0].tolist() == [10 * i for i in range(1, 7)]
    assert sorted(graph.sizes) == [1, 2, 4]


def test_a_helper_shares_no_batch_with_an_executor_that_waits_for_a_burst_to_end():
    graph = Graph()
    with running(graph, helpers=1, max_batch_rows=4, soon=lambda work: None) as (batcher, _):
        idle(batcher)
        assert len(batcher.submit(rows(*range(4)), call()).wait(WAIT)[0]) == 4
    assert graph.sizes == [4]


def test_a_cancelled_caller_does_not_disturb_its_batch():
    graph = Graph()
    with running(graph) as (batcher, events):
        graph.hold()
        batcher.submit(rows(0), call())
        graph.entered.acquire(timeout=WAIT)
        kept, gone = batcher.submit(rows(1), call()), batcher.submit(rows(2, 3), call())
        gone.cancel()
        graph.release()
        assert kept.wait(WAIT)[0].tolist() == [[10]]
        with pytest.raises(Cancelled):
            gone.wait(WAIT)
    assert graph.sizes == [1, 1], "rows of the cancelled caller were run"
    assert RowsDropped(2, "queued", "cancelled") in events


def test_cancelling_a_running_call_settles_it_once_and_its_mates_finish():
    graph = Graph()
    with running(graph) as (batcher, events):
        graph.hold()
        batcher.submit(rows(0), call())
        graph.entered.acquire(timeout=WAIT)
        kept, gone = batcher.submit(rows(1), call()), batcher.submit(rows(2), call())
        graph.release()
        graph.hold()
        graph.entered.acquire(timeout=WAIT)
        gone.cancel()
        graph.release()
        assert kept.wait(WAIT)[0].tolist() == [[10]]
        with pytest.raises(Cancelled):
            gone.wait(WAIT)
    assert RowsDropped(1, "running", "cancelled") in events


def test_an_expired_job_is_not_run_and_is_reported():
    graph, clock = Graph(), Clock()
    with running(graph, clock=clock) as (batcher, events):
        graph.hold()
        batcher.submit(rows(0), call())
        graph.entered.acquire(timeout=WAIT)
        late = batcher.submit(rows(1), call(deadline=5.0))
        clock.now = 6.0
        graph.release()
        with pytest.raises(DeadlineExceeded):
            late.wait(WAIT)
    assert graph.sizes == [1]
    assert RowsDropped(1, "queued", "expired") in events


def test_a_full_queue_refuses_at_once_and_keeps_what_it_accepted():
    graph = Graph()
    with running(graph, max_queued_rows=2) as (batcher, events):
        graph.hold()
        running_call = batcher.submit(rows(0), call())
        graph.entered.acquire(timeout=WAIT)
        accepted = batcher.submit(rows(1, 2), call())
        with pytest.raises(QueueFull):
            batcher.submit(rows(3), call())
        graph.release()
        assert running_call.wait(WAIT)[0].tolist() == [[0]]
        assert accepted.wait(WAIT)[0].tolist() == [[10], [20]]
    assert JobRefused(1, "rows") in events


def test_an_engine_error_reaches_only_the_job_that_caused_it():
    graph = Graph()
    with running(graph) as (batcher, events):
        graph.hold()
        batcher.submit(rows(0), call())
        graph.entered.acquire(timeout=WAIT)
        good = [batcher.submit(rows(i), call()) for i in range(1, 4)]
        bad = batcher.submit(rows(13), call())
        good += [batcher.submit(rows(i), call()) for i in range(4, 7)]
        graph.release()
        assert [t.wait(WAIT)[0].item() for t in good] == [10, 20, 30, 40, 50, 60]
        with pytest.raises(EngineFailure):
            bad.wait(WAIT)
        assert batcher.submit(rows(7), call()).wait(WAIT)[0].item() == 70, "the next batch works"
    assert any(isinstance(e, GraphFailed) and str(e.error) == "unlucky" for e in events)
    assert any(isinstance(e, BatchDone) and (e.rows, e.failed_rows) == (7, 1) for e in events)


def test_a_failed_part_fails_the_whole_job_and_withdraws_the_rest():
    graph = Graph()
    with running(graph, max_batch_rows=2) as (batcher, _):
        graph.hold()
        ticket = batcher.submit(rows(13, 1, 2, 3, 4, 5), call())
        graph.release()
        with pytest.raises(EngineFailure):
            ticket.wait(WAIT)
        assert batcher.submit(rows(6), call()).wait(WAIT)[0].item() == 60
    assert graph.sizes == [2, 1]


def test_a_graph_that_loses_rows_is_an_engine_error():
    with running(lambda z: (z[:-1],)) as (batcher, _), pytest.raises(EngineFailure):
        batcher.submit(rows(1, 2), call()).wait(WAIT)


def test_closing_finishes_accepted_jobs_and_refuses_new_ones():
    graph = Graph()
    with running(graph) as (batcher, _):
        tickets = [batcher.submit(rows(i), call()) for i in range(12)]
        batcher.close()
        assert [t.outcome()[0].item() for t in tickets] == [10 * i for i in range(12)]
        with pytest.raises(Unavailable):
            batcher.submit(rows(1), call())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the death is the point
def test_a_dead_executor_fails_its_callers_instead_of_hanging_them():
    class Broken(Scheduler):
        def learn(self, *, rows: int, seconds: float) -> None:
            raise MemoryError

    events: list[Event] = []
    broken = Broken(max_batch_rows=1, max_queued_rows=10**6, max_queued_bytes=10**9)
    batcher = Batcher(lambda z: (z,), scheduler=broken, observe=events.append)
    tickets = []

    def submit_for_ever() -> None:
        while True:
            tickets.append(batcher.submit(rows(1), call()))

    with pytest.raises(Unavailable):  # at the latest once the first batch has killed the executor
        submit_for_ever()
    for ticket in tickets:
        with pytest.raises(EngineFailure):
            ticket.wait(WAIT)
    batcher.close()  # waits until the executor has reported its death
    assert any(isinstance(event, ExecutorDied) for event in events)


def test_the_timings_of_a_call_add_up():
    graph, record = Graph(), CallRecord()
    who = replace(call(), observe=record.timings.append)
    with running(graph) as (batcher, _):
        batcher.submit(rows(1, 2, 3), who).wait(WAIT)
        batcher.submit(rows(1), who).wait(WAIT)
    total = record.total()
    assert total.batch_rows == 3
    assert total.run_seconds == pytest.approx(sum(timing.run_seconds for timing in record.timings))


def test_many_callers_on_many_threads_all_get_their_own_rows():
    graph = Graph()
    with running(graph, max_queued_rows=10**6) as (batcher, events):
        wrong = []

        def client(base: int) -> None:
            for i in range(50):
                value = base * 1000 + i
                if batcher.submit(rows(value), call()).wait(WAIT)[0].item() != value * 10:
                    wrong.append(value)

        threads = [threading.Thread(target=client, args=(base,)) for base in range(100, 116)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert sum(e.rows for e in events if isinstance(e, BatchDone)) == 800


class Turns:
    """An event loop whose turns the test takes one by one."""

    def __init__(self) -> None:
        self._next: list[Callable[[], None]] = []

    def __call__(self, work: Callable[[], None]) -> None:
        self._next.append(work)

    def turn(self) -> None:
        works, self._next = self._next, []
        for work in works:
            work()

    @property
    def quiet(self) -> bool:
        return not self._next


def idle(batcher: Batcher) -> None:
    """Wait for the executor to have nothing to do."""
    end = time.monotonic() + WAIT
    while batcher._idle_executors == 0:
        assert time.monotonic() < end


def test_rows_that_arrive_turn_by_turn_run_together_once_a_turn_is_quiet():
    graph, turns, clock = Graph(), Turns(), Clock()
    with running(graph, soon=turns, clock=clock) as (batcher, _):
        idle(batcher)
        tickets = []
        for i in range(3):
            tickets.append(batcher.submit(rows(i), call()))
            turns.turn()
        assert graph.sizes == []
        clock.now += 0.0001  # a turn in which the thread had other things to do
        turns.turn()
        assert graph.sizes == []
        turns.turn()
        assert [t.wait(WAIT)[0].item() for t in tickets] == [0, 10, 20]
        assert graph.sizes == [3]
        assert turns.quiet


def test_a_single_row_waits_for_one_quiet_turn_and_no_timer():
    graph, turns = Graph(), Turns()
    with running(graph, soon=turns, clock=Clock()) as (batcher, _):
        idle(batcher)
        ticket = batcher.submit(rows(1), call())
        turns.turn()
        assert ticket.wait(WAIT)[0].item() == 10


def test_a_burst_that_does_not_end_runs_after_the_longest_wait():
    graph, turns, clock = Graph(), Turns(), Clock()
    with running(graph, soon=turns, clock=clock, max_batch_rows=1000, max_queued_rows=1000) as (batcher, _):
        idle(batcher)
        tickets = []
        for _ in range(5):
            tickets.append(batcher.submit(rows(1), call()))
            clock.now += 0.001
            turns.turn()
        assert tickets[0].wait(WAIT)[0].item() == 10


def test_a_burst_that_fills_a_batch_runs_at_once():
    graph, turns = Graph(), Turns()
    with running(graph, soon=turns, clock=Clock(), max_batch_rows=2) as (batcher, _):
        idle(batcher)
        tickets = [batcher.submit(rows(i), call()) for i in range(2)]
        turns.turn()
        assert [t.wait(WAIT)[0].item() for t in tickets] == [0, 10]
