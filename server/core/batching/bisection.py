"""Runs the parts of a batch together; if the run fails, bisects the batch to find the job that fails."""

from collections.abc import Callable
from typing import TypeAlias

from server.core.arrays import Floats, RunGraph, rows_not_finite
from server.core.batching.job import Part
from server.core.events import Event, GraphFailed, NotFinite
from server.core.noise import concatenate
from server.errors import EngineFailure

Result: TypeAlias = tuple[Part, tuple[Floats, ...] | EngineFailure]


def run_parts(parts: tuple[Part, ...], run: RunGraph, observe: Callable[[Event], None]) -> list[Result]:
    """Run parts and give each its own rows of the outputs. A failed run is repeated in halves, down to one part.

    So only the part that fails gets an EngineFailure, with the error as its cause.
    """
    rows = concatenate([part.rows for part in parts])
    try:
        outputs = run(rows)
        if any(len(output) != len(rows) for output in outputs):
            raise ValueError(f"{len(rows)} rows in, {[len(output) for output in outputs]} rows out")
    except Exception as error:
        observe(GraphFailed(len(rows), error))
        if len(parts) == 1:
            failure = EngineFailure("the model failed on these rows")
            failure.__cause__ = error
            return [(parts[0], failure)]
        middle = len(parts) // 2
        return run_parts(parts[:middle], run, observe) + run_parts(parts[middle:], run, observe)
    if not_finite := rows_not_finite(outputs):
        observe(NotFinite(not_finite))
    results: list[Result] = []
    start = 0
    for part in parts:
        results.append((part, tuple(output[start : start + part.size] for output in outputs)))
        start += part.size
    return results
