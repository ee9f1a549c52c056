"""An axis of a chart: round ticks, readable numbers, and where a value lies."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Axis:
    """Values low..high drawn from `start` to `end`, in units of the drawing; low < high."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, *, most: int, whole: bool = False) -> tuple[float, ...]:
        """About `most` multiples of 1, 2 or 5 times a power of ten within low..high, perhaps only whole numbers."""
        least = (self.high - self.low) / most
        step = 10.0 ** math.floor(math.log10(least))
        step *= next(factor for factor in (1, 2, 5, 10) if factor * step >= least)
        step = max(step, 1.0) if whole else step
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return tuple(index * step for index in range(first, last + 1))


def spanning(values: tuple[float, ...], *, start: float, end: float) -> Axis:
    """An axis that shows all of `values` with a little room; a single value lies in its middle."""
    low, high = min(values), max(values)
    room = 0.05 * (high - low) or 0.5 * abs(low) or 1.0
    return Axis(low - room, high + room, start, end)


def number(value: float, *, digits: int = 4) -> str:
    """`digits` significant ones, thousands apart, with a true minus."""
    text = f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:,.{digits}g}"
    return text.replace("-", "−")
