"""Envoy's listener: lets Envoy start to listen, closes the port, and waits until all answers are sent."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from http.client import HTTPException

from server.edge.transports.envoy.admin import Admin
from server.settings import host_and_port

POLL_SECONDS = 0.005


class Listener:
    """Envoy's listener. Envoy listens once it knows that the application has started: `let_listen` tells it."""

    def __init__(self, *, admin: Admin, let_listen: Callable[[], Awaitable[None]], shared: bool = False) -> None:
        """A `shared` port is one that other workers listen on too."""
        self._admin = admin
        self._shared = shared
        self._let_listen = let_listen

    async def open(self, host: str, port: int) -> int:
        """Listen and return the port. Raises OSError if it cannot be bound."""
        _check_free(host, port, shared=self._shared)
        await self._let_listen()
        # Envoy reports LIVE a moment before the port is bound; until then the port may read 0.
        while not (self._admin.live and (taken := self._admin.port) and _accepts(host, taken)):
            await asyncio.sleep(POLL_SECONDS)
        return taken

    async def close(self, *, seconds: float) -> None:
        """Stop listening and wait, at most `seconds`, until every caller has its answer."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        try:
            self._admin.stop_listening()
            while self._admin.unfinished and loop.time() < end:
                await asyncio.sleep(POLL_SECONDS)
        except (OSError, HTTPException):
            # Envoy does not answer: wait for the whole time instead.
            await asyncio.sleep(max(0.0, end - loop.time()))


def resolve(host: str) -> str:
    """The address of a host name, as Envoy accepts only addresses. Raises OSError."""
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return str(infos[0][4][0])


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _check_free(host: str, port: int, *, shared: bool) -> None:
    """Bind the port for a moment. Raises OSError; Envoy would report a taken port in its own way and exit."""
    address = resolve(host)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise OSError(f"cannot listen on {host_and_port(host, port)}: {os.strerror(error.errno or 0)}") from error
