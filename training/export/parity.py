"""Parity checks: the graphs compute what torch computes, and a row's bytes do not depend on the rest of its batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from server.artifact import GraphName
from server.core.arrays import Floats
from server.engine.engine import relative_error
from training.errors import TrainingError
from training.evaluation import exported_model

BATCHES = (1, 2, 7, 64)
TOLERANCE = 1e-4  # the largest allowed error against torch in fp32, as engine.relative_error measures it


@dataclass(frozen=True, slots=True)
class Parity:
    """The results of the checks, for the manifest's provenance."""

    max_error: dict[str, float]  # by "graph.output"
    rows_bit_identical: dict[str, bool]  # by graph: batch sizes 1 to 64, 1 and 2 threads

    def to_mapping(self) -> dict[str, Any]:
        return {"max_error": self.max_error, "rows_bit_identical": self.rows_bit_identical}


def prove(path: Path, modules: Mapping[GraphName, nn.Module], rows: Mapping[GraphName, Tensor]) -> Parity:
    """Compare each graph of the artifact at `path` with its torch module, on 64 rows in batches of all BATCHES.

    Raises TrainingError if an output differs by more than TOLERANCE.
    """
    engines = [exported_model.load(path, threads=threads).engine for threads in (1, 2)]
    errors: dict[str, float] = {}
    identical: dict[str, bool] = {}
    for name, module in modules.items():
        inputs: Floats = rows[name].numpy()
        assert len(inputs) == max(BATCHES)
        outputs = engines[0].manifest.graphs[name].outputs
        for batch in BATCHES:
            with torch.inference_mode():
                expected = [output.numpy() for output in module(rows[name][:batch])]
            for output, got, wanted in zip(outputs, engines[0].run(name, inputs[:batch]), expected, strict=True):
                error = relative_error(engines[0].manifest, f"{name}.{output}", got, wanted)
                errors[f"{name}.{output}"] = max(errors.get(f"{name}.{output}", 0.0), error)
                if not error <= TOLERANCE:
                    raise TrainingError(
                        f"export of {name}: {output} differs from torch by {error:.2g} at {batch} rows, allowed "
                        f"{TOLERANCE:g}; nothing was exported"
                    )
        identical[name] = rows_alike([lambda part, e=engine, n=name: e.run(n, part) for engine in engines], inputs)
    return Parity(errors, identical)


def rows_alike(runs: list[Any], inputs: Floats) -> bool:
    """Whether each row has the same output bytes in every batch of the first, and of the last, 1, 2, ..., 64 rows."""
    whole = runs[0](inputs)
    for run in runs:
        for batch in range(1, len(inputs) + 1):
            for part in (slice(0, batch), slice(len(inputs) - batch, None)):
                for got, reference in zip(run(inputs[part]), whole, strict=True):
                    if got.tobytes() != reference[part].tobytes():
                        return False
    return True
