"""A ticket: the promise of one result, kept exactly once; and steps, plain generators that wait on tickets."""

import threading
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeAlias, TypeVar

from server.errors import Cancelled

T = TypeVar("T")


class Ticket(Generic[T]):
    """A one-shot result that any thread may settle and any thread may wait for."""

    __slots__ = ("_callbacks", "_error", "_lock", "_on_cancel", "_result", "_settled")

    def __init__(self, *, on_cancel: Callable[[], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[Ticket[T]], None]] = []
        self._on_cancel = on_cancel
        self._settled = False
        self._result: T | None = None
        self._error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self._settled

    @property
    def error(self) -> BaseException | None:
        """What a settled ticket failed with.

        Unlike an outcome that is raised, it gets no traceback whose frames hold this ticket.
        """
        return self._error

    def succeed(self, result: T) -> bool:
        """Settle with a result; False if it was settled before."""
        return self._settle(result, None)

    def fail(self, error: BaseException) -> bool:
        """Settle with an error; False if it was settled before."""
        return self._settle(None, error)

    def cancel(self) -> None:
        """The caller no longer wants the result. Nothing happens if it is there already."""
        on_cancel = self._on_cancel
        if self.fail(Cancelled("the caller cancelled")) and on_cancel is not None:
            on_cancel()

    def add_done_callback(self, callback: "Callable[[Ticket[T]], None]") -> None:
        """Call back once, when settled: at once if it is, else on the settling thread."""
        with self._lock:
            if not self._settled:
                self._callbacks.append(callback)
                return
        callback(self)

    def outcome(self) -> T:
        """The result of a settled ticket. Raises its error."""
        assert self._settled
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # T may itself be None

    def wait(self, timeout: float | None = None) -> T:
        """Block until settled, at most `timeout` seconds. Raises the ticket's error, or TimeoutError."""
        event = threading.Event()
        self.add_done_callback(lambda _: event.set())
        if not event.wait(timeout):
            raise TimeoutError
        return self.outcome()

    def _settle(self, result: T | None, error: BaseException | None) -> bool:
        with self._lock:
            if self._settled:
                return False
            self._result, self._error, self._settled = result, error, True
            callbacks, self._callbacks = self._callbacks, []
            # Who is told of a cancellation mostly holds this ticket, and with it what only the garbage collector, much
            # later, would free: a batch's arrays.
            self._on_cancel = None
        for callback in callbacks:
            callback(self)
        return True


# A computation that waits on tickets: `outputs = yield batcher.submit(rows)`. It needs no event loop and no thread of
# its own, so every transport can drive it.
Steps: TypeAlias = Generator[Ticket[Any], Any, T]


def drive(steps: Steps[T]) -> Ticket[T]:
    """Run steps to their end, resuming on whichever thread settles the ticket they wait for.

    Cancelling the ticket returned cancels the one waited for and closes the steps, so their `finally` clauses run.
    """
    run = _Run(steps)
    run.resume(None)
    return run.ticket


class _Run(Generic[T]):
    __slots__ = ("_steps", "_waiting_for", "ticket")

    def __init__(self, steps: Steps[T]) -> None:
        self._steps = steps
        self._waiting_for: Ticket[Any] | None = None
        self.ticket: Ticket[T] = Ticket(on_cancel=self._cancelled)

    def resume(self, settled: Ticket[Any] | None) -> None:
        while True:
            try:
                if settled is None:
                    waited = next(self._steps)
                elif settled.error is not None:
                    waited = self._steps.throw(settled.error)
                else:
                    waited = self._steps.send(settled.outcome())
            except StopIteration as stop:
                self._waiting_for = None
                self.ticket.succeed(stop.value)
                return
            except Exception as error:
                self._waiting_for = None
                self.ticket.fail(error)
                return
            if not waited.done:
                self._waiting_for = waited
                waited.add_done_callback(self.resume)
                return
            settled = waited

    def _cancelled(self) -> None:
        # The inner ticket settles with Cancelled, which is thrown into the steps where they wait.
        if self._waiting_for is not None:
            self._waiting_for.cancel()
