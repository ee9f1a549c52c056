"""The supervisor process: starts the workers, restarts those that die, and passes signals on to them.

It serves no calls itself. All workers listen on one port (SO_REUSEPORT), and the kernel gives each connection
to one of them.
"""

import asyncio
import itertools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from server.errors import StartFailed
from server.process import signals
from server.process.port_reservation import PortReservation
from server.process.worker_channel import SupervisorEndpoint, ask_all
from server.process.worker_process import WorkerProcess, how_it_ended
from server.settings import Settings, cores
from server.telemetry.logs import Log
from server.telemetry.supervision import SupervisionMetrics

ANSWER_SECONDS = 1.0  # for a worker's metrics; from a slower worker a scrape shows the last values

Serving: TypeAlias = "asyncio.Future[bool]"  # True once a worker serves for the first time, False if it ended before


async def supervise(settings: Settings, arguments: Sequence[str], log: Log) -> int:
    """Serve through workers until SIGTERM or SIGINT, let them drain, return the exit code. Raises StartFailed."""
    if sys.platform != "linux":
        raise StartFailed("--workers above 1 needs Linux")
    with PortReservation(settings.host, settings.port) as reservation:
        supervisor = Supervisor(settings, arguments, log, port=reservation.port)
        stop_metrics = supervisor.expose_metrics()
        try:
            return await supervisor.run()
        finally:
            stop_metrics()


