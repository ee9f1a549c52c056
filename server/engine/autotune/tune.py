"""Decides how every graph of a loaded artifact runs: as set, by cached rates, or by rates measured now."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from time import perf_counter, thread_time

import numpy as np

from server.artifact import Artifact, Manifest
from server.core.arrays import Floats
from server.core.model import Execution, Rate, Source
from server.engine import engine
from server.engine.autotune.cache import CalibrationCache, Facts, gpus, processor
from server.engine.autotune.choose import EXECUTORS_AT_MOST, ExecutionOverrides, Setup, choose, helpers
from server.engine.autotune.measure import measure_rates
from server.engine.engine import PROVIDER, Engine
from server.engine.graph import LoadedGraph

CUDA_EXECUTORS_AT_MOST = 2  # one copies data while the other computes


@dataclass(frozen=True, slots=True)
class TunedGraph:
    """A graph loaded with the chosen number of threads, and how to run it."""

    graph: LoadedGraph
    execution: Execution


def tune(
    artifact: Artifact, loaded: Engine, *, overrides: ExecutionOverrides, cores: int, cache: CalibrationCache
) -> Mapping[str, TunedGraph]:
    """Tune and warm up every graph of an engine, which was loaded with `overrides.start.threads` threads.

    Raises ArtifactError if a graph cannot be loaded with another number of threads.
    """
    if loaded.provider == PROVIDER["cuda"]:
        overrides, cores = replace(overrides, threads=1), min(cores, CUDA_EXECUTORS_AT_MOST)
    with ThreadPoolExecutor(max(EXECUTORS_AT_MOST, overrides.executors)) as pool:
        benches = {
            name: _Bench(artifact, graph, _random_rows(loaded.manifest, name, overrides.sizes[-1]), pool)
            for name, graph in loaded.graphs.items()
        }
        if overrides.everything:
            return {name: bench.tuned_as_set(overrides) for name, bench in benches.items()}
        facts = _facts(loaded, overrides=overrides, cores=cores)
        source: Source = "cached"
        rates = cache.recall(facts, benches, overrides)
        if rates is None:
            source = "measured"
            rates = {name: measure_rates(bench, overrides, cores=cores) for name, bench in benches.items()}
            cache.keep(facts, rates)
        return {name: bench.tuned_by_rates(rates[name], source, overrides, cores) for name, bench in benches.items()}


class _Bench:
    """Runs one graph in any setup, to measure it; implements measure.RunBatches."""

    def __init__(self, artifact: Artifact, graph: LoadedGraph, rows: Floats, pool: ThreadPoolExecutor) -> None:
        self._artifact = artifact
        self._verified = graph
        self._on_gpu = graph.provider == PROVIDER["cuda"]
        self._by_threads = {graph.threads: graph}
        self._rows = rows
        self._pool = pool

    def __call__(self, setup: Setup, rows: int, runs: int) -> float:
        graph, batch = self._graph_with(setup.threads), self._rows[:rows]
        if self._on_gpu:
            graph.warm(batch, executors=setup.executors)
        # Processor time of a single thread does not count what other processes take meanwhile.
        clock = perf_counter if self._on_gpu or setup.threads > 1 else thread_time

        def work() -> float:
            started = clock()
            for _ in range(runs):
                graph(batch)
            return clock() - started

        others = [self._pool.submit(work) for _ in range(setup.executors - 1)]
        return max([work(), *(other.result() for other in others)])

    def tuned_as_set(self, overrides: ExecutionOverrides) -> TunedGraph:
        """The graph as the operator set it, warmed up."""
        self._verified.warm(self._rows[: overrides.rows], executors=overrides.executors)
        execution = Execution(
            self._verified.provider, overrides.rows, overrides.executors, 0, overrides.threads, "given", ()
        )
        return TunedGraph(self._verified, execution)

    def tuned_by_rates(
        self, rates: tuple[Rate, ...], source: Source, overrides: ExecutionOverrides, cores: int
    ) -> TunedGraph:
        """The graph in the best way that gives the verified graph's rows bit by bit: replay comes before speed."""
        best = choose(rates)
        while not self._gives_the_same_bits(self._graph_with(best.threads)):
            rates = tuple(rate for rate in rates if rate.threads != best.threads)
            best = choose(rates)
        graph = self._graph_with(best.threads)
        more = helpers(Setup(best.executors, best.threads), overrides, cores=cores)
        graph.warm(self._rows[: best.rows], executors=best.executors + more)
        execution = Execution(graph.provider, best.rows, best.executors, more, best.threads, source, rates)
        return TunedGraph(graph, execution)

    def _graph_with(self, threads: int) -> LoadedGraph:
        if threads not in self._by_threads:
            self._by_threads[threads] = engine.with_threads(self._artifact, self._verified, threads)
        return self._by_threads[threads]

    def _gives_the_same_bits(self, graph: LoadedGraph) -> bool:
        if graph is self._verified:
            return True
        expected, got = self._verified(self._rows), graph(self._rows)
        return all(a.tobytes() == b.tobytes() for a, b in zip(expected, got, strict=True))


def _facts(loaded: Engine, *, overrides: ExecutionOverrides, cores: int) -> Facts:
    facts = {
        "artifact": loaded.manifest.digest,
        "graphs": {name: graph.sha256 for name, graph in loaded.manifest.graphs.items()},
        "provider": loaded.provider,
        "onnxruntime": engine.ONNXRUNTIME,
        "processor": processor(),
        "cores": cores,
        "given": asdict(overrides),
    }
    if loaded.provider == PROVIDER["cuda"]:
        facts |= {"gpus": gpus(), "cuda_graphs": loaded.cuda_graphs}
    return facts


def _random_rows(manifest: Manifest, graph: str, rows: int) -> Floats:
    shape = manifest.item.shape if graph == "encoder" else (manifest.latent_size,)
    return np.random.default_rng(0).random((rows, *shape), np.float32)
