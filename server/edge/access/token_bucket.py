"""A token bucket: so many rows a second, and so many at once after a pause."""


class TokenBucket:
    """Full at first. The caller brings the clock."""

    def __init__(self, *, rate: float, burst: int, now: float) -> None:
        """`rate` tokens a second flow in; it never holds more than `burst`."""
        self.rate, self.burst = rate, burst
        self._level = float(burst)
        self._filled = now  # when the level was right

    def take(self, tokens: int, *, now: float) -> float:
        """Take them and return 0; or take none, and return the seconds until so many are there.

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
        """Other limits from now on; what was used stays used."""
        self._fill(now)
        self._level = max(0.0, self._level + burst - self.burst)
        self.rate, self.burst = rate, burst

    def _fill(self, now: float) -> None:
        self._level = min(self._level + (now - self._filled) * self.rate, float(self.burst))
        self._filled = now
