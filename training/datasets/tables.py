"""The reader of tables of numbers: .csv and .tsv files, Parquet files (needs pyarrow), two-dimensional arrays."""

import array
import csv
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from server.core.arrays import Doubles
from training.datasets.dataset import Source, Split
from training.errors import TrainingError

SUFFIXES = {".csv", ".tsv", ".parquet"}
DELIMITERS = ",;\t"
SPLITS = ("train", "validation", "test")


def read(file: Path) -> Source:
    """Read one file as training rows; every column must hold numbers. Raises TrainingError."""
    columns, rows = _parquet(file) if file.suffix == ".parquet" else _csv(file)
    return Source(file.stem, Split(rows), columns=columns)


def is_folder(path: Path) -> bool:
    return any((path / f"train{suffix}").is_file() for suffix in SUFFIXES)


def read_folder(path: Path) -> Source:
    """Read train.csv (or .tsv, .parquet) and, if present, validation and test. Raises TrainingError.

    All files must have the same columns.
    """
    files = {name: [path / f"{name}{suffix}" for suffix in sorted(SUFFIXES)] for name in SPLITS}
    found = {name: [file for file in group if file.is_file()] for name, group in files.items()}
    for name, group in found.items():
        if len(group) > 1:
            raise TrainingError(f"{path}: {group[0].name} and {group[1].name} are both {name}; keep one")
    sources = {name: read(group[0]) for name, group in found.items() if group}
    columns = sources["train"].columns
    for name, source in sources.items():
        if source.columns != columns:
            raise TrainingError(
                f"{found[name][0]}: has columns {_listed(source.columns)}; {found['train'][0].name} has "
                f"{_listed(columns)}"
            )
    splits = {name: source.train for name, source in sources.items()}
    return Source(path.name, splits["train"], splits.get("validation"), splits.get("test"), columns=columns)


def is_table(values: NDArray[np.generic]) -> bool:
    """Whether an array is a table: two axes of numbers other than bytes, which are taken for a single picture."""
    number = np.issubdtype(values.dtype, np.floating) or np.issubdtype(values.dtype, np.integer)
    return values.ndim == 2 and number and values.dtype != np.uint8


def rows(values: NDArray[np.generic], where: str) -> Tensor:
    """An array [N, D] of numbers as float32 [N, D]. Raises TrainingError."""
    if values.size == 0:
        raise TrainingError(f"{where}: is empty, shape {values.shape}")
    return _checked(values.astype(np.float64), lambda row, column: f"{where}: row {row + 1}, column {column + 1}")


def name(columns: tuple[str, ...] | None, index: int) -> str:
    """How messages call a column: by its name in the header or, without a header, by its number from 1."""
    return f"column {index + 1}" if columns is None else f"column {columns[index]!r}"


def _listed(columns: tuple[str, ...] | None) -> str:
    return "no header" if columns is None else ", ".join(columns)


@dataclass(slots=True)
class _ParsedTable:
    """The numbers of a text file, row by row."""

    columns: tuple[str, ...] | None
    width: int
    values: "array.array[float]"
    lines: "array.array[int]"  # the line number of each row, counted from 1


def _csv(file: Path) -> tuple[tuple[str, ...] | None, Tensor]:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            delimiter = _delimiter(stream.readline())
            stream.seek(0)
            reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True, strict=True)
            parsed = _parse(file, ((reader.line_num, cells) for cells in reader))
    except UnicodeDecodeError as error:
        raise TrainingError(f"{file}: is not UTF-8 text ({error.reason} at byte {error.start})") from None
    except csv.Error as error:
        raise TrainingError(f"{file}: is not CSV: {error}") from None
    if not parsed.lines:
        raise TrainingError(f"{file}: holds no rows of numbers")
    values = np.frombuffer(parsed.values, np.float64).reshape(-1, parsed.width)
    return parsed.columns, _checked(
        values, lambda row, column: f"{file}: line {parsed.lines[row]}, {name(parsed.columns, column)}"
    )


def _delimiter(line: str) -> str:
    """The delimiter that occurs most often in the first line."""
    return max(DELIMITERS, key=line.count)


def _parse(file: Path, lines: Iterator[tuple[int, list[str]]]) -> _ParsedTable:
    parsed = _ParsedTable(None, 0, array.array("d"), array.array("q"))
    for line, cells in lines:
        if not any(cells) and len(cells) <= 1:  # blank
            continue
        if not parsed.width:
            parsed.width = len(cells)
            if any(cells) and not any(map(_is_number, cells)):
                parsed.columns = tuple(cell.strip() or str(index + 1) for index, cell in enumerate(cells))
                continue
        if len(cells) != parsed.width:
            raise TrainingError(f"{file}: line {line} has {len(cells)} cells, the first one {parsed.width}")
        try:
            parsed.values.extend(map(float, cells))
        except ValueError:
            column = next(index for index, cell in enumerate(cells) if not _is_number(cell))
            hint = " (the names of a header must not be numbers)" if not parsed.lines and not parsed.columns else ""
            raise TrainingError(
                f"{file}: line {line}, {name(parsed.columns, column)}: {cells[column]!r} is no number{hint}; "
                "fill it, or drop row or column"
            ) from None
        parsed.lines.append(line)
    return parsed


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _parquet(file: Path) -> tuple[tuple[str, ...], Tensor]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise TrainingError(
            f"{file}: reading Parquet needs pyarrow; pip install 'vaeserve[parquet]', or save the table as .csv or .npy"
        ) from None
    try:
        table = parquet.read_table(file)
    except ValueError as error:  # pyarrow.ArrowInvalid is a ValueError
        raise TrainingError(f"{file}: pyarrow cannot read it: {str(error).splitlines()[0]}") from None
    columns = tuple(map(str, table.column_names))
    if not columns or not len(table):
        raise TrainingError(f"{file}: holds no rows of numbers")
    values: Doubles = np.empty((len(table), len(columns)))
    for index, column in enumerate(table.columns):
        numbers = column.to_numpy()  # a null becomes NaN
        if numbers.dtype.kind not in "biuf":
            raise TrainingError(f"{file}: {name(columns, index)} is {column.type}; every column must be a number")
        values[:, index] = numbers
    return columns, _checked(values, lambda row, column: f"{file}: row {row + 1}, {name(columns, column)}")


def _checked(values: Doubles, where: Callable[[int, int], str]) -> Tensor:
    """values [N, D] as float32. Raises TrainingError, with `where(row, column)`, if one is not a finite float32."""
    bad = ~(np.abs(values) <= float(np.finfo(np.float32).max))  # NaN fails every comparison
    if bad.any():
        row, column = (int(index) for index in np.argwhere(bad)[0])
        raise TrainingError(
            f"{where(row, column)}: {values[row, column]:g} is no finite float32; fill it, or drop row or column"
        )
    return torch.from_numpy(values.astype(np.float32))
