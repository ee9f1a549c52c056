"""Dataset: images or the rows of a table, checked and split into training, validation and perhaps test rows.

Images may be a view of a file larger than memory, so code that goes through all rows takes them piece by piece.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from server.artifact import ItemKind
from training.config.config import TrainOn
from training.errors import TrainingError
from training.randomness import generator

SplitName = Literal["train", "validation", "test"]
FEWEST_ROWS = 20  # of training rows: a tenth of them is held out, and a covariance needs two rows
FEWEST_MEASURED = 2  # of validation and of test rows: one row has no standard error
MOST_MAPPED_HELD_OUT = 10_000  # validating on a tenth of a huge file would take as long as training on it
PIECE = 1 << 26  # values in one piece of the rows
FEWEST_STEPS = 16  # a column's standard deviation must be this many float32 steps of its largest value
ONES = "black and white (0 and 1)"


@dataclass(frozen=True, slots=True)
class Split:
    """The rows of one split and, if the source has labels, their classes."""

    rows: Tensor  # images: uint8 [N, C, H, W], 0..255 for 0..1; a table: float32 [N, D] in its own units
    labels: Tensor | None = None  # int64 [N]

    def __len__(self) -> int:
        return int(self.rows.shape[0])


@dataclass(frozen=True, slots=True)
class Source:
    """The splits that a reader read. If there are no validation rows, `assemble` takes some of the training rows."""

    name: str
    train: Split
    validation: Split | None = None
    test: Split | None = None
    # Hold out the last sixth instead of a random tenth, as is customary for MNIST and its relatives (50,000 / 10,000).
    hold_out_last: bool = False
    # The training rows are a view of a file too large for memory: they must not be copied or reordered.
    mapped: bool = False
    columns: tuple[str, ...] | None = None  # the column names of a table that has a header


@dataclass(frozen=True, slots=True)
class Dataset:
    """A checked data set: no split is empty, and all items have one shape."""

    name: str
    train: Split
    validation: Split
    test: Split | None
    protocol: str  # where the validation rows come from, in words
    sha256: str  # of all rows of all splits
    columns: tuple[str, ...] | None = None  # the column names of a table that has a header

    @property
    def kind(self) -> ItemKind:
        return kind_of(self.item_shape)

    @property
    def item_shape(self) -> tuple[int, ...]:
        return tuple(self.train.rows.shape[1:])

    @property
    def counts(self) -> dict[str, int]:
        counts = {"train": len(self.train), "validation": len(self.validation)}
        return counts if self.test is None else counts | {"test": len(self.test)}

    @property
    def static(self) -> bool:
        """Whether every pixel of every split is black or white, so that binarising changes nothing."""
        splits = [split for split in (self.train, self.validation, self.test) if split is not None]
        return self.kind == "image" and all(_black_and(split.rows, white=255) for split in splits)

    def mean_item(self) -> Tensor:
        """The mean training item, float32: [C, H, W] in 0..1, or [D] in a table's units."""
        mean = _mean(self.train.rows)
        return (mean.div(255) if self.kind == "image" else mean).float()

    def deviation(self) -> Tensor | None:
        """The standard deviation of each column of a table's training rows, float32 [D]; None for images."""
        return _deviation(self.train.rows).float() if self.kind == "table" else None

    def rows(self, which: TrainOn) -> Tensor:
        """The rows to train on: the training rows and, for `all`, the validation rows after them.

        For a mapped file the result is a view in both cases, because its last rows are the validation rows.
        """
        return self.train.rows if which == "train" else _joined(self.train.rows, self.validation.rows)

    def held_out(self, trained_on: TrainOn) -> SplitName:
        """The split by which a model is measured: test if the validation rows were trained on and there are test rows,
        else validation.
        """
        return "test" if trained_on == "all" and self.test is not None else "validation"

    def split(self, name: SplitName) -> Split:
        """The split called `name`. Raises TrainingError if there is none."""
        if name == "test":
            if self.test is None:
                raise TrainingError(f"{self.name} has no test rows; use --split validation")
            return self.test
        return self.train if name == "train" else self.validation


def assemble(source: Source) -> Dataset:
    """Check a source and hold out validation rows if it has none. Raises TrainingError."""
    splits = _own_splits(source)
    shape = tuple(source.train.rows.shape[1:])
    for name, split in splits.items():
        fewest = FEWEST_ROWS if name == "train" else FEWEST_MEASURED
        if len(split) == 0:
            raise TrainingError(f"{source.name}: the {name} split is empty; give at least {fewest} rows")
        if tuple(split.rows.shape[1:]) != shape:
            raise TrainingError(
                f"{source.name}: {name} items are {tuple(split.rows.shape[1:])}, training items {shape}; "
                "make them equal"
            )
        if split.labels is not None and len(split.labels) != len(split):
            raise TrainingError(f"{source.name}: {len(split)} {name} rows have {len(split.labels)} labels")
        if name != "train" and len(split) < fewest:
            raise TrainingError(f"{source.name}: the {name} split has {len(split)} row; measuring needs {fewest}")
    if len(source.train) < FEWEST_ROWS:
        raise TrainingError(f"{source.name}: has {len(source.train)} rows; training needs at least {FEWEST_ROWS}")
    if kind_of(shape) == "table":
        return _table(source)
    lowest, highest = _range(source.train.rows)
    if lowest == highest:
        raise TrainingError(f"{source.name}: every value of every row is {lowest}; there is nothing to learn")
    levels = _levels_of_all(source.name, splits)
    train, validation, protocol = _hold_out(source)
    test = source.test
    if levels == ONES:
        if source.mapped:
            raise TrainingError(f"{source.name}: is too large to be rewritten here; write black and white as 0 and 255")
        train, validation = _stretched(train), _stretched(validation)
        test = None if test is None else _stretched(test)
    return Dataset(source.name, train, validation, test, protocol, _digest(train, validation, test))


