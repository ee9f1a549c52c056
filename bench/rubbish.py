"""The cell in which one caller of eight sends a row of the wrong width: what does it cost its batch-mates?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bench.cells import Cell
from bench.measure import Loader, Measured
from bench.spread import Spread

CALLERS, BAD_CALLERS = 8, 1
WANTED = 700  # good calls
ENCODE = Cell("Encode", 1, CALLERS)


@dataclass(frozen=True, slots=True)
class RubbishResult:
    """All rounds of it."""

    counted: tuple[Measured, ...]  # runs that end with the last of WANTED good calls
    clean: tuple[Measured, ...]  # all callers are good
    mixed: tuple[Measured, ...]

    @property
    def answered(self) -> int:
        """Of WANTED good calls, in the worst round."""
        return min(each.good.codes.get("OK", 0) for each in self.counted)

    @property
    def kept(self) -> float:
        """Calls/s of a good caller beside a bad one, in parts of those of a caller among good ones."""
        clean = Spread.of(each.good.calls_per_second for each in self.clean).median / CALLERS
        mixed = Spread.of(each.good.calls_per_second for each in self.mixed).median / (CALLERS - BAD_CALLERS)
        return mixed / clean if clean else math.nan


class RubbishRounds:
    """Collects them."""

    def __init__(self, *, method: str, good: Sequence[bytes], bad: bytes) -> None:
        """Requests to encode one row, and one that has a row of the wrong width."""
        self._method, self._good, self._bad = method, good, bad
        self._counted: list[Measured] = []
        self._clean: list[Measured] = []
        self._mixed: list[Measured] = []

    def add(self, loader: Loader) -> None:
        """One more round."""
        load = partial(loader.load, self._method, callers=CALLERS, payloads=self._good)
        self._clean.append(load())
        self._mixed.append(load(rubbish=self._bad))
        self._counted.append(load(rubbish=self._bad, calls=WANTED))

    def result(self) -> RubbishResult:
        return RubbishResult(tuple(self._counted), tuple(self._clean), tuple(self._mixed))
