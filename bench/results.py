"""The results of the serving benchmark, and the figures that follow from them."""

from collections.abc import Iterable
from dataclasses import dataclass

from bench.cells import Cell, Operation
from bench.measure import Measurement
from bench.raw import Rate, Way
from bench.rubbish import RubbishResult
from bench.spread import Spread

NO_OP_CALLERS = 64


@dataclass(frozen=True, slots=True)
class CellResult:
    """The rounds of one cell."""

    cell: Cell
    rounds: tuple[Measurement, ...]

    @property
    def calls_per_second(self) -> Spread:
        return Spread.of(each.good.calls_per_second for each in self.rounds)

    @property
    def rows_per_second(self) -> float:
        return self.calls_per_second.median * self.cell.rows

    @property
    def p50_ms(self) -> float:
        return Spread.of(each.good.p50_ms for each in self.rounds).median

    @property
    def p99_ms(self) -> float:
        return Spread.of(each.good.p99_ms for each in self.rounds).median

    @property
    def failed(self) -> int:
        return sum(each.good.failed for each in self.rounds)


@dataclass(frozen=True, slots=True)
class RawResult:
    """The rounds of plain onnxruntime."""

    rates: tuple[Rate, ...]

    def of(self, operation: Operation, way: Way, batch_rows: int) -> Spread:
        """Rows/s over the rounds."""
        return Spread.of(
            rate.rows_per_second
            for rate in self.rates
            if (rate.operation, rate.way, rate.batch_rows) == (operation, way, batch_rows)
        )

    def best(self, operation: Operation, ways: Iterable[Way] = ()) -> float:
        """The greatest median rows/s of an operation, over all batch sizes and over all ways or these."""
        allowed = set(ways) or {rate.way for rate in self.rates}
        measured = {(rate.way, rate.batch_rows) for rate in self.rates if rate.operation == operation}
        return max(self.of(operation, way, rows).median for way, rows in measured if way in allowed)


@dataclass(frozen=True, slots=True)
class ModelResult:
    """All results of one model."""

    model: str
    cells: tuple[CellResult, ...]
    no_op: tuple[Measurement, ...]  # the transport's ceiling: health checks by NO_OP_CALLERS callers
    raw: RawResult
    rubbish: RubbishResult
    first_start_seconds: float  # to the first answer, without a calibration cache
    start_seconds: tuple[float, ...]  # to the first answer, at later starts

    @property
    def pss_mib(self) -> float:
        """The server's greatest memory under load."""
        return max(each.pss_mib for cell in self.cells for each in cell.rounds)

    @property
    def others(self) -> float:
        """The largest share of the machine that other processes used during a measurement, 0..1."""
        return max(each.others for cell in self.cells for each in cell.rounds)

    @property
    def no_op_calls_per_second(self) -> Spread:
        return Spread.of(each.good.calls_per_second for each in self.no_op)
