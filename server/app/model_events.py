"""Passes what happens to model versions (ready, refused, unloaded, routed) on to metrics, log and health."""

from collections.abc import Callable
from functools import partial

from server.catalog.routing import Route
from server.core.batching.ticket import Ticket
from server.core.model import Entry, Execution
from server.edge import servicer
from server.edge.health import Health
from server.errors import ArtifactError
from server.telemetry.logs import Log
from server.telemetry.metrics import Metrics


class ModelEvents:
    """An implementation of catalog.rollout.Observer."""

    def __init__(
        self,
        metrics: Metrics,
        health: Health,
        log: Log,
        *,
        ask: Callable[[str], Ticket[bool]],
        on_ready: Callable[[Entry], object],
    ) -> None:
        """`ask` finds out whether a model answers; `on_ready` is called with every version that was loaded."""
        self._metrics = metrics
        self._health = health
        self._log = log
        self._ask = ask
        self._on_ready = on_ready

    def ready(self, entry: Entry) -> None:
        assert entry.model is not None
        self._metrics.loaded(entry)
        graphs = {
            name: f"{g.provider} {g.max_batch_rows} rows x {g.executors} executors + {g.helpers} helpers"
            f" x {g.threads} threads, {_rate(g)}"
            for name, g in entry.model.graphs.items()
        }
        self._log.info(
            "model ready", model=entry.name, version=entry.version, digest=entry.model.spec.digest[:12], **graphs
        )
        self._on_ready(entry)

    def refused(self, entry: Entry, *, error: Exception) -> None:
        self._metrics.refused(entry)
        unknown = None if isinstance(error, ArtifactError | OSError) else error
        self._log.error("model refused", model=entry.name, version=entry.version, reason=entry.reason, exc_info=unknown)

    def unloaded(self, name: str, version: str) -> None:
        self._metrics.forget(name, version)
        self._log.info("model unloaded", model=name, version=version)

    def forgotten(self, name: str, version: str) -> None:
        self._metrics.forget(name, version)

    def routed(self, name: str, route: Route | None) -> None:
        service = f"{servicer.SERVICE}/{name}"
        if route is None:
            self._health.remove(service)
            return
        self._health.set(service, serving=bool(route.stable), probe=partial(self._ask, name))
        if route != Route():
            self._log.info("model routed", model=name, stable=route.stable, canary=route.canary, weight=route.weight)

    def complaint(self, reason: str) -> None:
        self._log.error("models not followed", reason=reason)


def _rate(execution: Execution) -> str:
    rate = execution.rows_per_second
    return execution.source if rate is None else f"{rate:.0f} rows/s {execution.source}"
