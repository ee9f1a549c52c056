"""Work that would keep all callers waiting, done beside the thread on which they live."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from server.core.batching.ticket import Deliver, Ticket

T = TypeVar("T")


class Offload:
    """A few threads for pure functions, such as compressing pictures."""

    def __init__(self, *, threads: int, deliver: Deliver) -> None:
        """`deliver` brings results to the callers' thread, e.g. loop.call_soon_threadsafe."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="offload")
        self._deliver = deliver

    def run(self, work: Callable[[], T]) -> Ticket[T]:
        """The ticket brings what `work` returns, or raises. Cancelled work is not begun, or ends unheard."""
        ticket: Ticket[T] = Ticket()
        self._pool.submit(self._settle, ticket, work)
        return ticket

    def close(self) -> None:
        """Finish what was begun."""
        self._pool.shutdown()

    def _settle(self, ticket: Ticket[T], work: Callable[[], T]) -> None:
        if ticket.done:
            return
        try:
            result = work()
        except BaseException as error:  # whoever waits for the ticket is told
            failure = error
            self._deliver(lambda: ticket.fail(failure))
        else:
            self._deliver(lambda: ticket.succeed(result))
