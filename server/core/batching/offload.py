"""A small thread pool for numpy and zlib work that would delay other calls on the callers' thread."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from server.core.batching.ticket import Deliver, Ticket

T = TypeVar("T")


class Offload:
    """A few threads that run pure functions, such as compressing pictures."""

    def __init__(self, *, threads: int, deliver: Deliver) -> None:
        """`deliver` runs a function on the callers' thread, e.g. loop.call_soon_threadsafe; results arrive by it."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="offload")
        self._deliver = deliver

    def run(self, work: Callable[[], T]) -> Ticket[T]:
        """Run `work`; the ticket gives its result or raises its error. A cancelled ticket skips work not yet begun."""
        ticket: Ticket[T] = Ticket()
        self._pool.submit(self._settle, ticket, work)
        return ticket

    def close(self) -> None:
        """Finish all work that was submitted, then stop the threads. Blocks."""
        self._pool.shutdown()

    def _settle(self, ticket: Ticket[T], work: Callable[[], T]) -> None:
        if ticket.done:
            return
        try:
            result = work()
        except BaseException as error:  # the ticket raises it where it is awaited
            failure = error
            self._deliver(lambda: ticket.fail(failure))
        else:
            self._deliver(lambda: ticket.succeed(result))
