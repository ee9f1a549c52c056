"""A histogram of durations, in memory that does not grow with their number."""

import math

GROWTH = 1.01  # from one bucket to the next
SMALLEST = 1e-6  # seconds; what is shorter shares the first bucket
LARGEST = 3600.0  # seconds; what is longer shares the last
_BUCKETS = math.ceil(math.log(LARGEST / SMALLEST, GROWTH)) + 1
_LOG_GROWTH = math.log(GROWTH)


class Histogram:
    """How many durations fell into each of some 2,200 buckets that grow by 1 %.

    A quantile is right to half a percent (between 1 us and an hour); count, mean and the extremes are exact.
    """

    def __init__(self) -> None:
        self.count = 0
        self.largest = 0.0  # seconds
        self._smallest = math.inf
        self._sum = 0.0
        self._buckets = [0] * _BUCKETS

    def add(self, seconds: float) -> None:
        """Count a duration; a negative one counts as 0."""
        seconds = max(seconds, 0.0)
        self._buckets[_bucket(seconds)] += 1
        self.count += 1
        self._sum += seconds
        self.largest = max(self.largest, seconds)
        self._smallest = min(self._smallest, seconds)

    @property
    def mean(self) -> float | None:
        """Seconds; None if nothing was added."""
        return self._sum / self.count if self.count else None

    def quantile(self, fraction: float) -> float | None:
        """The duration, in seconds, that this fraction of all durations did not exceed; None if nothing was added."""
        if not self.count:
            return None
        rank = max(1, math.ceil(fraction * self.count))
        if rank == self.count:
            return self.largest
        below = 0
        for bucket, number in enumerate(self._buckets):
            below += number
            if below >= rank:
                return min(max(_middle(bucket), self._smallest), self.largest)
        raise AssertionError("the buckets hold fewer than were counted")


def _bucket(seconds: float) -> int:
    if seconds <= SMALLEST:
        return 0
    return min(int(math.log(seconds / SMALLEST) / _LOG_GROWTH), _BUCKETS - 1)


def _middle(bucket: int) -> float:
    return SMALLEST * math.exp(_LOG_GROWTH * (bucket + 0.5))
