"""A token bucket: limits a rate (here: rows per second), and allows a burst after a pause."""


class TokenBucket:
    """A bucket that is full at first. The caller passes the time in."""

    def __init__(self, *, rate: float, burst: int, now: float) -> None:
        """`rate` tokens are added per second; the bucket holds at most `burst`."""
        self.rate, self.burst = rate, burst
        self._level = float(burst)
        self._filled = now  # the time for which `_level` was computed

    def take(self, tokens: int, *, now: float) -> float:
        """Take the tokens and return 0; or take none, and return the seconds until enough are there.

        `tokens` must not exceed the burst.
        """
        self._fill(now)
        if tokens <= self._level:
            self._level -= tokens
            return 0.0
        return (tokens - self._level) / self.rate

    def give_back(self, tokens: int) -> None:
        self._level = min(self._level + tokens, float(self.burst))

    def change(self, *, rate: float, burst: int, now: float) -> None:
        """Use other limits. What was used stays used."""
        self._fill(now)
        self._level = max(0.0, self._level + burst - self.burst)
        self.rate, self.burst = rate, burst

    def _fill(self, now: float) -> None:
        self._level = min(self._level + (now - self._filled) * self.rate, float(self.burst))
        self._filled = now
