"""Every Prometheus metric of a server process, and the callables through which other rooms report."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from server.core.events import (
    BatchDone,
    CallEvent,
    CallStarted,
    Event,
    ExecutorDied,
    JobRefused,
    NotFinite,
    RowsDropped,
    Rpc,
)
from server.core.model import Entry
from server.telemetry import exposition, merging
from server.telemetry.drift import Drift
from server.telemetry.security import SecurityMetrics

SECONDS = (
    0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015,
    0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
_GRAPH = ("model", "version", "graph")
_RPC = ("grpc_type", "grpc_service", "grpc_method")


class QueueState(Protocol):
    """The properties of a batcher that the gauges read at every scrape."""

    @property
    def alive(self) -> bool: ...
    @property
    def queued_rows(self) -> int: ...
    @property
    def queued_bytes(self) -> int: ...
    @property
    def running_rows(self) -> int: ...


class Metrics:
    """The registry and its metrics. Labels are looked up once, so that a call only adds numbers."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a needless second series for each counter
        registry = self.registry = CollectorRegistry()
        # These three register themselves.
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self._started = Counter("grpc_server_started_total", "Calls begun.", _RPC, registry=registry)
        self._handled = Counter(
            "grpc_server_handled_total", "Calls ended, by status.", (*_RPC, "grpc_code"), registry=registry
        )
        self._handling = Histogram(
            "grpc_server_handling_seconds", "From request to response.", _RPC, registry=registry, buckets=SECONDS
        )
        self._rows = Counter(
            "vae_rows_total", "Rows run, by outcome: ok, failed.", (*_GRAPH, "outcome"), registry=registry
        )
        self._queue_seconds = Histogram(
            "vae_queue_seconds",
            "From submission to the first batch, one value per request.",
            _GRAPH,
            registry=registry,
            buckets=SECONDS,
        )
        self._inference_seconds = Histogram(
            "vae_inference_seconds", "One batch through its graph.", _GRAPH, registry=registry, buckets=SECONDS
        )
        self._batch_rows = Histogram("vae_batch_rows", "Rows of one batch.", _GRAPH, registry=registry, buckets=ROWS)
        self._padding = Counter(
            "vae_padding_rows_total",
            "Rows added to reach a fixed batch size; none on a CPU.",
            _GRAPH,
            registry=registry,
        )
        self._dispatch = Counter(
            "vae_dispatch_total",
            "Batches, by why they left the queue: full, the graph's best size; idle, an executor was free.",
            (*_GRAPH, "reason"),
            registry=registry,
        )
        self._queue_rows = Gauge("vae_queue_rows", "Rows waiting.", _GRAPH, registry=registry)
        self._queue_bytes = Gauge("vae_queue_bytes", "Bytes of rows waiting.", _GRAPH, registry=registry)
        self._inflight = Gauge("vae_inflight_rows", "Rows running.", _GRAPH, registry=registry)
        self._rejected = Counter(
            "vae_rejected_total",
            "Requests refused: rows or bytes, the queue is full; deadline, already over. With empty graph labels: "
            "unauthenticated, permission, quota, concurrency.",
            (*_GRAPH, "reason"),
            registry=registry,
        )
        self._cancelled = Counter(
            "vae_cancelled_rows_total",
            "Rows whose caller left: queued, never run; running, run in vain.",
            (*_GRAPH, "stage"),
            registry=registry,
        )
        self._executor_up = Gauge("vae_executor_up", "1 while the graph's executors run.", _GRAPH, registry=registry)
        self._not_finite = Counter(
            "vae_nonfinite_rows_total", "Rows for which the graph gave NaN or infinity.", _GRAPH, registry=registry
        )
        self._execution = {
            name: Gauge(f"vae_graph_{name}", text, _GRAPH, registry=registry)
            for name, text in (
                ("max_batch_rows", "Rows in one batch, as calibration or the operator chose."),
                ("executors", "Batches that may run at once."),
                ("helpers", "Further batches that may run if they are full."),
                ("threads", "Threads inside one run."),
                ("rows_per_second", "Rate measured by calibration; 0 if nothing was measured."),
            )
        }
        self._model_info = Gauge(
            "vae_model_info", "1: what is loaded, and where it runs.",
            ("model", "version", "digest", "embedding_space", "provider"), registry=registry,
        )  # fmt: skip
        self._model_ready = Gauge(
            "vae_model_ready",
            "1 if the version is in memory and can answer, 0 if it was refused; gone when it is unloaded.",
            ("model", "version"),
            registry=registry,
        )
        self._model_loads = Counter(
            "vae_model_loads_total", "Versions loaded, by result: ok, failed.", ("result",), registry=registry
        )
        self.security = SecurityMetrics(registry, rejected=self._rejected)
        self._of_versions = [
            metric for metric in _families(vars(self)) if {"model", "version"} <= set(metric._labelnames)
        ]
        for result in ("ok", "failed"):  # created at zero, as rate() misses the event that creates a series
            self._model_loads.labels(result)
        self._drift = Drift()
        registry.register(self._drift)
        self.scored = self._drift.observe  # the observer of the servicer
        self._reading: dict[tuple[str, str], list[Gauge]] = {}  # by model and version
        self._calls: dict[Rpc, _Call] = {}

    def serve(self, host: str, port: int) -> tuple[int, Callable[[], None]]:
        """Expose the registry over HTTP; return the port, and a function that stops it. Raises OSError."""
        return exposition.serve(self.registry, host=host, port=port)

    def reading(self) -> bytes:
        """The registry's values, serialised for a supervisor."""
        return merging.dump(self.registry.collect())

    def loaded(self, entry: Entry) -> None:
        """Record that a version was loaded."""
        assert entry.model is not None
        self._model_loads.labels("ok").inc()
        self._model_ready.labels(entry.name, entry.version).set(1)
        # The same version may have been loaded before with other files, hence another digest.
        self._model_info.remove_by_labels({"model": entry.name, "version": entry.version})
        spec = entry.model.spec
        self._drift.watch(entry.name, entry.version, spec)
        provider = entry.model.graphs["decoder"].provider
        for graph, execution in entry.model.graphs.items():
            for name, gauge in self._execution.items():
                gauge.labels(entry.name, entry.version, graph).set(getattr(execution, name) or 0)
        self._model_info.labels(entry.name, entry.version, spec.digest, spec.embedding_space, provider).set(1)

    def refused(self, entry: Entry) -> None:
        """Record that a version was refused. Another one with the same number may still be in memory."""
        self._model_loads.labels("failed").inc()
        self._model_ready.labels(entry.name, entry.version).set(entry.model is not None)

    def forget(self, model: str, version: str) -> None:
        """Remove all series of a version."""
        # A gauge with a function is part of a reference cycle. Without this, the batcher that it reads would stay in
        # memory until the next full garbage collection.
        for child in self._reading.pop((model, version), ()):
            child.set_function(float)
        for metric in self._of_versions:
            metric.remove_by_labels({"model": model, "version": version})
        self._drift.forget(model, version)

    def watch_queue(self, queue: QueueState, *, model: str, version: str, graph: str) -> None:
        """Make the gauges of a graph read its batcher."""
        labels = (model, version, graph)
        for gauge, read in (
            (self._queue_rows, lambda: queue.queued_rows),
            (self._queue_bytes, lambda: queue.queued_bytes),
            (self._inflight, lambda: queue.running_rows),
            (self._executor_up, lambda: queue.alive),
        ):
            child = gauge.labels(*labels)
            child.set_function(read)
            self._reading.setdefault((model, version), []).append(child)

    def batches(
        self, *, model: str, version: str, graph: str, padding: Callable[[int], int]
    ) -> Callable[[Event], None]:
        """The observer of one graph's batcher; `padding(rows)` is the number of rows that fill such a batch up."""
        labels = (model, version, graph)
        ok, failed = (self._rows.labels(*labels, outcome) for outcome in ("ok", "failed"))
        queue_seconds = self._queue_seconds.labels(*labels)
        inference_seconds = self._inference_seconds.labels(*labels)
        batch_rows = self._batch_rows.labels(*labels)
        dispatch = {reason: self._dispatch.labels(*labels, reason) for reason in ("full", "idle")}
        rejected = {reason: self._rejected.labels(*labels, reason) for reason in ("rows", "bytes", "deadline")}
        dropped = {stage: self._cancelled.labels(*labels, stage) for stage in ("queued", "running")}
        padding_rows = self._padding.labels(*labels)
        not_finite = self._not_finite.labels(*labels)

        def observe(event: Event) -> None:
            match event:
                case BatchDone():
                    ok.inc(event.rows - event.failed_rows)
                    failed.inc(event.failed_rows)
                    inference_seconds.observe(event.run_seconds)
                    batch_rows.observe(event.rows)
                    padding_rows.inc(padding(event.rows))
                    dispatch[event.reason].inc()
                    for seconds in event.queue_seconds:
                        queue_seconds.observe(seconds)
                case JobRefused():
                    rejected[event.reason].inc()
                case RowsDropped():
                    dropped[event.stage].inc(event.rows)
                case NotFinite():
                    not_finite.inc(event.rows)
                case ExecutorDied():
                    pass  # the gauge vae_executor_up shows it

        return observe

    def expect_calls(self, rpc: Rpc, *, codes: Iterable[str]) -> None:
        """Create every series of an RPC at zero, as rate() misses the event that creates a series."""
        labels = (rpc.grpc_type, rpc.service, rpc.method)
        self._calls[rpc] = _Call(
            self._started.labels(*labels),
            {code: self._handled.labels(*labels, code) for code in codes},
            self._handling.labels(*labels),
        )

    def call(self, event: CallEvent) -> None:
        """Record that a call began or ended. Its RPC must have been passed to `expect_calls`."""
        call = self._calls[event.rpc]
        if isinstance(event, CallStarted):
            call.started.inc()
        else:
            call.handled[event.code].inc()
            trace = event.trace
            call.seconds.observe(event.seconds, {"trace_id": trace.id} if trace and trace.sampled else None)


def _families(attributes: Mapping[str, object]) -> list[MetricWrapperBase]:
    """The metrics among an object's attributes, including those inside dictionaries."""
    values = [
        value
        for attribute in attributes.values()
        for value in (attribute.values() if isinstance(attribute, dict) else (attribute,))
    ]
    return [value for value in values if isinstance(value, MetricWrapperBase)]


@dataclass(frozen=True, slots=True)
class _Call:
    """The metrics of one RPC, with its labels."""

    started: Counter
    handled: Mapping[str, Counter]
    seconds: Histogram
