"""Combines two transports into one: gRPC on its port, and HTTP for browsers and curl on another port."""

from collections.abc import Callable

from server.edge.boundary import Boundary
from server.edge.methods import MethodTable
from server.edge.transports.connections import Connections
from server.edge.transports.transport import MakeTransport, Transport
from server.edge.transports.uvicorn_server import HttpTransport
from server.edge.web.app import WebApp
from server.edge.web.cors import CorsPolicy


class CombinedTransport:
    """A main transport and an HTTP transport that start and stop together."""

    def __init__(self, main: Transport, http: HttpTransport, *, http_port: int, tell: Callable[[int], None]) -> None:
        """`tell` is called with the port on which HTTP listens."""
        self._main, self._http, self._http_port, self._tell = main, http, http_port, tell

    async def start(self, host: str, port: int) -> int:
        """Listen on both ports; return the main transport's. Raises OSError if a port cannot be bound."""
        try:
            http_port = await self._http.start(host, self._http_port)
        except OSError as error:
            raise OSError(f"--web-port: cannot listen on {host}:{self._http_port}: {error.strerror}") from error
        main_port = await self._main.start(host, port)
        self._tell(http_port)
        return main_port

    async def stop(self, *, seconds: float) -> None:
        """Close both ports and cut the calls that are still open after `seconds`."""
        await self._http.stop(seconds=seconds)
        await self._main.stop(seconds=seconds)


def add_http(
    make_main: MakeTransport, *, http_port: int, cors: CorsPolicy, shared: bool, tell: Callable[[int], None]
) -> MakeTransport:
    """A MakeTransport that adds HTTP to the main transport, over the same method table and boundary."""

    def make(
        methods: MethodTable, boundary: Boundary, *, max_request_bytes: int, connections: Connections
    ) -> CombinedTransport:
        web_app = WebApp(methods, boundary, max_request_bytes=max_request_bytes, cors=cors)
        main = make_main(methods, boundary, max_request_bytes=max_request_bytes, connections=connections)
        return CombinedTransport(main, HttpTransport(web_app, shared=shared), http_port=http_port, tell=tell)

    return make
