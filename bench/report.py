"""The serving benchmark's figures as Markdown."""

import argparse
import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

from bench import raw
from bench.cells import OPERATIONS
from bench.machine import processor
from bench.raw import BATCH_ROWS
from bench.results import ModelResult
from bench.rubbish import WANTED
from bench.spread import Spread
from bench.targets import Target
from server.settings import cores

DISTURBED = 0.05  # if other processes use more of the machine, the figures are doubtful


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table: first column left, the others right."""
    rule = [":--", *(["--:"] * (len(head) - 1))]
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *rows))


def heading(title: str, arguments: argparse.Namespace, server_flags: Sequence[str]) -> str:
    """A title, and where and how the figures below it were measured."""
    machine = f"{processor()}, {cores()} cores, load {os.getloadavg()[0]:.1f}"
    medians = f"medians of {arguments.rounds} rounds of {arguments.seconds:g} s (least-greatest)"
    pinned = {"server": arguments.server_cores, "generator": arguments.generator_cores}
    facts = [machine, medians, f"connections: {arguments.channels}"]
    facts += [f"{name} on cores {where}" for name, where in pinned.items() if where]
    facts += [f"server flags: {' '.join(server_flags)}"] if server_flags else []
    return f"# {title}\n\n{'; '.join(facts)}.\n"


def model(result: ModelResult) -> str:
    """The report of one model."""
    parts = [
        f"## {result.model}\n",
        cell_table(result),
        f"No-op of the transport (health check, 64 callers): {result.no_op_calls_per_second.show()} calls/s.\n",
        "Plain onnxruntime, rows/s:\n",
        raw_table(result),
        f"One caller in eight sends rubbish: {result.rubbish.answered} of {WANTED} good calls answered "
        f"in the worst round, a good caller's rate {result.rubbish.kept:.2f} of the clean one.\n",
        f"Server memory under load: {result.pss_mib:.0f} MiB PSS. Start to first answer: first time "
        f"{result.first_start_seconds:.2f} s, then {Spread.of(result.start_seconds).show(2)} s.\n",
        disturbance(result.others),
    ]
    return "\n".join(parts)


def cell_table(result: ModelResult) -> str:
    """Every cell, and its ratios to plain onnxruntime and to the no-op."""
    head = ("cell", "calls/s", "rows/s", "p50 ms", "p99 ms", "/ raw", "/ no-op", "not OK")
    return table(
        head,
        (
            (
                str(each.cell),
                each.calls_per_second.show(),
                f"{each.rows_per_second:,.0f}",
                f"{each.p50_ms:.2f}",
                f"{each.p99_ms:.2f}",
                f"{each.rows_per_second / result.raw.best(each.cell.operation):.2f}",
                f"{each.calls_per_second.median / result.no_op_calls_per_second.median:.2f}",
                str(each.failed),
            )
            for each in result.cells
        ),
    )


def raw_table(result: ModelResult) -> str:
    """Plain onnxruntime by operation, batch size and way."""
    ways = raw.ways()
    return table(
        ("operation", "batch", *map(str, ways)),
        (
            (operation, str(rows), *(result.raw.of(operation, way, rows).show() for way in ways))
            for operation in OPERATIONS
            for rows in BATCH_ROWS
        ),
    )


def targets(measured: Iterable[Target]) -> str:
    """Figures beside their bounds."""
    return table(
        ("target", "measured", "bound", ""),
        (
            (
                each.name,
                f"{each.value:,.2f}",
                f"{'>=' if each.at_least else '<='} {each.bound:g}",
                "reached" if each.reached else "MISSED",
            )
            for each in measured
        ),
    )


def disturbance(others: float) -> str:
    """How much of the machine other processes used."""
    doubt = ": believe none of these figures" if others > DISTURBED else ""
    return f"Other processes took up to {others:.0%} of the machine during a measurement{doubt}.\n"


def as_json(**facts: Any) -> str:
    """Everything that was measured, for machines."""
    return json.dumps({"machine": {"processor": processor(), "cores": cores()}, **facts}, indent=1) + "\n"
