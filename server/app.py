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

from server import signals
from server.core.aside import Aside
from server.core.batcher import Batcher
from server.core.events import Event, ExecutorDied, GraphFailed
from server.core.model import Entry, Execution
from server.core.scheduler import Scheduler
from server.edge import reflection, servicer
from server.edge.boundary import Boundary
from server.edge.health import SERVICE as HEALTH_SERVICE
from server.edge.health import Health
from server.edge.methods import MethodTable, table
from server.edge.servicer import VaeServicer
from server.edge.status import Code
from server.edge.transports.grpcio import GrpcioTransport
from server.edge.transports.transport import MakeTransport
from server.edge.wire import MAX_SEED
from server.errors import ArtifactError, StartFailed
from server.runtime import catalog, signature
from server.runtime.catalog import Catalog, Plan
from server.runtime.choice import Given
from server.runtime.engine import DeviceUnavailable
from server.runtime.graph import LoadedGraph
from server.runtime.remembered import Remembered
from server.security import Security
from server.settings import Settings, cores
from server.signals import TellSignals
from server.telemetry.access import AccessLog
from server.telemetry.calls import Calls
from server.telemetry.metrics import Metrics
from server.workers.line import WorkerEnd
from server.workers.worker import Worker

if TYPE_CHECKING:
    from server.telemetry.traces import Traces

QUIET_SECONDS, QUIET_AT_MOST = 0.1, 2.0  # nobody called for so long; how long to hope for that
LAST_WORDS_SECONDS = 1.0  # for answers that are written but not yet sent when the server stops
ASIDE_THREADS = 2  # they only hold the interpreter between numpy's and zlib's long calls
REQUEST_OVERHEAD_BYTES = 1 << 16  # everything in a request that is not rows


