"""Offload runs work on its own threads and delivers results, errors and cancellations."""

import threading

import pytest

from server.core.batching.offload import Offload
from server.errors import Cancelled

WAIT = 10.0  # seconds until a test that hangs fails


@pytest.fixture
def offload():
    made = Offload(threads=1, deliver=lambda work: work())
    yield made
    made.close()


def test_work_is_done_on_another_thread(offload):
    assert offload.run(threading.current_thread).wait(WAIT) is not threading.current_thread()


def test_an_error_reaches_the_waiting_caller_and_later_work_is_done(offload):
    with pytest.raises(ZeroDivisionError):
        offload.run(lambda: 1 // 0).wait(WAIT)
    assert offload.run(lambda: 7).wait(WAIT) == 7


def test_cancelled_work_is_not_begun(offload):
    begun, go = [], threading.Event()
    first = offload.run(lambda: go.wait(WAIT))
    second = offload.run(lambda: begun.append(2))
    second.cancel()
    go.set()
    assert first.wait(WAIT)
    offload.close()
    assert begun == []
    with pytest.raises(Cancelled):
        second.outcome()
