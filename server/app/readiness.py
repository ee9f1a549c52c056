"""Whether models answer: one row through the executors, as any caller's, and not more often than once a second."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from server.core.batching.ticket import Ticket, drive
from server.core.call import Call
from server.core.model import Model, Models

GOOD_FOR_SECONDS = 1.0
ANSWER_SECONDS = 5.0  # an executor that takes longer for its turn and one row is not to be sent more


class Readiness:
    """Asks the versions that take calls. Lives on the callers' thread."""

    def __init__(
        self,
        models: Models,
        *,
        later: Callable[[float, Callable[[], object]], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`later` calls back after so many seconds, e.g. loop.call_later."""
        self._models = models
        self._later = later
        self._clock = clock
        self._last: dict[str, tuple[float, Ticket[bool]]] = {}

    def ask(self, name: str = "") -> Ticket[bool]:
        """Whether the model, or every model if none is named, answers; a ticket of the asker's own."""
        asked, answer = self._last.get(name, (float("-inf"), None))
        if answer is None or (answer.done and self._clock() - asked >= GOOD_FOR_SECONDS):
            answer = drive(self._probe(name))
            self._last[name] = (self._clock(), answer)
        return _told_by(answer)

    async def _probe(self, name: str) -> bool:
        rows = [self._row(lease) for lease in self._models.serving(name)]  # side by side
        ready = bool(rows)
        for row in rows:
            ready &= await row
        return ready

    def _row(self, lease: AbstractContextManager[Model]) -> Ticket[bool]:
        ticket = drive(self._sample(lease))
        # An executor that hangs looks at no deadline.
        if not ticket.done:
            self._later(ANSWER_SECONDS, ticket.cancel)
        return _told_by(ticket)

    async def _sample(self, lease: AbstractContextManager[Model]) -> bool:
        with lease as model:
            call = Call(self._clock() + ANSWER_SECONDS, tenant="readiness", is_probe=True)
            await model.vae.sample(rows=1, seed=0, first_row=0, temperature=1.0, call=call)
            return True


def _told_by(ticket: Ticket[bool]) -> Ticket[bool]:
    """Another ticket for the same answer, which one asker may cancel; any error is a no."""
    own: Ticket[bool] = Ticket()

    def tell(settled: Ticket[bool]) -> None:
        try:
            own.succeed(settled.outcome())
        except Exception:  # of a graph, of the queue, or a bug: it does not answer
            own.succeed(False)

    ticket.add_done_callback(tell)
    return own
