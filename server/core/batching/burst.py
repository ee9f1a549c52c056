"""Decides when a burst of requests is over. Pure: no lock, no event loop, and the time is an argument.

Requests that arrive together cross an event loop one by one. If an idle executor took the first at once, each would
run in a batch of its own. So executors wait until the callers' thread has had a quiet turn: one that brought no rows
and did little else.
"""

LONGEST_SECONDS = 0.002  # a burst ends after this time, even if rows still arrive
QUIET_SECONDS = 0.00005  # a longer turn handled other requests, whose rows may follow


class Burst:
    """The state of one burst, updated after each turn of the callers' thread."""

    def __init__(self) -> None:
        self.arriving = False
        self.complete = False  # executors may take the rows
        self._rows = 0  # queued at the end of the last turn
        self._turn_began = self._ends = 0.0  # clock, seconds

    def begin(self, *, now: float, queued_rows: int) -> None:
        """Begin a burst: rows arrived while an executor was idle."""
        self.arriving = True
        self._rows, self._turn_began, self._ends = queued_rows, now, now + LONGEST_SECONDS

    def end_turn(self, *, now: float, queued_rows: int, full: bool) -> bool:
        """Note the end of a turn of the callers' thread. True if the burst is over; a `full` batch ends it too."""
        quiet = queued_rows == self._rows and now - self._turn_began < QUIET_SECONDS
        self._rows, self._turn_began = queued_rows, now
        if not (quiet or full or now >= self._ends):
            return False
        self.arriving, self.complete = False, True
        return True

    def take(self, *, left_rows: int) -> None:
        """Note that an executor took a batch. The `left_rows` that remain may be taken too."""
        self.complete = left_rows > 0
