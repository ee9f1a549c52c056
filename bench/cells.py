"""The cells of the benchmark's table: which RPC, how many rows a request, how many callers at once."""

from dataclasses import dataclass
from typing import Literal, get_args

Operation = Literal["Sample", "Encode", "Reconstruct"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
LOADS = ((1, 1), (1, 16), (1, 64), (16, 1), (16, 8), (16, 16), (16, 64), (256, 8))  # rows a request, callers


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One cell of the table."""

    operation: Operation
    rows: int
    callers: int

    def __str__(self) -> str:
        return f"{self.operation} n={self.rows} c={self.callers}"

    @property
    def id(self) -> str:
        """The cell's name on a command line."""
        return f"{self.operation.lower()}-{self.rows}-{self.callers}"


ALL = tuple(Cell(operation, rows, callers) for operation in OPERATIONS for rows, callers in LOADS)


def parse(text: str) -> tuple[Cell, ...]:
    """Cells from ids like `sample-1-64`, separated by commas. Raises ValueError."""
    return tuple(_parse(part) for part in text.split(","))


def _parse(part: str) -> Cell:
    operations = {operation.lower(): operation for operation in OPERATIONS}
    name, *numbers = part.split("-")
    if name not in operations or len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        raise ValueError(f"{part!r} is no cell; cells are called like sample-1-64: operation, rows, callers")
    rows, callers = map(int, numbers)
    if rows < 1 or callers < 1:
        raise ValueError(f"{part!r} is no cell; it needs at least one row and one caller")
    return Cell(operations[name], rows, callers)
