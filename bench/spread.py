"""The median of several rounds, with the least and the greatest of them."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """The median and the extremes of a repeated measurement."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Raises ValueError if there is no value."""
        ordered = sorted(values)
        if not ordered:
            raise ValueError("nothing was measured")
        return cls(statistics.median(ordered), ordered[0], ordered[-1])

    def show(self, decimals: int = 0) -> str:
        """`median (least-greatest)`, or the one figure if there is only one."""
        median, least, greatest = (f"{value:,.{decimals}f}" for value in (self.median, self.least, self.greatest))
        return median if least == greatest else f"{median} ({least}-{greatest})"