class Supervisor:
    """Runs all workers of one server."""

    def __init__(
        self,
        settings: Settings,
        arguments: Sequence[str],
        log: Log,
        *,
        port: int,
    ) -> None:
        self.metrics_port = 0
        self._settings = settings
        self._arguments = arguments
        self._log = log
        self._port = port
        self._metrics = SupervisionMetrics(workers=settings.workers, ask=self._ask)
        self._names = itertools.count()  # names for metrics, a new one for every process that serves
        self._channels: dict[int, SupervisorEndpoint] = {}  # of processes that serve, by these names
        self._keeping: list[asyncio.Task[None]] = []  # one for each worker
        self._processes: set[WorkerProcess] = set()
        self._serving: set[WorkerProcess] = set()  # the processes that handle every signal
        self._codes: list[int] = []  # exit codes of workers that were asked to drain
        self._ready = False
        self._reloads = 0  # how many SIGHUPs came
        self._end: asyncio.Future[signal.Signals] = asyncio.get_running_loop().create_future()

    def expose_metrics(self) -> Callable[[], None]:
        """Serve the metrics of all workers over HTTP; return a function that stops it. Raises StartFailed."""
        host, port = self._settings.metrics_host, self._settings.metrics_port
        try:
            self.metrics_port, stop = self._metrics.serve(host, port)
        except OSError as error:
            raise StartFailed(f"--metrics-port: cannot listen on {host}:{port}: {error.strerror}") from error
        return stop

    async def run(self) -> int:
        """Run until the end; return 0 if all workers drained, 1 if one did not, 2 if one could not start."""
        started = time.monotonic()
        signals.subscribe_by_loop(self._on_signal)
        # The first worker starts alone: it calibrates the graphs, and the others find its results in the cache.
        all_serve = await self._begin(range(1)) and await self._begin(range(1, self._settings.workers))
        if self._end.done():
            # The exit code of a process that ends by this signal, as a single server does while it loads.
            return await self._give_up(128 + self._end.result())
        if not all_serve:
            return await self._give_up(2)
        self._ready = True
        self._log.info(
            "ready",
            host=self._settings.host,
            port=self._port,
            metrics_port=self.metrics_port,
            seconds=round(time.monotonic() - started, 3),
            workers=self._settings.workers,
        )
        await self._end
        await asyncio.gather(*self._keeping)
        self._log.info("stopped")
        return 1 if any(self._codes) else 0

    async def _begin(self, numbers: Iterable[int]) -> bool:
        """Start these workers; return whether all serve before one fails or a signal asks for the end."""
        for serving in [self._begin_one(number) for number in numbers]:
            waiting: tuple[asyncio.Future[Any], ...] = (serving, self._end)
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not serving.done() or not serving.result():
                return False
        return True

    def _begin_one(self, number: int) -> Serving:
        serving: Serving = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._keep(number, serving))
        task.add_done_callback(self._on_kept)
        self._keeping.append(task)
        return serving

    def _on_kept(self, task: "asyncio.Task[None]") -> None:
        # A bug must not leave a worker unwatched: the error ends this process, and with it its workers.
        if not task.cancelled() and (error := task.exception()) and not self._end.done():
            self._end.set_exception(error)

    async def _keep(self, number: int, serving: Serving) -> None:
        """Keep one worker running until a signal asks for the end."""
        backoff = Backoff()
        while True:
            started = time.monotonic()
            how = await self._live(number, serving)
            if self._end.done():
                return
            if not serving.done():
                if how != how_it_ended(2):  # with 2 the worker itself has logged why
                    self._log.error("cannot start", reason=f"worker {number}: {how}")
                serving.set_result(False)
                return
            wait = backoff.seconds(started=started, died=time.monotonic())
            self._log.error("worker died", worker=number, how=how, restart_seconds=wait)
            await asyncio.wait([self._end], timeout=wait)
            if self._end.done():
                return
            self._metrics.restarted()

    async def _live(self, number: int, serving: Serving) -> str:
        """Start a worker and follow it until it ends; return how it ended, in words."""
        share = max(1, cores() // self._settings.workers)
        try:
            process = await WorkerProcess.start(self._arguments, number=number, port=self._port, cores=share)
        except OSError as error:  # out of memory or processes, which may pass
            return f"not started: {os.strerror(error.errno or 0)}"
        self._processes.add(process)
        reloads = self._reloads
        if self._end.done():  # the signal came before the process was in self._processes
            process.send(signal.SIGKILL)
        if await process.until_ready():
            if not serving.done():
                serving.set_result(True)
            self._serving.add(process)
            if self._reloads != reloads:  # SIGHUP came while the worker loaded and ignored it
                process.send(signals.RELOADING)
            code = await self._while_it_serves(process)
            self._serving.remove(process)
            if self._ready and self._end.done():
                self._drained(number, code)
        else:
            code = await process.until_ended()
        self._processes.remove(process)
        return how_it_ended(code)

    async def _while_it_serves(self, process: WorkerProcess) -> int:
        name = next(self._names)
        self._channels[name] = process.channel
        self._metrics.joined(name)
        code = await process.until_ended()
        del self._channels[name]
        self._metrics.left(name)
        return code

    def _drained(self, number: int, code: int) -> None:
        self._codes.append(code)
        if code:
            self._log.error("worker did not drain", worker=number, how=how_it_ended(code))

    def _ask(self) -> dict[int, bytes]:
        return ask_all(self._channels.copy(), seconds=ANSWER_SECONDS)

    def _on_signal(self, number: signal.Signals) -> None:
        if number == signals.RELOADING:
            self._reloads += 1
            for process in self._serving:
                process.send(number)
            return
        if self._end.done():
            # The second signal asks to stop without waiting for the drain.
            self._log.warning("exit now", signal=number.name)
            self._send(signal.SIGKILL)
            signals.die_of(number)
        self._end.set_result(number)
        if self._ready:
            self._log.info("draining", signal=number.name)
            self._send(number)

    def _send(self, number: signal.Signals) -> None:
        for process in self._processes:
            process.send(number)

    async def _give_up(self, code: int) -> int:
        """End all workers at once, and wait until they are gone."""
        if not self._end.done():
            self._end.set_result(signal.SIGTERM)
        self._send(signal.SIGKILL)
        await asyncio.gather(*self._keeping)
        return code


LEAST_SECONDS, MOST_SECONDS = 0.1, 5.0
STEADY_SECONDS = 10.0  # a worker that ran for so long did not die of a bad start


class Backoff:
    """The wait before a worker is started again: doubled each time it dies soon after its start."""

    def __init__(self) -> None:
        self._next = LEAST_SECONDS

    def seconds(self, *, started: float, died: float) -> float:
        """The wait for a worker that started and died at these times, in seconds of one clock."""
        if died - started >= STEADY_SECONDS:
            self._next = LEAST_SECONDS
        wait, self._next = self._next, min(2 * self._next, MOST_SECONDS)
        return wait
