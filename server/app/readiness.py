"""Checks whether models answer: sends one row through the executors, like a caller's, at most once a second."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from server.core.batching.ticket import Ticket, drive
from server.core.call import Call
from server.core.model import Model, Models

GOOD_FOR_SECONDS = 1.0
ANSWER_SECONDS = 5.0  # a model that needs longer for one row, its wait in the queue included, counts as not ready


class Readiness:
    """Probes the versions that take calls, and keeps each answer for a second. Lives on the callers' thread."""

    def __init__(
        self,
        models: Models,
        *,
        later: Callable[[float, Callable[[], object]], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`later(seconds, callback)` calls back after that time, e.g. loop.call_later."""
        self._models = models
        self._later = later
        self._clock = clock
        self._last: dict[str, tuple[float, Ticket[bool]]] = {}

    def ask(self, name: str = "") -> Ticket[bool]:
        """Whether the named model answers, or every model if `name` is empty. Each asker gets its own ticket."""
        asked, answer = self._last.get(name, (float("-inf"), None))
        if answer is None or (answer.done and self._clock() - asked >= GOOD_FOR_SECONDS):
            answer = drive(self._probe(name))
            self._last[name] = (self._clock(), answer)
        return _same_answer(answer)

    async def _probe(self, name: str) -> bool:
        rows = [self._row(lease) for lease in self._models.serving(name)]  # all start before the first is awaited
        ready = bool(rows)
        for row in rows:
            ready &= await row
        return ready

    def _row(self, lease: AbstractContextManager[Model]) -> Ticket[bool]:
        ticket = drive(self._sample(lease))
        # The call's deadline is not enough: an executor that hangs never looks at it.
        if not ticket.done:
            self._later(ANSWER_SECONDS, ticket.cancel)
        return _same_answer(ticket)

    async def _sample(self, lease: AbstractContextManager[Model]) -> bool:
        with lease as model:
            call = Call(self._clock() + ANSWER_SECONDS, tenant="readiness", is_probe=True)
            await model.vae.sample(rows=1, seed=0, first_row=0, temperature=1.0, call=call)
            return True


def _same_answer(ticket: Ticket[bool]) -> Ticket[bool]:
    """A second ticket for the same answer, so that one asker can cancel without the others. An error counts as no."""
    own: Ticket[bool] = Ticket()

    def tell(settled: Ticket[bool]) -> None:
        try:
            own.succeed(settled.outcome())
        except Exception:  # a failed graph, a full queue or a bug: the model does not answer
            own.succeed(False)

    ticket.add_done_callback(tell)
    return own
