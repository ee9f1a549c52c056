"""Rates and quantiles from two readings of a server's metrics."""

import math
from dataclasses import dataclass

from vaeserve.watch.exposition import Exposition

_CALL = ("grpc_service", "grpc_method")
_GRAPH = ("model", "version", "graph")


@dataclass(frozen=True, slots=True)
class Reading:
    """An exposition and when it was read, in seconds of some clock."""

    exposition: Exposition
    at: float


@dataclass(frozen=True, slots=True)
class MethodFigures:
    """The figures of an RPC. Rates are None after a single reading; quantiles also if no call ended."""

    service: str
    method: str
    calls_per_second: float | None
    failed_per_second: dict[str, float] | None  # by status; those that did not occur are left out
    p50_seconds: float | None
    p99_seconds: float | None


@dataclass(frozen=True, slots=True)
class GraphFigures:
    """The figures of a graph of a model version."""

    model: str
    version: str
    graph: str
    up: bool  # its executors run
    rows_per_second: float | None
    batch_rows: float | None  # the mean
    queue_rows: int
    inflight_rows: int
    queue_p99_seconds: float | None  # from submission to the first batch
    run_p50_seconds: float | None  # one batch
    refused_per_second: float | None  # requests, for a full queue or a deadline that had passed


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a server."""

    up_seconds: float | None  # since its process began; None where the system does not say
    memory_bytes: float
    cores_used: float | None
    methods: tuple[MethodFigures, ...]  # those that were called at least once
    graphs: tuple[GraphFigures, ...]
    not_ready: tuple[str, ...]  # model versions that do not take traffic


def between(before: Reading | None, now: Reading, *, wall_clock: float) -> Figures:
    """Rates over the time from `before` to `now`; without `before`, what a single reading can tell.

    `wall_clock` is now in seconds since 1970. A counter that fell belongs to a restarted server and counts from 0.
    """
    this, change = now.exposition, _Change(before, now)
    born = this.sum("process_start_time_seconds")
    return Figures(
        up_seconds=max(0.0, wall_clock - born) if born else None,
        memory_bytes=this.sum("process_resident_memory_bytes"),
        cores_used=change.rate("process_cpu_seconds_total"),
        methods=tuple(
            _method(this, change, labels)
            for labels in this.groups("grpc_server_started_total", *_CALL)
            if this.sum("grpc_server_started_total", **labels)
        ),
        graphs=tuple(_graph(this, change, labels) for labels in this.groups("vae_executor_up", *_GRAPH)),
        not_ready=tuple(
            f"{sample.labels['model']}/{sample.labels['version']}"
            for sample in this.of("vae_model_ready")
            if not sample.value
        ),
    )


class _Change:
    """The growth of counters from one reading to the next."""

    def __init__(self, before: Reading | None, now: Reading) -> None:
        self._before, self._now = before, now

    def count(self, name: str, **labels: str) -> float | None:
        """How much the counters with these labels grew, in sum; None without an earlier reading."""
        if self._before is None:
            return None
        old = {_key(sample.labels): sample.value for sample in self._before.exposition.of(name, **labels)}
        grown = 0.0
        for sample in self._now.exposition.of(name, **labels):
            was = old.get(_key(sample.labels), 0.0)
            grown += sample.value - was if sample.value >= was else sample.value
        return grown

    def rate(self, name: str, **labels: str) -> float | None:
        """Their growth per second."""
        count = self.count(name, **labels)
        if count is None or self._before is None:
            return None
        return count / max(self._now.at - self._before.at, 1e-9)

    def mean(self, histogram: str, **labels: str) -> float | None:
        """The mean of what a histogram observed since the earlier reading; None if it observed nothing."""
        count, total = self.count(f"{histogram}_count", **labels), self.count(f"{histogram}_sum", **labels)
        return total / count if count and total is not None else None

    def quantile(self, fraction: float, histogram: str, **labels: str) -> float | None:
        """As PromQL's histogram_quantile: linear inside a bucket, and never above the last finite bound."""
        bounds = sorted(float(each["le"]) for each in self._now.exposition.groups(f"{histogram}_bucket", "le"))
        names = {float(each["le"]): each["le"] for each in self._now.exposition.groups(f"{histogram}_bucket", "le")}
        total = self.count(f"{histogram}_count", **labels)
        if not total:
            return None
        low, below = 0.0, 0.0
        for bound in bounds:
            up_to = self.count(f"{histogram}_bucket", le=names[bound], **labels) or 0.0
            if up_to >= fraction * total and up_to > below:
                if math.isinf(bound):
                    return low
                return low + (bound - low) * (fraction * total - below) / (up_to - below)
            low, below = (low if math.isinf(bound) else bound), up_to
        return low


def _method(this: Exposition, change: _Change, labels: dict[str, str]) -> MethodFigures:
    codes = {each["grpc_code"] for each in this.groups("grpc_server_handled_total", "grpc_code")} - {"OK"}
    rates = {code: change.rate("grpc_server_handled_total", grpc_code=code, **labels) for code in sorted(codes)}
    seconds = "grpc_server_handling_seconds"
    calls = change.rate("grpc_server_handled_total", **labels)
    return MethodFigures(
        service=labels["grpc_service"],
        method=labels["grpc_method"],
        calls_per_second=calls,
        failed_per_second=None if calls is None else {code: rate for code, rate in rates.items() if rate},
        p50_seconds=change.quantile(0.5, seconds, **labels),
        p99_seconds=change.quantile(0.99, seconds, **labels),
    )


def _graph(this: Exposition, change: _Change, labels: dict[str, str]) -> GraphFigures:
    return GraphFigures(
        **labels,
        up=bool(this.sum("vae_executor_up", **labels)),
        rows_per_second=change.rate("vae_rows_total", **labels),
        batch_rows=change.mean("vae_batch_rows", **labels),
        queue_rows=int(this.sum("vae_queue_rows", **labels)),
        inflight_rows=int(this.sum("vae_inflight_rows", **labels)),
        queue_p99_seconds=change.quantile(0.99, "vae_queue_seconds", **labels),
        run_p50_seconds=change.quantile(0.5, "vae_inference_seconds", **labels),
        refused_per_second=change.rate("vae_rejected_total", **labels),
    )


def _key(labels: dict[str, str]) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())
