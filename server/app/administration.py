"""The admin service: listens on its own Unix socket, whatever transport carries the public services."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from server.core.batching.ticket import Ticket
from server.core.model import Models
from server.edge import admin_servicer, reflection
from server.edge.boundary import Boundary, ReportInternal
from server.edge.methods import table
from server.edge.status import Code
from server.edge.transports.connections import Connections
from server.edge.transports.grpcio import GrpcioTransport
from server.errors import StartFailed
from server.process.handover import Worker
from server.telemetry.metrics import Metrics

MAX_SECONDS = 3600.0  # a reload may measure many graphs
MAX_REQUEST_BYTES = 1 << 16
# The mode of the socket's file decides who may connect, so that neither encryption nor keys are needed.
CONNECTIONS = Connections(keepalive_seconds=MAX_SECONDS, max_age_seconds=0.0, grace_seconds=0.0)


class Administration:
    """The admin service of one server: listens if the settings name a socket. Of several workers, the first does."""

    def __init__(
        self,
        path: str,
        models: Models,
        metrics: Metrics,
        *,
        rescan: Callable[[], Ticket[None]],
        complaint: Callable[[], str],
        report_internal: ReportInternal,
        worker: Worker | None,
    ) -> None:
        self._path = Path(path) if path and not (worker and worker.number) else None
        self._rescan = rescan
        self._worker = worker
        servicer = admin_servicer.AdminServicer(models, rescan=self._rescan_all, complaint=complaint)
        methods = table(*servicer.methods(), *reflection.methods([admin_servicer.SERVICE]))
        if self._path:
            for method in methods.values():
                metrics.expect_calls(method.rpc, codes=[code.name for code in Code])
        boundary = Boundary(max_seconds=MAX_SECONDS, observe=metrics.call, report_internal=report_internal)
        self._transport = GrpcioTransport(
            methods, boundary, max_request_bytes=MAX_REQUEST_BYTES, connections=CONNECTIONS
        )

    async def start(self) -> None:
        """Listen on the socket, if there is one. Raises StartFailed."""
        if self._path is None:
            return
        try:
            await self._transport.start_on_socket(self._path)
        except OSError as error:
            raise StartFailed(f"--admin-socket: {error}") from error

    async def stop(self) -> None:
        """Cut open calls and remove the socket."""
        if self._path:
            await self._transport.stop(seconds=0)
            self._path.unlink(missing_ok=True)

    def _rescan_all(self) -> Ticket[None]:
        if self._worker:
            os.kill(self._worker.supervisor, signal.SIGHUP)  # the supervisor passes it on to every worker
        return self._rescan()
