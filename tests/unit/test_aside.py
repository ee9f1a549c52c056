"""Work done beside the callers' thread comes back to it, whatever becomes of it."""

import threading

import pytest

from server.core.aside import Aside
from server.errors import Cancelled

WAIT = 10.0  # seconds until a test that hangs fails


@pytest.fixture
def aside():
    made = Aside(threads=1, deliver=lambda work: work())
    yield made
    made.close()


def test_work_is_done_on_another_thread(aside):
    assert aside.run(threading.current_thread).wait(WAIT) is not threading.current_thread()


def test_an_error_reaches_whoever_waits_and_the_next_work_is_done(aside):
    with pytest.raises(ZeroDivisionError):
        aside.run(lambda: 1 // 0).wait(WAIT)
    assert aside.run(lambda: 7).wait(WAIT) == 7


def test_cancelled_work_is_not_begun(aside):
    begun, go = [], threading.Event()
    first = aside.run(lambda: go.wait(WAIT))
    second = aside.run(lambda: begun.append(2))
    second.cancel()
    go.set()
    assert first.wait(WAIT)
    aside.close()
    assert begun == []
    with pytest.raises(Cancelled):
        second.outcome()
