"""The tables of the comparison: calls/s and latencies of every cell, and our targets against PyTriton."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench import cells
from bench.cells import Cell
from bench.report import disturbance, table, targets
from bench.results import CellResult
from bench.rubbish import WANTED, RubbishResult
from bench.spread import Spread
from bench.targets import Target

REFERENCE = "PyTriton"  # the fastest peer
CELLS = cells.parse("sample-1-64,encode-1-64,sample-16-8,encode-16-8,sample-256-8,encode-256-8,sample-1-1,encode-1-1")
# Bounds on ours / the reference: at least for calls/s, at most for p50 with one caller.
BOUNDS = {
    "sample-1-64": 4.5,
    "encode-1-64": 5.0,
    "sample-16-8": 4.0,
    "encode-16-8": 4.0,
    "sample-256-8": 2.0,
    "encode-256-8": 2.0,
    "sample-1-1": 0.3,
    "encode-1-1": 0.3,
}


@dataclass(frozen=True, slots=True)
class ContestantResult:
    """The results of one server."""

    name: str
    cells: tuple[CellResult, ...]
    rubbish: RubbishResult
    start_seconds: tuple[float, ...]  # to the first answer

    @property
    def pss_mib(self) -> float:
        """The server's greatest memory under load."""
        return max(each.pss_mib for cell in self.cells for each in cell.rounds)

    def of(self, cell: Cell) -> CellResult:
        return next(each for each in self.cells if each.cell == cell)


def report(results: Sequence[ContestantResult]) -> str:
    """All tables. The first of `results` must be ours."""
    ours, *theirs = results
    others = max(each.others for result in results for cell in result.cells for each in cell.rounds)
    return "\n".join(
        [
            _cells(results),
            _service(results),
            disturbance(others),
            table_of_ratios(ours, theirs),
            targets(bounds(ours, theirs)),
        ]
    )


def ratio(ours: CellResult, theirs: CellResult) -> float:
    """Ours / theirs: p50 for one caller, calls/s for more; nan if theirs answered nothing."""
    if ours.cell.callers == 1:
        return ours.p50_ms / theirs.p50_ms if theirs.p50_ms else math.nan
    rate = theirs.calls_per_second.median
    return ours.calls_per_second.median / rate if rate else math.nan


def table_of_ratios(ours: ContestantResult, theirs: Sequence[ContestantResult]) -> str:
    head = ("ours / theirs", "of", *(each.name for each in theirs))
    return table(
        head,
        (
            (
                str(each.cell),
                "p50" if each.cell.callers == 1 else "calls/s",
                *(f"{ratio(each, other.of(each.cell)):.2f}" for other in theirs),
            )
            for each in ours.cells
        ),
    )


def bounds(ours: ContestantResult, theirs: Sequence[ContestantResult]) -> Iterator[Target]:
    """Every target for which there are measurements."""
    for each in ours.cells:
        one_caller = each.cell.callers == 1
        if each.cell.id in BOUNDS:
            for other in theirs:
                if other.name == REFERENCE:
                    name = f"{each.cell}{', p50' * one_caller}: ours / {other.name}"
                    value, bound = ratio(each, other.of(each.cell)), BOUNDS[each.cell.id]
                    yield Target(name, value, bound, at_least=not one_caller)
    yield Target("good calls answered beside rubbish", ours.rubbish.answered, WANTED)
    yield Target("rate of good callers beside rubbish / clean", ours.rubbish.kept, 0.9)


def _cells(results: Sequence[ContestantResult]) -> str:
    return table(
        ("calls/s; p50 and p99 ms", *(each.name for each in results)),
        ((str(cell.cell), *(_cell(each.of(cell.cell)) for each in results)) for cell in results[0].cells),
    )


def _cell(result: CellResult) -> str:
    failed = f"; {result.failed} not OK" if result.failed else ""
    return f"{result.calls_per_second.show()}; {result.p50_ms:.2f}, {result.p99_ms:.2f}{failed}"


def _service(results: Sequence[ContestantResult]) -> str:
    return table(
        ("beside the figures", *(each.name for each in results)),
        (
            (
                f"of {WANTED} good calls answered, one caller in eight sending rubbish",
                *(str(each.rubbish.answered) for each in results),
            ),
            ("rate of a good caller, beside rubbish / clean", *(f"{each.rubbish.kept:.2f}" for each in results)),
            ("PSS under load, MiB", *(f"{each.pss_mib:.0f}" for each in results)),
            ("start to first answer, s", *(Spread.of(each.start_seconds).show(1) for each in results)),
        ),
    )
