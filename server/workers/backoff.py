"""How long a dead worker stays dead."""

LEAST_SECONDS, MOST_SECONDS = 0.1, 5.0
STEADY_SECONDS = 10.0  # who served for so long did not die of how it was started


class Backoff:
    """The wait before a worker is started again: doubled each time it dies soon after its start."""

    def __init__(self) -> None:
        self._next = LEAST_SECONDS

    def seconds(self, *, started: float, died: float) -> float:
        """The wait for a worker that started and died at these times, in seconds of one clock."""
        if died - started >= STEADY_SECONDS:
            self._next = LEAST_SECONDS
        wait, self._next = self._next, min(2 * self._next, MOST_SECONDS)
        return wait
