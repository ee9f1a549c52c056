"""Runs the server from start to exit: builds the app, waits for a signal or a dead executor, drains."""

import asyncio
import signal
import time
from functools import partial

from server.app.app import App
from server.edge.transports.grpcio import GrpcioTransport
from server.edge.transports.transport import MakeTransport
from server.process import signals
from server.process.exit_codes import BROKEN, DRAINED
from server.process.handover import Worker
from server.process.signals import SubscribeToSignals
from server.process.worker_channel import WorkerEndpoint
from server.settings import Settings
from server.telemetry.logs import Log


async def serve(
    settings: Settings,
    log: Log,
    *,
    make_transport: MakeTransport = GrpcioTransport,
    subscribe_to_signals: SubscribeToSignals = signals.subscribe_by_loop,
    worker: Worker | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, or until an executor dies; then drain and return the exit code.

    A `worker` listens on the port that its supervisor reserved, and reports its metrics to the supervisor.
    Raises StartFailed.
    """
    started = time.monotonic()
    channel = WorkerEndpoint(worker.channel) if worker else None
    stop, executor_died = asyncio.Event(), asyncio.Event()
    app = await App.start(
        settings, log, executor_died=executor_died, make_transport=make_transport, worker=worker, channel=channel
    )
    subscribe_to_signals(partial(_on_signal, app, stop, log))
    seconds = round(time.monotonic() - started, 3)
    if channel:
        log.info("worker ready", seconds=seconds)
        channel.tell_ready()
    else:
        log.info("ready", host=settings.host, port=app.port, metrics_port=app.metrics_port, seconds=seconds)
    await _first(stop, executor_died)
    # Without one of its executors the server cannot keep its promises: do not go on serving for the drain delay.
    await app.drain(delay=0.0 if executor_died.is_set() else settings.drain_delay)
    return BROKEN if executor_died.is_set() else DRAINED


async def _first(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def _on_signal(app: App, stop: asyncio.Event, log: Log, number: signal.Signals) -> None:
    if number == signals.RELOADING:
        app.reload()
        return
    if stop.is_set():
        # The second signal asks to stop without waiting for the drain.
        log.warning("exit now", signal=number.name)
        signals.die_of(number)
    log.info("draining", signal=number.name)
    stop.set()
