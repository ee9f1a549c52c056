"""Makes the batchers of a model version and connects them to metrics, statistics and the log."""

import asyncio

from server.core.batching.batcher import Batcher
from server.core.batching.scheduler import Scheduler
from server.core.batching.ticket import Deliver
from server.core.events import Event, ExecutorDied, GraphFailed
from server.core.model import Execution
from server.edge.inference_v2.statistics import Statistics
from server.engine.graph import LoadedGraph
from server.settings import Settings
from server.telemetry.logs import Log
from server.telemetry.metrics import Metrics


class BatcherFactory:
    """Makes one batcher for a graph: an implementation of catalog.loader.MakeBatcher. Callable on any thread."""

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        statistics: Statistics,
        log: Log,
        *,
        deliver: Deliver,
        soon: Deliver,
        executor_died: asyncio.Event,
    ) -> None:
        """`deliver` and `soon` are those of Batcher. `executor_died` is set through `deliver` when an executor dies."""
        self._settings = settings
        self._metrics = metrics
        self._statistics = statistics
        self._log = log
        self._deliver = deliver
        self._soon = soon
        self._executor_died = executor_died

    def __call__(self, graph: LoadedGraph, execution: Execution, model: str, version: str, name: str) -> Batcher:
        measure = self._metrics.batches(model=model, version=version, graph=name, padding=graph.padding)
        count = self._statistics.batches(model=model, version=version, graph=name)

        def observe(event: Event) -> None:
            measure(event)
            count(event)
            if isinstance(event, GraphFailed):
                self._log.warning(
                    "graph failed", model=model, version=version, graph=name, rows=event.rows, error=repr(event.error)
                )
            elif isinstance(event, ExecutorDied):
                self._log.error("executor died", model=model, version=version, graph=name, exc_info=event.error)
                self._deliver(self._executor_died.set)

        batcher = Batcher(
            graph,
            scheduler=Scheduler(
                max_batch_rows=execution.max_batch_rows,
                max_queued_rows=self._settings.max_queue_rows,
                max_queued_bytes=self._settings.max_queue_mib << 20,
            ),
            executors=execution.executors,
            helpers=execution.helpers,
            name=f"{model}-{version}-{name}",
            observe=observe,
            deliver=self._deliver,
            soon=self._soon,
        )
        self._metrics.watch_queue(batcher, model=model, version=version, graph=name)
        return batcher
