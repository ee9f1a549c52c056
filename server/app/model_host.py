"""Hosts the model versions of a server: loads them at the start, then follows the changes of the models' folder."""

import asyncio
from functools import partial

from server.app.batchers import BatcherFactory
from server.app.model_events import ModelEvents
from server.app.readiness import Readiness
from server.catalog import signature
from server.catalog.catalog import Catalog
from server.catalog.loader import Plan
from server.catalog.rollout import Rollout
from server.core.batching.offload import Offload
from server.core.batching.ticket import Ticket, drive
from server.core.model import Entry
from server.core.spec import Spec
from server.edge.health import Health
from server.edge.inference_v2.statistics import Statistics
from server.engine.autotune.cache import CalibrationCache
from server.engine.autotune.choose import ExecutionOverrides
from server.errors import Unavailable
from server.settings import Settings
from server.telemetry.logs import Log
from server.telemetry.metrics import Metrics

REQUEST_OVERHEAD_BYTES = 1 << 16  # everything in a request that is not rows
LEAST_WAIT_SECONDS = 0.05  # from one round to the next; a round scans the folder and applies its changes


class ModelHost:
    """The catalog of loaded versions, and what keeps it up to date.

    Lives on one event loop. It scans, loads and unloads on a separate thread.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        statistics: Statistics,
        health: Health,
        log: Log,
        *,
        cores: int,
        executor_died: asyncio.Event,
    ) -> None:
        """`executor_died` is set when an executor dies. Raises StartFailed."""
        loop = self._loop = asyncio.get_running_loop()
        self.catalog = Catalog()
        self.readiness = Readiness(self.catalog, later=loop.call_later)
        self._settings = settings
        self._log = log
        self._carried_bytes = 0  # the largest message that the transport takes; 0: there is no transport yet
        self._offload = Offload(threads=1, deliver=loop.call_soon_threadsafe)
        make_batcher = BatcherFactory(
            settings,
            metrics,
            statistics,
            log,
            deliver=loop.call_soon_threadsafe,
            soon=loop.call_soon,
            executor_died=executor_died,
        )
        self._rollout = Rollout(
            settings.models,
            self.catalog,
            default_model=settings.default_model,
            window=settings.rollback_seconds,
            plan=Plan(
                device=settings.device,
                overrides=ExecutionOverrides(settings.max_batch_rows, settings.executors, settings.threads),
                cores=cores,
                cache=CalibrationCache(settings.calibration_folder, tell=self._not_cached),
                cuda_graphs=settings.cuda_graphs == "on",
                check_signature=signature.of(settings.model_signature_key),
            ),
            make_batcher=make_batcher,
            run=self._offload.run,
            observer=ModelEvents(metrics, health, log, ask=self.readiness.ask, on_ready=self._check_size),
        )
        self._timer: asyncio.TimerHandle | None = None
        self._busy = self._closed = False
        self._asked: list[Ticket[None]] = []

    def load(self) -> None:
        """Load every model, before calls are accepted. Raises ArtifactError or DeviceUnavailable."""
        self._rollout.start()

    def watch(self) -> None:
        """Follow the folder from now on."""
        self._wait()

    def rescan(self) -> Ticket[None]:
        """Scan the folder now. The ticket settles when the catalog matches it, or with Unavailable during shutdown."""
        asked: Ticket[None] = Ticket()
        if self._closed:
            asked.fail(Unavailable("the server is shutting down"))
            return asked
        self._asked.append(asked)
        if not self._busy:
            self._begin()
        return asked

    @property
    def complaint(self) -> str:
        """What is wrong with the folder or its models.toml; empty if both are fine."""
        return self._rollout.complaint

    def max_request_bytes(self) -> int:
        """The transport's limit for a request: that of the settings, or the largest valid one of the loaded models."""
        needed = max(self._request_bytes(entry.model.spec) for entry in self.catalog.entries() if entry.model)
        self._carried_bytes = self._settings.max_request_mib << 20 or needed
        return self._carried_bytes

    def stop(self) -> None:
        """Stop following the folder."""
        self._closed = True
        if self._timer:
            self._timer.cancel()

    def close(self) -> None:
        """Close every version: its batchers finish the accepted rows and stop."""
        self._offload.close()
        for loaded in [slot.loaded for shelf in self.catalog.shelves.values() for slot in shelf.slots.values()]:
            if loaded:
                loaded.close()

    def _wait(self) -> None:
        """Schedule the next round: at the next scan, or when a version has to be unloaded, whichever comes first."""
        seconds = [self._settings.watch_seconds] if self._settings.watch_seconds else []
        if (idle_at := self._rollout.idle_at()) is not None:
            seconds.append(max(LEAST_WAIT_SECONDS, idle_at - self.catalog.clock()))
        if seconds and not self._closed:
            self._timer = self._loop.call_later(min(seconds), self._begin)

    def _begin(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._busy = True
        asked, self._asked = self._asked, []
        drive(self._round(forced=bool(asked))).add_done_callback(partial(self._end, asked))

    async def _round(self, *, forced: bool) -> None:
        if forced or self._settings.watch_seconds:
            scan = await self._offload.run(self._rollout.scan)
            await self._rollout.align(scan, forced=forced)
        else:
            await self._rollout.retire_idle()

    def _end(self, asked: list[Ticket[None]], ticket: Ticket[None]) -> None:
        self._busy = False
        try:
            ticket.outcome()
        except Exception as error:  # a bug must not end the watching
            if not self._closed:  # after close, a round fails because its thread is gone
                self._log.error("rescan failed", exc_info=error)
        for waiting in asked:
            waiting.succeed(None)
        if self._asked and not self._closed:
            self._begin()
        else:
            self._wait()

    def _request_bytes(self, spec: Spec) -> int:
        row_bytes = 4 * max(spec.item_size, spec.latent_size)
        return self._settings.max_request_rows * row_bytes + REQUEST_OVERHEAD_BYTES

    def _check_size(self, entry: Entry) -> None:
        assert entry.model is not None
        needed = self._request_bytes(entry.model.spec)
        if 0 < self._carried_bytes < needed:
            self._log.warning(
                "large requests are refused until a restart",
                model=entry.name,
                version=entry.version,
                max_bytes=self._carried_bytes,
                needed_bytes=needed,
            )

    def _not_cached(self, reason: str) -> None:
        self._log.info("calibration not kept", reason=reason)
