"""Many rows as several requests, whose results together equal those of one."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from vaeserve.results import ModelInfo

PAGE_ROWS = 512  # enough to fill the server's batches, few enough to show progress
PAGE_BYTES = 16 << 20
# The most latents that one Score request decodes: a few seconds of work.
PAGE_DECODES = 1 << 14


class HasSeed(Protocol):
    """A result that says which seed it used."""

    @property
    def seed(self) -> int: ...


Part = TypeVar("Part", bound=HasSeed)


@dataclass(frozen=True, slots=True)
class Page:
    """The rows of one request, and where their noise lies."""

    rows: slice  # among all rows of the command
    seed: int | None
    first_row: int  # in the sequence that the seed defines

    @property
    def count(self) -> int:
        return int(self.rows.stop - self.rows.start)


@dataclass(frozen=True, slots=True)
class PagedResult(Generic[Part]):
    """The results of all pages."""

    parts: list[Part]
    rows: int
    seconds: float

    @property
    def seed(self) -> int:
        return self.parts[0].seed

    def joined(self, name: str) -> np.ndarray[Any, Any]:
        """One array of the results over all pages, [rows, ...]."""
        return np.concatenate([getattr(part, name) for part in self.parts])


def ask(
    label: str,
    rows: int,
    model: ModelInfo,
    request: Callable[[Page], Part],
    *,
    seed: int | None,
    first_row: int,
    most_rows: int = PAGE_ROWS,
) -> PagedResult[Part]:
    """Call `request(page)` for page after page of at most `most_rows`, with a progress bar if there are several.

    If the server chose the first page's seed, the other pages use it too: all rows belong to one sequence.
    """
    pages = _split(rows, model, most_rows)
    parts: list[Part] = []
    started = time.perf_counter()
    with progress(label, rows, shown=len(pages) > 1) as advance:
        for page in pages:
            parts.append(request(Page(slice(page.start, page.stop), seed, first_row + page.start)))
            seed = parts[0].seed
            advance(len(page))
    return PagedResult(parts, rows, time.perf_counter() - started)


@contextmanager
def progress(label: str, rows: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, if that is a terminal. Call the function it yields with the number of further rows."""
    from rich.console import Console  # imported late: `vaeserve health` runs every few seconds without it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TextColumn("rows"), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not (shown and console.is_terminal)) as bar:
        task = bar.add_task(label, total=rows)
        yield lambda more: bar.advance(task, more)


def _split(rows: int, model: ModelInfo, most_rows: int) -> list[range]:
    """The rows of each request, in order: no more than the model takes, and messages of moderate size."""
    item_bytes = 4 * math.prod(model.item_shape)
    step = max(1, min(most_rows, model.max_request_rows, PAGE_BYTES // item_bytes))
    return [range(start, min(start + step, rows)) for start in range(0, rows, step)]
