"""The composition root: builds every part from the settings, connects them, and stops them in order."""

import asyncio
import gc
import os
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

from server.app.administration import Administration
from server.app.model_host import ModelHost
from server.app.security import Security
from server.core.batching.offload import Offload
from server.core.model import Models
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
from server.edge.transports.transport import MakeTransport
from server.edge.wire import MAX_SEED
from server.engine.engine import DeviceUnavailable
from server.errors import ArtifactError, StartFailed
from server.process.handover import Worker
from server.process.worker_channel import WorkerEndpoint
from server.settings import Settings, cores
from server.telemetry.access import AccessLog
from server.telemetry.calls import Calls
from server.telemetry.logs import Log
from server.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from server.telemetry.traces import Traces

QUIET_SECONDS = 0.1  # seconds without a new call before shutdown
QUIET_AT_MOST = 2.0  # upper bound on that wait, in seconds
LAST_WORDS_SECONDS = 1.0  # for the transport to send answers that are already written
OFFLOAD_THREADS = 2  # numpy and zlib release the interpreter lock during their long calls


class App:
    """A server process that listens, with all its parts built and connected."""

    def __init__(
        self,
        *,
        port: int,
        metrics_port: int,
        log: Log,
        drain_seconds: float,
        health: Health,
        model_host: ModelHost,
        admin: Administration,
        boundary: Boundary,
        teardown: AsyncExitStack,
    ) -> None:
        """`teardown` stops the parts that accept and answer calls, last built first."""
        self.port = port
        self.metrics_port = metrics_port
        self._log = log
        self._drain_seconds = drain_seconds
        self._health = health
        self._model_host = model_host
        self._admin = admin
        self._boundary = boundary
        self._teardown = teardown

    @staticmethod
    async def start(
        settings: Settings,
        log: Log,
        *,
        executor_died: asyncio.Event,
        make_transport: MakeTransport,
        worker: Worker | None = None,
        channel: WorkerEndpoint | None = None,
    ) -> "App":
        """Build every part, load every model, then listen. Raises StartFailed, after stopping every part it built.

        `executor_died` is set when an executor dies. Its graph may have no executor left: the process should be
        restarted.
        """
        loop = asyncio.get_running_loop()
        share = worker.cores if worker else cores()
        metrics, health, statistics = Metrics(), Health(), Statistics()
        report_internal = partial(_report_internal, log)
        async with AsyncExitStack() as teardown:
            access_log = AccessLog(log, rate=settings.access_log)
            calls = Calls(metrics, access_log, _traces() if settings.traces == "on" else None)
            metrics_port, stop_metrics = _expose(metrics, settings, channel)
            teardown.callback(stop_metrics)
            teardown.push_async_callback(asyncio.to_thread, calls.close)
            security = Security(settings, metrics=metrics.security, log=log)
            offload = Offload(threads=min(OFFLOAD_THREADS, share), deliver=loop.call_soon_threadsafe)
            teardown.callback(offload.close)
            model_host = ModelHost(settings, metrics, statistics, health, log, cores=share, executor_died=executor_died)
            teardown.callback(model_host.close)
            try:
                model_host.load()
            except (ArtifactError, DeviceUnavailable) as error:
                raise StartFailed(str(error)) from error
            methods = _methods(
                settings, model_host.catalog, offload, metrics=metrics, health=health, statistics=statistics
            )
            boundary = Boundary(
                max_seconds=settings.max_seconds,
                observe=calls.observe,
                report_internal=report_internal,
                begin_trace=calls.begin_trace,
                authenticator=security.authenticator,
            )
            admin = Administration(
                settings.admin_socket,
                model_host.catalog,
                metrics,
                rescan=model_host.rescan,
                complaint=lambda: model_host.complaint,
                report_internal=report_internal,
                worker=worker,
            )
            # Everything built so far lives as long as the process. Freezing it spares the garbage collector from
            # walking it again and again, which would delay all calls.
            gc.collect()
            gc.freeze()
            max_bytes = model_host.max_request_bytes()
            transport = make_transport(methods, boundary, max_request_bytes=max_bytes, connections=security.connections)
            try:
                port = await transport.start(settings.host, worker.port if worker else settings.port)
            except OSError as error:
                raise StartFailed(f"--port: {error}") from error
            teardown.push_async_callback(transport.stop, seconds=LAST_WORDS_SECONDS)
            teardown.callback(security.close)
            teardown.callback(health.close)
            await admin.start()
            security.watch()
            for service in ("", servicer.SERVICE, inference.SERVICE):
                health.set(service, serving=True, probe=model_host.readiness.ask)
            model_host.watch()
            return App(
                port=port,
                metrics_port=metrics_port,
                log=log,
                drain_seconds=settings.drain_seconds,
                health=health,
                model_host=model_host,
                admin=admin,
                boundary=boundary,
                teardown=teardown.pop_all(),
            )

    def reload(self) -> None:
        """Scan the models' folder now."""
        self._log.info("reloading")
        self._model_host.rescan()

    async def drain(self, *, delay: float) -> None:
        """Report NOT_SERVING, serve for `delay` seconds more, finish accepted calls, then stop."""
        self._health.stop_serving()
        self._model_host.stop()
        await self._admin.stop()
        await asyncio.sleep(delay)
        self._boundary.drain()
        await self._until_quiet()
        await self._teardown.aclose()
        self._log.info("stopped")

    async def _until_quiet(self) -> None:
        """Wait until every accepted call is answered and no call has come for a moment.

        Closing the port would cut calls that have reached this machine but not yet this code. Until then they get
        UNAVAILABLE, and clients retry at another replica.
        """
        loop, boundary = asyncio.get_running_loop(), self._boundary
        end = loop.time() + self._drain_seconds
        calls, quiet_by = -1, loop.time() + QUIET_AT_MOST
        while boundary.open_calls or (boundary.calls != calls and loop.time() < quiet_by):
            if loop.time() >= end:
                self._log.warning("calls cut", open_calls=boundary.open_calls, seconds=self._drain_seconds)
                return
            calls = boundary.calls
            await asyncio.sleep(QUIET_SECONDS)


