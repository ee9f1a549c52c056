"""Whether requests are still arriving together. Pure: no lock, no event loop, and the time is an argument.

Requests that arrive together cross an event loop one by one. An executor that took the first of them at once would
leave each to run alone. So while a burst arrives executors leave its rows alone, until the thread on which callers live
has had a quiet turn: one that brought no rows and had little else to do.
"""

LONGEST_SECONDS = 0.002  # after which the rows of a burst run, whatever still arrives
QUIET_SECONDS = 0.00005  # a longer turn had other requests to look after, and their rows may follow


class Burst:
    """Rows that arrive turn by turn of the callers' thread, and may be taken when that has paused."""

    def __init__(self) -> None:
        self.arriving = False
        self.complete = False  # executors may take what has arrived
        self._rows = 0  # queued at the end of the last turn
        self._turn_began = self._ends = 0.0  # clock, seconds

    def begin(self, *, now: float, queued_rows: int) -> None:
        """Rows have come while an executor was idle."""
        self.arriving = True
        self._rows, self._turn_began, self._ends = queued_rows, now, now + LONGEST_SECONDS

    def end_turn(self, *, now: float, queued_rows: int, full: bool) -> bool:
        """A turn of the callers' thread is over; whether the burst is, as it is too when the rows are a full batch."""
        quiet = queued_rows == self._rows and now - self._turn_began < QUIET_SECONDS
        self._rows, self._turn_began = queued_rows, now
        if not (quiet or full or now >= self._ends):
            return False
        self.arriving, self.complete = False, True
        return True

    def take(self, *, left_rows: int) -> None:
        """An executor has taken a batch of it, and left so many rows, which may be taken too."""
        self.complete = left_rows > 0