async def serve(
    settings: Settings,
    log: structlog.typing.FilteringBoundLogger,
    *,
    make_transport: MakeTransport = GrpcioTransport,
    tell_signals: TellSignals = signals.tell_by_loop,
    worker: Worker | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, then drain; the process's exit code. Raises StartFailed.

    A worker shares the port that its supervisor names, and its supervisor asks it for its metrics.
    """
    started = time.monotonic()
    line = WorkerEnd(worker.line) if worker else None
    app = App(settings, log, make_transport=make_transport, worker=worker, line=line)
    await app.start()
    stop = asyncio.Event()
    tell_signals(partial(_on_signal, stop, log))
    app.when_broken(stop.set)
    seconds = round(time.monotonic() - started, 3)
    if line:
        log.info("worker ready", seconds=seconds)
        line.tell_ready()
    else:
        log.info("ready", host=settings.host, port=app.port, metrics_port=app.metrics_port, seconds=seconds)
    await stop.wait()
    await app.drain()
    return 1 if app.broken else 0


def _on_signal(stop: asyncio.Event, log: structlog.typing.FilteringBoundLogger, number: signal.Signals) -> None:
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
        line: WorkerEnd | None,
    ) -> None:
        self.port = worker.port if worker else settings.port
        self.metrics_port = 0
        self.broken = False
        self._settings = settings
        self._log = log
        self._make_transport = make_transport
        self._cores = worker.cores if worker else cores()
        self._line = line
        self._metrics = Metrics()
        self._health = Health()
        self._aside = Aside(
            threads=min(ASIDE_THREADS, self._cores), deliver=asyncio.get_running_loop().call_soon_threadsafe
        )
        self._on_broken: Callable[[], None] = lambda: None
        self._stop_metrics: Callable[[], None] = lambda: None
        self._loop = asyncio.get_running_loop()

    async def start(self) -> None:
        """Load every model, then listen. Raises StartFailed."""
        settings = self._settings
        access_log = AccessLog(self._log, rate=settings.access_log)
        self._calls = Calls(self._metrics, access_log, _traces() if settings.traces == "on" else None)
        self._expose_metrics()
        self._security = Security(settings, metrics=self._metrics.security, log=self._log)
        try:
            self._catalog = self._load()
        except (ArtifactError, DeviceUnavailable) as error:
            raise StartFailed(str(error)) from error
        methods = self._methods(self._catalog)
        for method in methods.values():
            self._metrics.expect_calls(method.rpc, codes=[code.name for code in Code])
        boundary = self._boundary = Boundary(
            max_seconds=settings.max_seconds,
            observe=self._calls.observe,
            report_internal=self._report_internal,
            begin_trace=self._calls.begin_trace,
            door=self._security.door,
        )
        # What is there now stays: the garbage collector need not walk it again and again, with all callers waiting.
        gc.collect()
        gc.freeze()
        self._transport = self._make_transport(
            methods,
            boundary,
            max_request_bytes=self._max_request_bytes(),
            connections=self._security.connections,
        )
        try:
            self.port = await self._transport.start(settings.host, self.port)
        except OSError as error:
            raise StartFailed(f"--port: {error}") from error
        self._security.watch()
        for service in ("", servicer.SERVICE):
            self._health.set(service, serving=True)

    def when_broken(self, callback: Callable[[], None]) -> None:
        """Call back if an executor dies: the process cannot keep its promises and should be restarted."""
        self._on_broken = callback

    async def drain(self) -> None:
        """Say NOT_SERVING, go on for the drain delay, finish what was accepted, stop."""
        self._health.stop_serving()
        if not self.broken:
            await asyncio.sleep(self._settings.drain_delay)
        self._boundary.drain()
        await self._until_quiet()
        self._health.close()
        self._security.close()
        await self._transport.stop(seconds=LAST_WORDS_SECONDS)
        self._catalog.close()
        self._aside.close()
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
        if self._line:
            self._line.answer(self._metrics.reading)
            return
        host, port = self._settings.metrics_host, self._settings.metrics_port
        try:
            self.metrics_port, self._stop_metrics = self._metrics.serve(host, port)
        except OSError as error:
            raise StartFailed(f"--metrics-port: cannot listen on {host}:{port}: {error.strerror}") from error

    def _load(self) -> Catalog:
        settings = self._settings
        return catalog.load(
            settings.models,
            default_model=settings.default_model,
            plan=Plan(
                device=settings.device,
                given=Given(settings.max_batch_rows, settings.executors, settings.threads),
                cores=self._cores,
                remembered=Remembered(settings.calibration_folder, tell=self._report_not_remembered),
                cuda_graphs=settings.cuda_graphs == "on",
                check_signature=signature.of(settings.model_signature_key),
            ),
            make_batcher=self._make_batcher,
            report=self._report_model,
        )

    def _make_batcher(self, graph: LoadedGraph, execution: Execution, model: str, version: str, name: str) -> Batcher:
        measure = self._metrics.batches(model=model, version=version, graph=name, padding=graph.padding)

        def observe(event: Event) -> None:
            measure(event)
            if isinstance(event, GraphFailed):
                self._log.warning(
                    "graph failed", model=model, version=version, graph=name, rows=event.rows, error=repr(event.error)
                )
            elif isinstance(event, ExecutorDied):
                self._log.error("executor died", model=model, version=version, graph=name, exc_info=event.error)
                self._loop.call_soon_threadsafe(self._break)

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
            deliver=self._loop.call_soon_threadsafe,
            soon=self._loop.call_soon,
        )
        self._metrics.watch_queue(batcher, model=model, version=version, graph=name)
        return batcher

    def _methods(self, models: Catalog) -> MethodTable:
        service = VaeServicer(
            models,
            aside=self._aside,
            max_rows=self._settings.max_request_rows,
            pick_seed=lambda: secrets.randbelow(MAX_SEED + 1),
            observe=self._metrics.scored,
        )
        methods = (*service.methods(), *self._health.methods())
        if self._settings.reflects:
            methods += reflection.methods([servicer.SERVICE, HEALTH_SERVICE])
        return table(*methods)

    def _max_request_bytes(self) -> int:
        """The largest message that a valid request can be, over all models."""
        specs = [entry.model.spec for entry in self._catalog.entries() if entry.model]
        row_bytes = max(4 * max(spec.item_size, spec.latent_size) for spec in specs)
        return self._settings.max_request_rows * row_bytes + REQUEST_OVERHEAD_BYTES

    def _report_model(self, entry: Entry) -> None:
        self._metrics.model(entry)
        if entry.model is None:
            self._log.error("model refused", model=entry.name, version=entry.version, reason=entry.reason)
            return
        graphs = {
            name: f"{g.provider} {g.max_batch_rows} rows x {g.executors} executors + {g.helpers} helpers"
            f" x {g.threads} threads, {_rate(g)}"
            for name, g in entry.model.graphs.items()
        }
        self._log.info(
            "model ready", model=entry.name, version=entry.version, digest=entry.model.spec.digest[:12], **graphs
        )

    def _report_not_remembered(self, reason: str) -> None:
        self._log.info("calibration not kept", reason=reason)

    def _report_internal(self, error: BaseException, *, error_id: str, method: str, trace_id: str) -> None:
        known = {"trace_id": trace_id} if trace_id else {}
        self._log.error("internal error", error_id=error_id, method=method, exc_info=error, **known)

    def _break(self) -> None:
        self.broken = True
        self._health.stop_serving()
        self._on_broken()


def _traces() -> "Traces":
    try:
        from server.telemetry import traces
    except ModuleNotFoundError as error:
        raise StartFailed(f"--traces on needs the extra otel: pip install 'vaeserve[otel]' ({error})") from error
    return traces.exporting(os.environ)


def _rate(execution: Execution) -> str:
    rate = execution.rows_per_second
    return execution.source if rate is None else f"{rate:.0f} rows/s {execution.source}"