def _expose(metrics: Metrics, settings: Settings, channel: WorkerEndpoint | None) -> tuple[int, Callable[[], None]]:
    """Expose the metrics: over HTTP, or through the supervisor's channel.

    Returns the HTTP port, 0 if there is none, and a function that stops it. Raises StartFailed.
    """
    if channel:
        channel.answer(metrics.reading)
        return 0, lambda: None
    host, port = settings.metrics_host, settings.metrics_port
    try:
        return metrics.serve(host, port)
    except OSError as error:
        raise StartFailed(f"--metrics-port: cannot listen on {host}:{port}: {error.strerror}") from error


def _methods(
    settings: Settings, models: Models, offload: Offload, *, metrics: Metrics, health: Health, statistics: Statistics
) -> MethodTable:
    native = VaeServicer(
        models, offload=offload, max_rows=settings.max_request_rows, pick_seed=_pick_seed, observe=metrics.scored
    )
    foreign = InferenceServicer(
        models,
        offload=offload,
        max_rows=settings.max_request_rows,
        pick_seed=_pick_seed,
        ready=lambda: health.serving,
        statistics=statistics,
        observe=metrics.scored,
    )
    methods = (*native.methods(), *foreign.methods(), *health.methods())
    if settings.reflects:
        methods += reflection.methods([servicer.SERVICE, inference.SERVICE, HEALTH_SERVICE])
    for method in methods:
        metrics.expect_calls(method.rpc, codes=[code.name for code in Code])
    return table(*methods)


def _report_internal(log: Log, error: BaseException, *, error_id: str, method: str, trace_id: str) -> None:
    known = {"trace_id": trace_id} if trace_id else {}
    log.error("internal error", error_id=error_id, method=method, exc_info=error, **known)


def _pick_seed() -> int:
    return secrets.randbelow(MAX_SEED + 1)


def _traces() -> "Traces":
    try:
        from server.telemetry import traces
    except ModuleNotFoundError as error:
        raise StartFailed(f"--traces on needs the extra otel: pip install 'vaeserve[otel]' ({error})") from error
    return traces.exporting(os.environ)
