"""The server's ceiling: the same graphs in plain onnxruntime, without noise, batching or network."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

from bench.cells import OPERATIONS, Operation
from server.artifact import Artifact
from server.core.arrays import Floats
from server.settings import cores

BATCH_ROWS = (1, 8, 64, 256)
INPUTS = 8  # different batches, used in turn
WARM_UP_RUNS = 3

Work = Callable[[Floats], object]


@dataclass(frozen=True, slots=True)
class Way:
    """How many sessions run at once, each in its own thread, and how many threads each may use inside."""

    sessions: int
    threads: int

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return threads if self.sessions == 1 else f"{self.sessions} sessions"


@dataclass(frozen=True, slots=True)
class Rate:
    """Rows/s of one operation."""

    operation: Operation
    way: Way
    batch_rows: int
    rows_per_second: float


def ways() -> tuple[Way, ...]:
    """One thread; all cores inside one run; one session for each core."""
    one = Way(sessions=1, threads=1)
    return (one, Way(1, cores()), Way(cores(), 1)) if cores() > 1 else (one,)


def measure(artifact: Artifact, *, seconds: float, operations: tuple[Operation, ...] = OPERATIONS) -> Iterator[Rate]:
    """Every operation, way and batch size, `seconds` each."""
    for way in ways():
        models = [Model(artifact, threads=way.threads) for _ in range(way.sessions)]
        for operation in operations:
            for rows in BATCH_ROWS:
                works = [model.work(operation) for model in models]
                batches = _batches(models[0].row_shape(operation), rows)
                yield Rate(operation, way, rows, _rows_per_second(works, batches, seconds=seconds))


class Model:
    """An artifact's graphs, run as the server runs them for each operation."""

    def __init__(self, artifact: Artifact, *, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._manifest = artifact.manifest
        self._inputs = {name: graph.inputs[0] for name, graph in artifact.manifest.graphs.items()}
        self._sessions = {
            name: ort.InferenceSession(artifact.graph(name), options, providers=["CPUExecutionProvider"])
            for name in artifact.manifest.graphs
        }

    def row_shape(self, operation: Operation) -> tuple[int, ...]:
        return (self._manifest.latent_size,) if operation == "Sample" else self._manifest.item.shape

    def work(self, operation: Operation) -> Work:
        return {"Sample": self.sample, "Encode": self.encode, "Reconstruct": self.reconstruct}[operation]

    def sample(self, noise: Floats) -> object:
        z = self._run("prior", noise)[0] if self._manifest.learned_prior else noise
        return self._run("decoder", z)

    def encode(self, items: Floats) -> list[Floats]:
        return self._run("encoder", items)

    def reconstruct(self, items: Floats) -> object:
        """With a learned prior the KL of the ELBO needs its density."""
        z = self.encode(items)[0]
        density = self._run("prior_log_density", z) if self._manifest.learned_prior else None
        return self._run("decoder", z), density

    def _run(self, graph: str, rows: Floats) -> list[Floats]:
        outputs: list[Floats] = self._sessions[graph].run(None, {self._inputs[graph]: rows})
        return outputs


def _batches(row_shape: tuple[int, ...], rows: int) -> list[Floats]:
    draws = np.random.default_rng(0)
    return [draws.random((rows, *row_shape), np.float32) for _ in range(INPUTS)]


def _rows_per_second(works: list[Work], batches: list[Floats], *, seconds: float) -> float:
    """The sum over all works, each repeated in its own thread."""
    together = threading.Barrier(len(works))
    rates: list[float] = []

    def repeat(work: Work) -> None:
        for batch in batches[:WARM_UP_RUNS]:
            work(batch)
        together.wait()
        runs, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < seconds:
            work(batches[runs % len(batches)])
            runs += 1
        rates.append(runs * len(batches[0]) / spent)

    threads = [threading.Thread(target=repeat, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rates)
