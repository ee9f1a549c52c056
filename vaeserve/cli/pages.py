"""Many rows as several requests, whose results together equal those of one."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from vaeserve.results import ModelInfo

PAGE_ROWS = 512  # enough to fill the server's batches, few enough to show progress
PAGE_BYTES = 16 << 20


class Seeded(Protocol):
    """A result that says which seed it used."""

    @property
    def seed(self) -> int: ...


Part = TypeVar("Part", bound=Seeded)


@dataclass(frozen=True, slots=True)
class Paged(Generic[Part]):
    """The results of all pages."""

    parts: list[Part]
    rows: int
    seconds: float

    @property
    def seed(self) -> int:
        return self.parts[0].seed

    def joined(self, name: str) -> np.ndarray[Any, Any]:
        """An array of the results, [rows, ...]."""
        return np.concatenate([getattr(part, name) for part in self.parts])


def ask(
    label: str, rows: int, model: ModelInfo, request: Callable[[range, int | None], Part], *, seed: int | None
) -> Paged[Part]:
    """Call `request(page, seed)` for page after page, with a progress bar on stderr if there are several.

    Where the server chose the first page's seed, the others use it too: all belong to one sequence.
    """
    from rich.console import Console  # late: `vaeserve health` runs every few seconds and needs none of it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    pages = _split(rows, model)
    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TextColumn("rows"), TimeRemainingColumn())
    console = Console(stderr=True)
    parts: list[Part] = []
    started = time.perf_counter()
    with Progress(*columns, console=console, transient=True, disable=len(pages) == 1 or not console.is_terminal) as bar:
        task = bar.add_task(label, total=rows)
        for page in pages:
            parts.append(request(page, seed))
            seed = parts[0].seed
            bar.advance(task, len(page))
    return Paged(parts, rows, time.perf_counter() - started)


def _split(rows: int, model: ModelInfo) -> list[range]:
    """The rows of each request, in order: no more than the model takes, and messages of moderate size."""
    item_bytes = 4 * math.prod(model.item_shape)
    step = max(1, min(PAGE_ROWS, model.max_request_rows, PAGE_BYTES // item_bytes))
    return [range(start, min(start + step, rows)) for start in range(0, rows, step)]
