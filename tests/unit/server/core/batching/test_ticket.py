"""Tickets settle once, coroutines await them, and no reference cycle keeps their results."""

import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from server.core.batching.ticket import Ticket, drive
from server.errors import Cancelled


def test_a_ticket_keeps_its_first_outcome():
    ticket: Ticket[int] = Ticket()
    assert ticket.succeed(1)
    assert not ticket.fail(ValueError())
    ticket.cancel()
    assert ticket.outcome() == 1


def test_callbacks_run_once_whether_added_before_or_after():
    ticket: Ticket[int] = Ticket()
    seen = []
    ticket.add_done_callback(lambda t: seen.append(("before", t.outcome())))
    ticket.succeed(7)
    ticket.add_done_callback(lambda t: seen.append(("after", t.outcome())))
    assert seen == [("before", 7), ("after", 7)]


def test_of_many_threads_that_settle_one_ticket_exactly_one_succeeds():
    ticket: Ticket[int] = Ticket()
    start = threading.Barrier(8)
    won = []

    def settle(value: int) -> None:
        start.wait()
        if ticket.succeed(value):
            won.append(value)

    threads = [threading.Thread(target=settle, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [ticket.outcome()]


def test_a_coroutine_receives_results_and_errors_where_it_awaits():
    first: Ticket[int] = Ticket()
    second: Ticket[int] = Ticket()

    async def computation() -> str:
        value = await first
        try:
            await second
        except ValueError as error:
            return f"{value} then {error}"
        raise AssertionError

    whole = drive(computation())
    first.succeed(1)
    assert not whole.done
    second.fail(ValueError("no"))
    assert whole.outcome() == "1 then no"


def test_awaiting_thousands_of_settled_tickets_does_not_recurse():
    async def computation() -> int:
        total = 0
        for _ in range(5000):
            ticket: Ticket[int] = Ticket()
            ticket.succeed(1)
            total += await ticket
        return total

    assert drive(computation()).outcome() == 5000


def test_cancelling_a_coroutine_cancels_the_ticket_it_awaits_and_runs_its_cleanup():
    inner: Ticket[int] = Ticket()
    cleaned = []

    async def computation() -> int:
        try:
            return await inner
        finally:
            cleaned.append(True)

    whole = drive(computation())
    whole.cancel()
    assert cleaned == [True]
    with pytest.raises(Cancelled):
        inner.outcome()


def test_waiting_gives_up_after_its_timeout():
    with pytest.raises(TimeoutError):
        Ticket().wait(timeout=0.001)


@contextmanager
def no_garbage_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_a_result_is_freed_with_its_last_reader_and_needs_no_garbage_collector():
    def answer() -> list[weakref.ref[np.ndarray]]:
        held: list[Ticket[np.ndarray]] = []  # as a batcher's job holds its ticket
        inner: Ticket[np.ndarray] = Ticket(on_cancel=held.clear)
        held.append(inner)

        async def computation() -> np.ndarray:
            return np.negative(await inner)

        whole = drive(computation())
        result = np.zeros(3)
        inner.succeed(result)
        return [weakref.ref(result), weakref.ref(whole.outcome())]

    with no_garbage_collector():
        assert [result() for result in answer()] == [None, None]


def test_an_error_that_a_coroutine_handles_is_freed_with_its_last_reader_too():
    class Mistake(Exception):
        pass

    def answer() -> weakref.ref[Mistake]:
        inner: Ticket[int] = Ticket()
        submitted = [inner]

        async def computation() -> str:
            try:
                await submitted.pop()
            except Mistake:
                return "handled"
            raise AssertionError

        whole = drive(computation())
        mistake = Mistake()
        inner.fail(mistake)
        assert whole.outcome() == "handled"
        return weakref.ref(mistake)

    with no_garbage_collector():
        assert answer()() is None
