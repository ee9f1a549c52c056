"""The rubbish cell: one caller of eight sends a row of the wrong width. What does that cost the others?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bench.cells import Cell
from bench.measure import Loader, Measurement
from bench.spread import Spread

CALLERS, BAD_CALLERS = 8, 1
WANTED = 700  # good calls in a counted run
ENCODE = Cell("Encode", 1, CALLERS)


@dataclass(frozen=True, slots=True)
class RubbishResult:
    """The rounds of the rubbish cell."""

    counted: tuple[Measurement, ...]  # runs that end with the last of WANTED good calls
    clean: tuple[Measurement, ...]  # all callers are good
    mixed: tuple[Measurement, ...]

    @property
    def answered(self) -> int:
        """How many of WANTED good calls were answered, in the worst round."""
        return min(each.good.codes.get("OK", 0) for each in self.counted)

    @property
    def kept(self) -> float:
        """A good caller's calls/s beside a bad caller, over those among good callers only."""
        clean = Spread.of(each.good.calls_per_second for each in self.clean).median / CALLERS
        mixed = Spread.of(each.good.calls_per_second for each in self.mixed).median / (CALLERS - BAD_CALLERS)
        return mixed / clean if clean else math.nan


class RubbishRounds:
    """Measures and collects the rounds."""

    def __init__(self, *, method: str, good: Sequence[bytes], bad: bytes) -> None:
        """`good`: requests to encode one row; `bad`: a request with a row of the wrong width."""
        self._method, self._good, self._bad = method, good, bad
        self._counted: list[Measurement] = []
        self._clean: list[Measurement] = []
        self._mixed: list[Measurement] = []

    def add(self, loader: Loader) -> None:
        """Measure one more round."""
        load = partial(loader.load, self._method, callers=CALLERS, payloads=self._good)
        self._clean.append(load())
        self._mixed.append(load(rubbish=self._bad))
        self._counted.append(load(rubbish=self._bad, calls=WANTED))

    def result(self) -> RubbishResult:
        return RubbishResult(tuple(self._counted), tuple(self._clean), tuple(self._mixed))
