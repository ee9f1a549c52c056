"""The outcomes of the calls of one run."""

from collections import Counter

from vaeserve.errors import DeadlineExceeded, VaeServeError
from vaeserve.load.histogram import Histogram


class Tally:
    """Counts the calls that were due from `start` to `end` (seconds of one clock).

    waits      seconds from the moment a call was due to its answer. A call past its deadline counts until then, and
               a call that was never begun until the end: that is the least they waited. Other failures do not count
    answered   calls that returned a result, after the end too
    in_time    calls that returned a result between start and end, whenever they were due; rates are made of these
    errors     failed calls, by status
    messages   the first message of each status
    not_begun  calls that were due and that no caller began
    """

    def __init__(self, *, start: float, end: float) -> None:
        self._start, self._end = start, end
        self.waits = Histogram()
        self.answered = 0
        self.in_time = 0
        self.errors: Counter[str] = Counter()
        self.messages: dict[str, str] = {}
        self.not_begun = 0

    def answer(self, *, due: float, now: float) -> None:
        """A call returned a result."""
        if self._start <= now <= self._end:
            self.in_time += 1
        if due >= self._start:
            self.answered += 1
            self.waits.add(now - due)

    def failure(self, error: VaeServeError, *, due: float, now: float) -> None:
        """A call failed."""
        if due < self._start:
            return
        self.errors[error.code] += 1
        self.messages.setdefault(error.code, error.message)
        if isinstance(error, DeadlineExceeded):
            self.waits.add(now - due)

    def never(self, *, due: float) -> None:
        """The time was up before a caller began this call."""
        if due >= self._start:
            self.not_begun += 1
            self.waits.add(self._end - due)
