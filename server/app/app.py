"""The composition root: builds every part from the settings, runs them, and takes them down in order."""

import asyncio
import gc
import os
import secrets
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import structlog

from server.app.administration import Administration
from server.app.model_host import ModelHost
from server.app.security import Security
from server.core.batching.offload import Offload
from server.edge import reflection, servicer
from server.edge.boundary import Boundary
from server.edge.health import SERVICE as HEALTH_SERVICE
from server.edge.health import Health
from server.edge.inference_v2 import servicer as inference
from server.edge.inference_v2.servicer import InferenceServicer
from server.edge.inference_v2.statistics import Statistics
from server.edge.methods import MethodTable, table
from server.edge.servicer import VaeServicer
from server.edge.status import Code
from server.edge.transports.grpcio import GrpcioTransport
from server.edge.transports.transport import MakeTransport
from server.edge.wire import MAX_SEED
from server.engine.engine import DeviceUnavailable
from server.errors import ArtifactError, StartFailed
from server.process import signals
from server.process.handover import Worker
from server.process.signals import SubscribeToSignals
from server.process.worker_channel import WorkerEndpoint
from server.settings import Settings, cores
from server.telemetry.access import AccessLog
from server.telemetry.calls import Calls
from server.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from server.telemetry.traces import Traces

QUIET_SECONDS, QUIET_AT_MOST = 0.1, 2.0  # nobody called for so long; how long to hope for that
LAST_WORDS_SECONDS = 1.0  # for answers that are written but not yet sent when the server stops
OFFLOAD_THREADS = 2  # they only hold the interpreter between numpy's and zlib's long calls


