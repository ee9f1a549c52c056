"""Serves the web app on its own port by uvicorn, for transports that carry only gRPC."""

import asyncio
import contextlib
import math
import socket
from collections.abc import Generator, Mapping
from typing import Any

import uvicorn

from server.core.batching.ticket import Ticket
from server.edge.web.app import Receive, Send, WebApp

MAX_HEADER_BYTES = 16 << 10  # as in the other transports
KEEPALIVE_SECONDS = 75
_BACKLOG = 2048


class HttpTransport:
    """HTTP/1.1 for the web app. Lives on one event loop."""

    def __init__(self, web_app: WebApp, *, shared: bool = False) -> None:
        """A `shared` port is one that other workers listen on too."""
        self._web_app = web_app
        self._shared = shared
        self._server: _Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port, which the system chooses if `port` is 0. Raises OSError if it cannot be bound."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG, reuse_port=self._shared)
        listener.setblocking(False)
        config = uvicorn.Config(
            self._serve,
            lifespan="off",
            http="h11",
            ws="none",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEPALIVE_SECONDS,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        return int(listener.getsockname()[1])

    async def stop(self, *, seconds: float) -> None:
        """Close the port and cut the calls that are still open after `seconds`."""
        if self._server is None:
            return
        self._server.config.timeout_graceful_shutdown = math.ceil(seconds)
        self._server.should_exit = True
        await self._serving

    async def _serve(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        watching: list[asyncio.Task[None]] = []

        def wait_for(ticket: Ticket[Any]) -> None:
            watching.append(asyncio.create_task(_cancel_when_gone(ticket, receive)))

        try:
            await self._web_app(scope, receive, send, wait_for=wait_for)
        finally:
            for task in watching:
                task.cancel()


async def _cancel_when_gone(ticket: Ticket[Any], receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    ticket.cancel()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Capture none: the server handles signals and drains."""
        yield
