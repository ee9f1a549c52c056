"""Exposes a registry over HTTP, for Prometheus to scrape."""

from collections.abc import Callable
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server


def serve(registry: CollectorRegistry, *, host: str, port: int) -> tuple[int, Callable[[], None]]:
    """Expose a registry; return the port, and a function that stops it. Raises OSError."""
    server: WSGIServer
    server, thread = start_http_server(port, addr=host, registry=registry)

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return server.server_port, stop
