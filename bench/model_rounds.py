"""Measures one model in rounds, in which its server and plain onnxruntime take turns."""

import sys
from dataclasses import dataclass
from pathlib import Path

from bench import artifacts, payloads, raw
from bench.artifacts import ModelName
from bench.cells import Cell
from bench.generator import Generator
from bench.measure import Loader, Measurement
from bench.raw import Rate
from bench.results import NO_OP_CALLERS, CellResult, ModelResult, RawResult
from bench.rubbish import ENCODE, RubbishRounds
from bench.server_process import ours


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure, and for how long."""

    cells: tuple[Cell, ...]
    rounds: int
    seconds: float  # of each cell and round
    raw_seconds: float  # of each operation, way and batch size of plain onnxruntime, and round
    server_flags: tuple[str, ...]
    server_cores: str  # as taskset writes them; empty: all


def measure_model(name: ModelName, generator: Generator, plan: Plan) -> ModelResult:
    """All results of a model. Raises RuntimeError if it cannot be trained or the server does not start."""
    served = artifacts.model(name)
    shape = served.artifact.manifest.item.shape
    requests = {cell: payloads.requests(cell, shape) for cell in plan.cells}
    cells: dict[Cell, list[Measurement]] = {cell: [] for cell in plan.cells}
    no_op: list[Measurement] = []
    rates: list[Rate] = []
    rubbish = RubbishRounds(
        method=payloads.method(ENCODE), good=payloads.requests(ENCODE, shape), bad=payloads.rubbish(shape)
    )
    with ours(served.folder, plan.server_flags, cores=plan.server_cores) as running:
        loader = Loader(generator, running, plan.seconds)
        for number in range(1, plan.rounds + 1):
            print(f"{name}: round {number} of {plan.rounds}", file=sys.stderr, flush=True)
            no_op.append(loader.load(payloads.NO_OP, callers=NO_OP_CALLERS))
            for cell in plan.cells:
                method = payloads.method(cell)
                cells[cell].append(loader.load(method, callers=cell.callers, payloads=requests[cell]))
            rubbish.add(loader)
            rates += raw.measure(served.artifact, seconds=plan.raw_seconds)
    return ModelResult(
        model=name,
        cells=tuple(CellResult(cell, tuple(each)) for cell, each in cells.items()),
        no_op=tuple(no_op),
        raw=RawResult(tuple(rates)),
        rubbish=rubbish.result(),
        first_start_seconds=running.seconds_to_first_answer,
        start_seconds=tuple(_start(served.folder, plan) for _ in range(plan.rounds)),
    )


def _start(folder: Path, plan: Plan) -> float:
    """Seconds from start to the first answer."""
    with ours(folder, plan.server_flags, cores=plan.server_cores) as running:
        return running.seconds_to_first_answer
