"""A ticket: the promise of one result, kept exactly once. Coroutines await tickets, with or without an event loop."""

import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeAlias, TypeVar

from server.errors import Cancelled

T = TypeVar("T")


# How a piece of work reaches the thread on which callers live, e.g. loop.call_soon_threadsafe.
Deliver: TypeAlias = Callable[[Callable[[], object]], object]


class Ticket(Generic[T]):
    """A future that any thread may settle, any thread may wait for, and any coroutine of `drive` may await."""

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

    def __await__(self) -> Generator["Ticket[Any]", None, T]:
        """The result, once settled. Raises the error that it failed with."""
        if not self._settled:
            yield self  # to `drive`, which goes on once it is settled
        error = self._error
        if error is None:
            return self._result  # type: ignore[return-value]  # T may itself be None
        try:
            # The error's traceback will hold this frame: a frame that held the ticket, which holds the error, would
            # keep all three, and a batch's arrays, until the garbage collector comes.
            del self
            raise error
        finally:
            del error

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


def drive(coroutine: Coroutine[Ticket[Any], None, T]) -> Ticket[T]:
    """Run a coroutine that awaits tickets and nothing else; the ticket brings what it returns, or its error.

    It needs no event loop, so every transport can drive it: the thread that settles a ticket also runs what awaits it.
    Cancelling the ticket returned cancels the one awaited, and the coroutine sees Cancelled.
    """
    run = _Run(coroutine)
    run.resume(None)
    return run.ticket


class _Run(Generic[T]):
    __slots__ = ("_awaited", "_coroutine", "ticket")

    def __init__(self, coroutine: Coroutine[Ticket[Any], None, T]) -> None:
        self._coroutine = coroutine
        self._awaited: Ticket[Any] | None = None
        self.ticket: Ticket[T] = Ticket(on_cancel=self._cancel)

    def resume(self, _: Ticket[Any] | None) -> None:
        """Go on until the next ticket that is not yet settled."""
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
