"""The report of a command: a line for people, or JSON for scripts."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import click

from vaeserve.cli.output import Output
from vaeserve.results import ModelInfo
from vaeserve.tensors import Floats

LISTED_ROWS = 20

json_option = click.option("--json", "as_json", is_flag=True, help="Report as JSON.")


class FinishedWork(Protocol):
    """Work that is done, in one or more requests."""

    @property
    def rows(self) -> int: ...

    @property
    def seconds(self) -> float: ...

    @property
    def seed(self) -> int: ...


def done(work: FinishedWork, model: ModelInfo, out: Output, *, as_json: bool, **facts: Any) -> None:
    """Report rows, seed, model, speed and file; `facts` are added to the JSON."""
    ref, rate = model.summary.model, work.rows / work.seconds
    if as_json:
        emit({
            "out": str(out.path),
            "rows": work.rows,
            "seed": work.seed,
            "model": dataclasses.asdict(ref),
            "rows_per_second": round(rate, 1),
            **facts,
        })  # fmt: skip
    else:
        rows = f"{work.rows} row{'s' if work.rows > 1 else ''}"
        click.echo(f"{rows} of {ref}, seed {work.seed}, {rate:.0f} rows/s -> {out.path}")


def list_scores(names: Sequence[str], scores: Mapping[str, Floats], *, heads: Sequence[str]) -> None:
    """Print a line for each input and a column for each score, unless there are more than LISTED_ROWS inputs."""
    if len(names) <= LISTED_ROWS:
        rows = zip(*(values.tolist() for values in scores.values()), strict=True)
        table(("input", *heads), [(name, *(f"{v:.1f}" for v in row)) for name, row in zip(names, rows, strict=True)])


def score_facts(names: Sequence[str], scores: Mapping[str, Floats]) -> dict[str, Any]:
    """The inputs and their scores as facts of `done`."""
    return {"inputs": names, **{name: values.tolist() for name, values in scores.items()}}


def emit(value: Any) -> None:
    """Print a value as one line of JSON."""
    click.echo(json.dumps(value))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print aligned columns, numbers to the right."""
    lines = [tuple(heads), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(_aligned(cell)(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _aligned(cell: str) -> Callable[[int], str]:
    return cell.ljust if cell.strip("-.0123456789") or not cell else cell.rjust
