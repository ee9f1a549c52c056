"""Burst decides when a burst of requests is over; the tests pass the time."""

import pytest

from server.core.batching.burst import LONGEST_SECONDS, QUIET_SECONDS, Burst

QUICK, SLOW = QUIET_SECONDS / 2, QUIET_SECONDS * 2


@pytest.fixture
def burst() -> Burst:
    begun = Burst()
    begun.begin(now=10.0, queued_rows=1)
    return begun


def test_a_burst_that_begins_is_arriving_and_may_not_be_taken(burst):
    assert (burst.arriving, burst.complete) == (True, False)


def test_a_quick_turn_without_new_rows_ends_it(burst):
    assert burst.end_turn(now=10.0 + QUICK, queued_rows=1, full=False)
    assert (burst.arriving, burst.complete) == (False, True)


def test_a_turn_that_brought_rows_or_took_long_does_not_end_it(burst):
    assert not burst.end_turn(now=10.0 + QUICK, queued_rows=2, full=False)
    assert not burst.end_turn(now=10.0 + QUICK + SLOW, queued_rows=2, full=False)
    assert burst.arriving


def test_a_full_batch_ends_it_even_if_rows_still_arrive(burst):
    assert burst.end_turn(now=10.0 + SLOW, queued_rows=64, full=True)


def test_it_ends_after_the_longest_time_even_if_rows_still_arrive(burst):
    assert burst.end_turn(now=10.0 + LONGEST_SECONDS, queued_rows=5, full=False)


def test_rows_left_of_a_complete_burst_may_be_taken_too(burst):
    burst.end_turn(now=10.0 + QUICK, queued_rows=1, full=False)
    burst.take(left_rows=3)
    assert burst.complete
    burst.take(left_rows=0)
    assert not burst.complete


def test_rows_left_of_the_last_burst_do_not_end_the_next(burst):
    burst.end_turn(now=10.0 + QUICK, queued_rows=1, full=False)
    burst.take(left_rows=3)
    burst.begin(now=20.0, queued_rows=4)
    assert not burst.end_turn(now=20.0 + SLOW, queued_rows=5, full=False)
    assert burst.arriving
