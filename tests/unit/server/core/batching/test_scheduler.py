"""The scheduler decides which rows run next; the tests pass the time."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.core.batching.job import Job
from server.core.batching.scheduler import Scheduler
from server.core.call import Call, Priority
from server.errors import DeadlineExceeded, QueueFull


def scheduler(*, max_batch_rows: int = 8, max_queued_rows: int = 100, max_queued_bytes: int = 10**6) -> Scheduler:
    return Scheduler(max_batch_rows=max_batch_rows, max_queued_rows=max_queued_rows, max_queued_bytes=max_queued_bytes)


def job(
    rows: int,
    *,
    deadline: float = math.inf,
    now: float = 0.0,
    width: int = 2,
    tenant: str = "",
    priority: Priority = "interactive",
    weight: int = 1,
) -> Job:
    call = Call(deadline, tenant=tenant, priority=priority, weight=weight)
    return Job(np.zeros((rows, width), np.float32), call, submitted=now)


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


def test_idle_executors_get_even_shares_of_the_waiting_rows():
    s, a = scheduler(max_batch_rows=8), job(7)
    s.admit(a, now=0)
    shares = [s.take(now=0, idle=idle)[0] for idle in (1, 0)]
    assert [(batch.rows, batch.reason) for batch in shares] == [(4, "idle"), (3, "idle")]


def test_a_share_is_no_smaller_than_an_eighth_of_a_full_batch():
    s, a = scheduler(max_batch_rows=32), job(5)
    s.admit(a, now=0)
    assert [s.take(now=0, idle=idle)[0].rows for idle in (15, 14)] == [4, 1]


def test_rows_that_fill_a_batch_for_every_executor_are_taken_in_full_batches():
    s, a = scheduler(max_batch_rows=4), job(20)
    s.admit(a, now=0)
    assert [(batch.rows, batch.reason) for batch in (s.take(now=0, idle=3)[0],)] == [(4, "full")]


@given(sizes=st.lists(st.integers(1, 20), max_size=15), max_batch_rows=st.integers(1, 9))
def test_every_row_is_taken_exactly_once_and_in_the_order_of_its_job(sizes, max_batch_rows):
    s = scheduler(max_batch_rows=max_batch_rows, max_queued_rows=10**6)
    jobs = [job(n) for n in sizes]
    for one in jobs:
        s.admit(one, now=0)
    seen: list[tuple[int, int]] = []
    while parts := taken(s):
        assert sum(stop - start for _, start, stop in parts) <= max_batch_rows
        seen += [(jobs.index(one), row) for one, start, stop in parts for row in range(start, stop)]
    assert sorted(seen) == [(i, row) for i, n in enumerate(sizes) for row in range(n)]
    for i, n in enumerate(sizes):
        assert [row for who, row in seen if who == i] == list(range(n))
    assert (s.queued_rows, s.queued_bytes) == (0, 0)


def test_a_full_queue_refuses_at_once_and_says_when_to_retry():
    s = scheduler(max_queued_rows=10)
    s.admit(job(8), now=0)
    s.learn(rows=1, seconds=1.0)
    with pytest.raises(QueueFull, match="8 rows") as refusal:
        s.admit(job(3), now=0)
    assert refusal.value.reason == "rows"
    assert 0.001 <= refusal.value.retry_after <= 10.0
    s.admit(job(2), now=0)  # what fits is still taken


def test_queued_bytes_are_bounded_like_queued_rows():
    s = scheduler(max_queued_bytes=100)
    s.admit(job(10, width=2), now=0)  # 80 bytes
    with pytest.raises(QueueFull) as refusal:
        s.admit(job(3, width=2), now=0)
    assert refusal.value.reason == "bytes"


def test_a_job_whose_deadline_has_passed_is_refused():
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


def rows_by(batches: list[list[tuple[Job, int, int]]], *jobs: Job) -> list[int]:
    return [sum(stop - start for parts in batches for who, start, stop in parts if who is one) for one in jobs]


def test_a_huge_request_does_not_keep_a_small_one_waiting():
    s = scheduler(max_batch_rows=8, max_queued_rows=10_000)
    huge, small = job(4096), job(1)
    s.admit(huge, now=0)
    taken(s)
    s.admit(small, now=0)
    assert rows_by([taken(s)], small) == [1], "the next batch holds the small one"


def test_interactive_and_bulk_share_the_rows_eight_to_one():
    s = scheduler(max_batch_rows=9, max_queued_rows=10_000)
    bulk = job(3000, priority="bulk")
    s.admit(bulk, now=0)
    interactive = [job(30) for _ in range(60)]
    for one in interactive:
        s.admit(one, now=0)
    taken_rows = rows_by([taken(s) for _ in range(100)], bulk)[0]
    assert 90 <= taken_rows <= 110  # of 900


def test_bulk_work_gets_all_rows_when_nothing_else_waits():
    s = scheduler(max_batch_rows=8)
    bulk = job(20, priority="bulk")
    s.admit(bulk, now=0)
    assert [rows_by([taken(s)], bulk) for _ in range(3)] == [[8], [8], [4]]


def test_a_job_of_many_batches_is_bulk_whatever_its_calls_priority():
    s = scheduler(max_batch_rows=2)
    small, large = job(8), job(9)
    s.admit(small, now=0)
    s.admit(large, now=0)
    assert (small.priority, large.priority) == ("interactive", "bulk")


def test_tenants_take_turns_however_much_one_of_them_asks_for():
    s = scheduler(max_batch_rows=8, max_queued_rows=10_000)
    greedy = [job(8, tenant="greedy") for _ in range(50)]
    modest = [job(8, tenant="modest") for _ in range(5)]
    for one in (*greedy, *modest):
        s.admit(one, now=0)
    batches = [taken(s) for _ in range(10)]
    assert sum(rows_by(batches, *modest)) == 40, "half of 80 rows, though 10 of 55 jobs are the modest one's"


@pytest.mark.parametrize("max_batch_rows", [3, 8, 64])
def test_tenants_share_the_rows_by_weight_whatever_a_batch_holds(max_batch_rows):
    s = scheduler(max_batch_rows=max_batch_rows, max_queued_rows=100_000)
    heavy = [job(5, tenant="heavy", weight=3) for _ in range(2000)]
    light = [job(5, tenant="light") for _ in range(2000)]
    for one in (*heavy, *light):
        s.admit(one, now=0)
    batches = [taken(s) for _ in range(2400 // max_batch_rows)]
    share = sum(rows_by(batches, *heavy)) / (2400 // max_batch_rows * max_batch_rows)
    assert share == pytest.approx(0.75, abs=0.02)


def test_a_tenant_of_small_jobs_gets_as_many_rows_as_one_of_large_ones():
    s = scheduler(max_batch_rows=8, max_queued_rows=10_000)
    small = [job(1, tenant="small") for _ in range(400)]
    large = [job(16, tenant="large") for _ in range(25)]
    for one in (*small, *large):
        s.admit(one, now=0)
    batches = [taken(s) for _ in range(20)]
    assert sum(rows_by(batches, *small)) == 80  # of 160


def test_an_idle_class_saves_up_no_credit():
    s = scheduler(max_batch_rows=8, max_queued_rows=10_000)
    early = job(800, priority="bulk")
    s.admit(early, now=0)
    for _ in range(50):
        taken(s)
    late = [job(8) for _ in range(100)]
    for one in late:
        s.admit(one, now=0)
    batches = [taken(s) for _ in range(18)]
    assert 8 <= rows_by(batches, early)[0] <= 24, "a ninth of 144: the bulk work done before does not count against it"