async def serve(
    settings: Settings,
    log: structlog.typing.FilteringBoundLogger,
    *,
    make_transport: MakeTransport = GrpcioTransport,
    subscribe_to_signals: SubscribeToSignals = signals.subscribe_by_loop,
    worker: Worker | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, then drain; the process's exit code. Raises StartFailed.

    A worker shares the port that its supervisor names, and its supervisor asks it for its metrics.
    """
    started = time.monotonic()
    channel = WorkerEndpoint(worker.channel) if worker else None
    app = App(settings, log, make_transport=make_transport, worker=worker, channel=channel)
    await app.start()
    stop = asyncio.Event()
    subscribe_to_signals(partial(_on_signal, app, stop, log))
    app.when_broken(stop.set)
    seconds = round(time.monotonic() - started, 3)
    if channel:
        log.info("worker ready", seconds=seconds)
        channel.tell_ready()
    else:
        log.info("ready", host=settings.host, port=app.port, metrics_port=app.metrics_port, seconds=seconds)
    await stop.wait()
    await app.drain()
    return 1 if app.broken else 0


def _on_signal(
    app: "App", stop: asyncio.Event, log: structlog.typing.FilteringBoundLogger, number: signal.Signals
) -> None:
    if number == signals.RELOADING:
        app.reload()
        return
    if stop.is_set():
        # The second signal: whoever sends it does not want to wait.
        log.warning("exit now", signal=number.name)
        signals.die_of(number)
    log.info("draining", signal=number.name)
    stop.set()


class App:
    """All parts of one server process."""

    def __init__(
        self,
        settings: Settings,
        log: structlog.typing.FilteringBoundLogger,
        *,
        make_transport: MakeTransport,
        worker: Worker | None,
        channel: WorkerEndpoint | None,
    ) -> None:
        self.port = worker.port if worker else settings.port
        self.metrics_port = 0
        self.broken = False
        self._settings = settings
        self._log = log
        self._make_transport = make_transport
        self._channel = channel
        self._metrics = Metrics()
        self._health = Health()
        self._statistics = Statistics()
        self._on_broken: Callable[[], None] = lambda: None
        self._stop_metrics: Callable[[], None] = lambda: None
        share = worker.cores if worker else cores()
        loop = self._loop = asyncio.get_running_loop()
        self._offload = Offload(threads=min(OFFLOAD_THREADS, share), deliver=loop.call_soon_threadsafe)
        self._model_host = ModelHost(
            settings, self._metrics, self._statistics, self._health, log, cores=share, on_death=self._break
        )
        self._admin = Administration(
            settings.admin_socket,
            self._model_host.catalog,
            self._metrics,
            rescan=self._model_host.rescan,
            complaint=lambda: self._model_host.complaint,
            report_internal=self._report_internal,
            worker=worker,
        )

    async def start(self) -> None:
        """Load every model, then listen. Raises StartFailed."""
        settings = self._settings
        access_log = AccessLog(self._log, rate=settings.access_log)
        self._calls = Calls(self._metrics, access_log, _traces() if settings.traces == "on" else None)
        self._expose_metrics()
        self._security = Security(settings, metrics=self._metrics.security, log=self._log)
        try:
            self._model_host.load()
        except (ArtifactError, DeviceUnavailable) as error:
            raise StartFailed(str(error)) from error
        methods = self._methods()
        for method in methods.values():
            self._metrics.expect_calls(method.rpc, codes=[code.name for code in Code])
        boundary = self._boundary = Boundary(
            max_seconds=settings.max_seconds,
            observe=self._calls.observe,
            report_internal=self._report_internal,
            begin_trace=self._calls.begin_trace,
            authenticator=self._security.authenticator,
        )
        # What is there now stays: the garbage collector need not walk it again and again, with all callers waiting.
        gc.collect()
        gc.freeze()
        self._transport = self._make_transport(
            methods,
            boundary,
            max_request_bytes=self._model_host.max_request_bytes(),
            connections=self._security.connections,
        )
        try:
            self.port = await self._transport.start(settings.host, self.port)
        except OSError as error:
            raise StartFailed(f"--port: {error}") from error
        await self._admin.start()
        self._security.watch()
        for service in ("", servicer.SERVICE, inference.SERVICE):
            self._health.set(service, serving=True, probe=self._model_host.readiness.ask)
        self._model_host.watch()

    def reload(self) -> None:
        """Look at the folder of models now."""
        self._log.info("reloading")
        self._model_host.rescan()

    def when_broken(self, callback: Callable[[], None]) -> None:
        """Call back if an executor dies: the process cannot keep its promises and should be restarted."""
        self._on_broken = callback

    async def drain(self) -> None:
        """Say NOT_SERVING, go on for the drain delay, finish what was accepted, stop."""
        self._health.stop_serving()
        self._model_host.stop()
        await self._admin.stop()
        if not self.broken:
            await asyncio.sleep(self._settings.drain_delay)
        self._boundary.drain()
        await self._until_quiet()
        self._health.close()
        self._security.close()
        await self._transport.stop(seconds=LAST_WORDS_SECONDS)
        self._model_host.close()
        self._offload.close()
        await asyncio.to_thread(self._calls.close)
        self._stop_metrics()
        self._log.info("stopped")

    async def _until_quiet(self) -> None:
        """Wait until every accepted call is answered and, for a moment, nobody has called.

        Calls that have reached this machine but not yet this code would be cut by closing the port; here they are told
        UNAVAILABLE, which clients retry elsewhere.
        """
        end = self._loop.time() + self._settings.drain_seconds
        calls, quiet_by = -1, self._loop.time() + QUIET_AT_MOST
        while self._boundary.open_calls or (self._boundary.calls != calls and self._loop.time() < quiet_by):
            if self._loop.time() >= end:
                self._log.warning(
                    "calls cut", open_calls=self._boundary.open_calls, seconds=self._settings.drain_seconds
                )
                return
            calls = self._boundary.calls
            await asyncio.sleep(QUIET_SECONDS)

    def _expose_metrics(self) -> None:
        if self._channel:
            self._channel.answer(self._metrics.reading)
            return
        host, port = self._settings.metrics_host, self._settings.metrics_port
        try:
            self.metrics_port, self._stop_metrics = self._metrics.serve(host, port)
        except OSError as error:
            raise StartFailed(f"--metrics-port: cannot listen on {host}:{port}: {error.strerror}") from error

    def _methods(self) -> MethodTable:
        models = self._model_host.catalog
        max_rows = self._settings.max_request_rows
        scored = self._metrics.scored
        native = VaeServicer(models, offload=self._offload, max_rows=max_rows, pick_seed=_pick_seed, observe=scored)
        foreign = InferenceServicer(
            models,
            offload=self._offload,
            max_rows=max_rows,
            pick_seed=_pick_seed,
            ready=lambda: self._health.serving,
            statistics=self._statistics,
            observe=scored,
        )
        methods = (*native.methods(), *foreign.methods(), *self._health.methods())
        if self._settings.reflects:
            methods += reflection.methods([servicer.SERVICE, inference.SERVICE, HEALTH_SERVICE])
        return table(*methods)

    def _report_internal(self, error: BaseException, *, error_id: str, method: str, trace_id: str) -> None:
        known = {"trace_id": trace_id} if trace_id else {}
        self._log.error("internal error", error_id=error_id, method=method, exc_info=error, **known)

    def _break(self) -> None:
        self.broken = True
        self._health.stop_serving()
        self._on_broken()


def _pick_seed() -> int:
    return secrets.randbelow(MAX_SEED + 1)


def _traces() -> "Traces":
    try:
        from server.telemetry import traces
    except ModuleNotFoundError as error:
        raise StartFailed(f"--traces on needs the extra otel: pip install 'vaeserve[otel]' ({error})") from error
    return traces.exporting(os.environ)
