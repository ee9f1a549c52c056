"""When each call is due."""

import math
from typing import Protocol


class Pace(Protocol):
    """Says when each call is due, to any number of callers."""

    def next(self, now: float) -> float | None:
        """When the next call is due, on the clock of `now`, in seconds; None after the end."""

    def left(self) -> list[float]:
        """When the calls were due that no caller began before the end."""


class ClosedLoop:
    """A caller's next call is due when its last was answered, until `end`."""

    def __init__(self, *, end: float) -> None:
        self._end = end

    def next(self, now: float) -> float | None:
        return now if now < self._end else None

    def left(self) -> list[float]:
        return []


class OpenLoop:
    """`rate` calls a second are due between `start` and `end`, however slow the answers are."""

    def __init__(self, *, start: float, end: float, rate: float) -> None:
        self._start, self._end, self._rate = start, end, rate
        self._calls = math.ceil(round((end - start) * rate, 6))  # a rounding error of the clock must not add a call
        self._next = 0

    def next(self, now: float) -> float | None:
        if self._next >= self._calls or now >= self._end:
            return None
        due = self._due(self._next)
        self._next += 1
        return due

    def left(self) -> list[float]:
        return [self._due(call) for call in range(self._next, self._calls)]

    def _due(self, call: int) -> float:
        return self._start + call / self._rate
