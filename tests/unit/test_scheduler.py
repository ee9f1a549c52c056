"""The scheduler decides, on a clock that the test turns."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.caller import Caller
from server.core.scheduler import Job, Scheduler
from server.errors import DeadlineExceeded, QueueFull


def scheduler(*, max_batch_rows: int = 8, max_queued_rows: int = 100, max_queued_bytes: int = 10**6) -> Scheduler:
    return Scheduler(max_batch_rows=max_batch_rows, max_queued_rows=max_queued_rows, max_queued_bytes=max_queued_bytes)


def job(rows: int, *, deadline: float = math.inf, now: float = 0.0, width: int = 2) -> Job:
    return Job(np.zeros((rows, width), np.float32), Caller(deadline), submitted=now)


def taken(s: Scheduler, *, now: float = 0.0) -> list[tuple[Job, int, int]]:
    batch, _ = s.take(now=now)
    return [] if batch is None else [(part.job, part.start, part.stop) for part in batch.parts]


def test_jobs_run_first_come_first_served():
    s, a, b = scheduler(), job(3), job(2)
    s.admit(a, now=0)
    s.admit(b, now=0)
    assert taken(s) == [(a, 0, 3), (b, 0, 2)]


def test_a_job_larger_than_a_batch_is_spread_over_several():
    s, a = scheduler(max_batch_rows=4), job(10)
    s.admit(a, now=0)
    assert [taken(s) for _ in range(4)] == [[(a, 0, 4)], [(a, 4, 8)], [(a, 8, 10)], []]


@given(sizes=st.lists(st.integers(1, 20), max_size=15), max_batch_rows=st.integers(1, 9))
def test_every_row_is_taken_exactly_once_and_in_order(sizes, max_batch_rows):
    s = scheduler(max_batch_rows=max_batch_rows, max_queued_rows=10**6)
    jobs = [job(n) for n in sizes]
    for one in jobs:
        s.admit(one, now=0)
    seen = []
    while parts := taken(s):
        assert sum(stop - start for _, start, stop in parts) <= max_batch_rows
        seen += [(jobs.index(one), row) for one, start, stop in parts for row in range(start, stop)]
    assert seen == [(i, row) for i, n in enumerate(sizes) for row in range(n)]
    assert (s.queued_rows, s.queued_bytes) == (0, 0)


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back():
    s = scheduler(max_queued_rows=10)
    s.admit(job(8), now=0)
    s.learn(rows=1, seconds=1.0)
    with pytest.raises(QueueFull, match="8 rows") as refusal:
        s.admit(job(3), now=0)
    assert refusal.value.reason == "rows"
    assert 0.001 <= refusal.value.retry_after <= 10.0
    s.admit(job(2), now=0)  # what fits is still taken


def test_bytes_are_bounded_as_rows_are():
    s = scheduler(max_queued_bytes=100)
    s.admit(job(10, width=2), now=0)  # 80 bytes
    with pytest.raises(QueueFull) as refusal:
        s.admit(job(3, width=2), now=0)
    assert refusal.value.reason == "bytes"


def test_a_job_that_is_late_already_is_refused():
    with pytest.raises(DeadlineExceeded):
        scheduler().admit(job(1, deadline=1.0), now=1.0)


def test_expired_jobs_are_not_run():
    s, late, fine = scheduler(), job(3, deadline=1.0), job(2, deadline=5.0)
    s.admit(late, now=0)
    s.admit(fine, now=0)
    batch, expired = s.take(now=2.0)
    assert expired == [late]
    assert [part.job for part in batch.parts] == [fine]


def test_expired_jobs_make_room_for_new_ones():
    s, late = scheduler(max_queued_rows=4), job(4, deadline=1.0)
    s.admit(late, now=0)
    assert s.admit(job(4), now=2.0) == [late]
    assert s.queued_rows == 4


def test_a_withdrawn_job_frees_its_place_at_once():
    s, gone, kept = scheduler(max_queued_rows=5), job(3), job(2)
    s.admit(gone, now=0)
    s.admit(kept, now=0)
    assert s.withdraw(gone) == 3
    assert (s.queued_rows, s.queued_bytes) == (2, 16)
    assert taken(s) == [(kept, 0, 2)]
    assert s.withdraw(gone) == 0


def test_the_reason_of_a_batch_is_full_or_idle():
    s = scheduler(max_batch_rows=4)
    s.admit(job(5), now=0)
    assert [s.take(now=0)[0].reason for _ in range(2)] == ["full", "idle"]
