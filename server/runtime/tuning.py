"""Settles how every graph of a loaded artifact runs: as given, as remembered, or as measured now."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from time import perf_counter, thread_time

import numpy as np

from server.artifact import Artifact, Manifest
from server.core.arrays import Floats
from server.core.model import Execution, Rate, Source
from server.runtime import engine
from server.runtime.calibration import measure
from server.runtime.choice import EXECUTORS_AT_MOST, Given, Setup, choose, helpers
from server.runtime.engine import PROVIDER, Engine
from server.runtime.graph import LoadedGraph
from server.runtime.machine import gpus, processor
from server.runtime.remembered import Facts, Remembered

CUDA_EXECUTORS_AT_MOST = 2  # one copies while the other computes


@dataclass(frozen=True, slots=True)
class Tuned:
    """A graph on the threads it shall have, and how it is to be run."""

    graph: LoadedGraph
    execution: Execution


def tune(
    artifact: Artifact, loaded: Engine, *, given: Given, cores: int, remembered: Remembered
) -> Mapping[str, Tuned]:
    """Every graph of an engine that was loaded with the given threads, or with one."""
    if loaded.provider == PROVIDER["cuda"]:
        given, cores = replace(given, threads=1), min(cores, CUDA_EXECUTORS_AT_MOST)
    with ThreadPoolExecutor(max(EXECUTORS_AT_MOST, given.executors)) as pool:
        benches = {
            name: _Bench(artifact, graph, _random_rows(loaded.manifest, name, given.sizes[-1]), pool)
            for name, graph in loaded.graphs.items()
        }
        if given.everything:
            return {name: bench.as_given(given) for name, bench in benches.items()}
        facts = _facts(loaded, given=given, cores=cores)
        source: Source = "cached"
        rates = remembered.recall(facts, benches, given)
        if rates is None:
            source = "measured"
            rates = {name: measure(bench, given, cores=cores) for name, bench in benches.items()}
            remembered.keep(facts, rates)
        return {name: bench.as_best(rates[name], source, given, cores) for name, bench in benches.items()}


class _Bench:
    """One graph and the ways to run it; fulfils calibration.RunBatches."""

    def __init__(self, artifact: Artifact, graph: LoadedGraph, rows: Floats, pool: ThreadPoolExecutor) -> None:
        self._artifact = artifact
        self._proven = graph
        self._on_gpu = graph.provider == PROVIDER["cuda"]
        self._on_threads = {graph.threads: graph}
        self._rows = rows
        self._pool = pool

    def __call__(self, setup: Setup, rows: int, runs: int) -> float:
        graph, batch = self._with(setup.threads), self._rows[:rows]
        if self._on_gpu:
            graph.warm(batch, executors=setup.executors)
        # What one thread computes takes as much of its processor's time whoever else is waiting for it.
        clock = perf_counter if self._on_gpu or setup.threads > 1 else thread_time

        def work() -> float:
            started = clock()
            for _ in range(runs):
                graph(batch)
            return clock() - started

        others = [self._pool.submit(work) for _ in range(setup.executors - 1)]
        return max([work(), *(other.result() for other in others)])

    def as_given(self, given: Given) -> Tuned:
        self._proven.warm(self._rows[: given.rows], executors=given.executors)
        execution = Execution(self._proven.provider, given.rows, given.executors, 0, given.threads, "given", ())
        return Tuned(self._proven, execution)

    def as_best(self, rates: tuple[Rate, ...], source: Source, given: Given, cores: int) -> Tuned:
        """The best way whose rows are the proven graph's to the last bit: replayable rows come before speed."""
        best = choose(rates)
        while not self._same_rows(self._with(best.threads)):
            rates = tuple(rate for rate in rates if rate.threads != best.threads)
            best = choose(rates)
        graph = self._with(best.threads)
        more = helpers(Setup(best.executors, best.threads), given, cores=cores)
        graph.warm(self._rows[: best.rows], executors=best.executors + more)
        execution = Execution(graph.provider, best.rows, best.executors, more, best.threads, source, rates)
        return Tuned(graph, execution)

    def _with(self, threads: int) -> LoadedGraph:
        if threads not in self._on_threads:
            self._on_threads[threads] = engine.with_threads(self._artifact, self._proven, threads)
        return self._on_threads[threads]

    def _same_rows(self, graph: LoadedGraph) -> bool:
        if graph is self._proven:
            return True
        expected, got = self._proven(self._rows), graph(self._rows)
        return all(a.tobytes() == b.tobytes() for a, b in zip(expected, got, strict=True))


def _facts(loaded: Engine, *, given: Given, cores: int) -> Facts:
    facts = {
        "artifact": loaded.manifest.digest,
        "graphs": {name: graph.sha256 for name, graph in loaded.manifest.graphs.items()},
        "provider": loaded.provider,
        "onnxruntime": engine.ONNXRUNTIME,
        "processor": processor(),
        "cores": cores,
        "given": asdict(given),
    }
    if loaded.provider == PROVIDER["cuda"]:
        facts |= {"gpus": gpus(), "cuda_graphs": loaded.cuda_graphs}
    return facts


def _random_rows(manifest: Manifest, graph: str, rows: int) -> Floats:
    shape = manifest.item.shape if graph == "encoder" else (manifest.latent_size,)
    return np.random.default_rng(0).random((rows, *shape), np.float32)
