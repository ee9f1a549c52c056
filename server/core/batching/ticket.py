"""Ticket, a future that settles exactly once, and `drive`, which runs coroutines that await tickets."""

import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeAlias, TypeVar

from server.errors import Cancelled

T = TypeVar("T")


# Runs a function on the callers' thread, e.g. loop.call_soon_threadsafe.
Deliver: TypeAlias = Callable[[Callable[[], object]], object]


class Ticket(Generic[T]):
    """A future that any thread may settle or wait for, and that any coroutine run by `drive` may await."""

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

    def succeed(self, result: T) -> bool:
        """Settle with a result; False if it was settled before."""
        return self._settle(result, None)

    def fail(self, error: BaseException) -> bool:
        """Settle with an error; False if it was settled before."""
        return self._settle(None, error)

    def cancel(self) -> None:
        """Settle with Cancelled and call `on_cancel`. Does nothing if already settled."""
        on_cancel = self._on_cancel
        if self.fail(Cancelled("the caller cancelled")) and on_cancel is not None:
            on_cancel()

    def add_done_callback(self, callback: "Callable[[Ticket[T]], None]") -> None:
        """Call `callback` once: now if settled, else on the thread that settles the ticket."""
        with self._lock:
            if not self._settled:
                self._callbacks.append(callback)
                return
        callback(self)

    def __await__(self) -> Generator["Ticket[Any]", None, T]:
        """Wait for the result. Raises the error that the ticket failed with."""
        if not self._settled:
            yield self  # to `drive`, which resumes the coroutine once the ticket is settled
        error = self._error
        if error is None:
            return self._result  # type: ignore[return-value]  # T may itself be None
        try:
            # The error's traceback refers to this frame. If the frame also referred to the ticket, which refers to the
            # error, the cycle would keep a batch's arrays until the garbage collector runs.
            del self
            raise error
        finally:
            del error

    def outcome(self) -> T:
        """The result of a ticket that is settled. Raises its error."""
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
            # The object behind `on_cancel` mostly refers to this ticket. Without this line the cycle would keep a
            # batch's arrays until the garbage collector runs.
            self._on_cancel = None
        for callback in callbacks:
            callback(self)
        return True


def drive(coroutine: Coroutine[Ticket[Any], None, T]) -> Ticket[T]:
    """Run a coroutine that awaits tickets and nothing else. The returned ticket gives its result or raises its error.

    No event loop is needed, so every transport can use it: the thread that settles a ticket resumes the coroutine.
    Cancelling the returned ticket cancels the awaited one, and the coroutine gets Cancelled there.
    """
    run = _Run(coroutine)
    run.resume(None)
    return run.ticket


class _Run(Generic[T]):
    """One coroutine on its way from ticket to ticket."""

    __slots__ = ("_awaited", "_coroutine", "ticket")

    def __init__(self, coroutine: Coroutine[Ticket[Any], None, T]) -> None:
        self._coroutine = coroutine
        self._awaited: Ticket[Any] | None = None
        self.ticket: Ticket[T] = Ticket(on_cancel=self._cancel)

    def resume(self, _: Ticket[Any] | None) -> None:
        """Run the coroutine until it awaits a ticket that is not settled, or ends."""
        try:
            awaited = self._coroutine.send(None)
            while awaited.done:
                awaited = self._coroutine.send(None)
        except StopIteration as stop:
            self._awaited = None
            self.ticket.succeed(stop.value)
        except Exception as error:
            self._awaited = None
            self.ticket.fail(error)
        else:
            self._awaited = awaited
            awaited.add_done_callback(self.resume)

    def _cancel(self) -> None:
        if self._awaited is not None:
            self._awaited.cancel()