def kind_of(item_shape: tuple[int, ...]) -> ItemKind:
    """The kind of items of a shape: image for [C, H, W], table for [D]."""
    return "image" if len(item_shape) == 3 else "table"


def _own_splits(source: Source) -> dict[SplitName, Split]:
    splits: dict[SplitName, Split | None] = {
        "train": source.train,
        "validation": source.validation,
        "test": source.test,
    }
    return {name: split for name, split in splits.items() if split is not None}


def _levels_of_all(name: str, splits: Mapping[SplitName, Split]) -> str:
    """How the pixels of all splits are written, in words. Raises TrainingError if two splits differ."""
    found = {split: _levels(rows.rows) for split, rows in splits.items()}
    known = {split: levels for split, levels in found.items() if levels is not None}
    if len(set(known.values())) > 1:
        listed = ", ".join(f"{split} is {levels}" for split, levels in known.items())
        raise TrainingError(f"{name}: {listed}; write the pixels of all splits alike")
    return known["train"]  # the caller has checked that not all training pixels are black


def _levels(rows: Tensor) -> str | None:
    """How the pixels of one split are written, in words; None if all are black, which fits any way of writing."""
    if _black_and(rows, white=255):
        return None if _black_and(rows, white=1) else "black and white (0 and 255)"
    return ONES if _black_and(rows, white=1) else "grey (0..255)"


def _table(source: Source) -> Dataset:
    train, validation, protocol = _hold_out(source)
    largest = train.rows.abs().max(0).values.double()
    flat = _deviation(train.rows) < FEWEST_STEPS * torch.finfo(torch.float32).eps * largest
    flat |= largest == 0
    if flat.any():
        column = int(flat.nonzero()[0, 0])
        called = f"column {column + 1}" if source.columns is None else f"column {source.columns[column]!r}"
        raise TrainingError(
            f"{source.name}: {called} is {train.rows[0, column]:g} in every training row, or nearly so; drop it, or "
            "subtract what is constant"
        )
    digest = _digest(train, validation, source.test)
    return Dataset(source.name, train, validation, source.test, protocol, digest, source.columns)


def _mean(rows: Tensor) -> Tensor:
    """float64 [*item]"""
    total = torch.zeros(rows.shape[1:], dtype=torch.float64)
    for piece in _pieces(rows):
        total += piece.sum(0, dtype=torch.float64)
    return total / len(rows)


def _deviation(rows: Tensor) -> Tensor:
    """float64 [*item]"""
    mean = _mean(rows)
    total = torch.zeros_like(mean)
    for piece in _pieces(rows):
        total += (piece.double() - mean).square().sum(0)
    return (total / len(rows)).sqrt()


def _hold_out(source: Source) -> tuple[Split, Split, str]:
    if source.validation is not None:
        return source.train, source.validation, "the source's own validation rows"
    total = len(source.train)
    if source.hold_out_last or source.mapped:
        held_out = min(total // 10, MOST_MAPPED_HELD_OUT) if source.mapped else total // 6
        kept, held = slice(0, total - held_out), slice(total - held_out, total)
        return _rows(source.train, kept), _rows(source.train, held), f"the last {held_out} training rows"
    # Always the same rows, whatever the seed of the run: runs on one source can be compared.
    order = torch.randperm(total, generator=generator(0, "split"))
    few, most = order[: total // 10].sort().values, order[total // 10 :].sort().values
    protocol = f"{total // 10} training rows at random, the same for every run"
    return _rows(source.train, most), _rows(source.train, few), protocol


def _rows(split: Split, index: Tensor | slice) -> Split:
    return Split(split.rows[index], None if split.labels is None else split.labels[index])


def _joined(first: Tensor, second: Tensor) -> Tensor:
    """The rows of both; a view if `second` follows `first` in one storage or file, else a copy."""
    end = first.storage_offset() + len(first) * first.stride(0)
    one_storage = first.untyped_storage().data_ptr() == second.untyped_storage().data_ptr()
    if one_storage and first.stride() == second.stride() and second.storage_offset() == end:
        return first.as_strided((len(first) + len(second), *first.shape[1:]), first.stride())
    return torch.cat((first, second))


def _stretched(split: Split) -> Split:
    """Pixels 0 and 1 as 0 and 255."""
    return Split(split.rows * 255, split.labels)


def _digest(*splits: Split | None) -> str:
    digest = hashlib.sha256()
    for split in splits:
        if split is not None:
            digest.update(repr(tuple(split.rows.shape)).encode())
            for piece in _pieces(split.rows):
                digest.update(piece.contiguous().numpy().data)
    return digest.hexdigest()


def _range(rows: Tensor) -> tuple[int, int]:
    """The lowest and the highest value. The search stops once they differ by more than 1."""
    lowest, highest = 255, 0
    for piece in _pieces(rows):
        lowest, highest = min(lowest, int(piece.min())), max(highest, int(piece.max()))
        if highest - lowest > 1:
            break
    return lowest, highest


def _black_and(rows: Tensor, *, white: int) -> bool:
    """Whether every value is 0 or `white`."""
    return all(bool(((piece == 0) | (piece == white)).all()) for piece in _pieces(rows))


def _pieces(rows: Tensor) -> Iterator[Tensor]:
    """All rows in order, in pieces of at most PIECE values."""
    return iter(torch.split(rows, max(1, PIECE // rows[0].numel())))
