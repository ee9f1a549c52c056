"""The port, as far as this process has a say in it: when Envoy may listen, and when it has said its last words."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from http.client import HTTPException

from server.edge.transports.envoy.admin import Admin
from server.settings import host_and_port

POLL_SECONDS = 0.005


class Listener:
    """Envoy's listener. Envoy listens once the application has started, which `let_listen` tells it."""

    def __init__(self, *, admin: Admin, let_listen: Callable[[], Awaitable[None]], shared: bool = False) -> None:
        """A `shared` port is one that other workers listen on too."""
        self._admin = admin
        self._shared = shared
        self._let_listen = let_listen

    async def open(self, host: str, port: int) -> int:
        """Listen; the port taken. Raises OSError if it cannot be had."""
        _check_free(host, port, shared=self._shared)
        await self._let_listen()
        # Envoy calls itself live a moment before the port is bound, which may read 0 till then.
        while not (self._admin.live and (taken := self._admin.port) and _accepts(host, taken)):
            await asyncio.sleep(POLL_SECONDS)
        return taken

    async def close(self, *, seconds: float) -> None:
        """Stop listening and wait, `seconds` at most, until every caller has its answer."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        try:
            self._admin.stop_listening()
            while self._admin.unfinished and loop.time() < end:
                await asyncio.sleep(POLL_SECONDS)
        except (OSError, HTTPException):
            # Nobody to ask: the time that was to be waited at most.
            await asyncio.sleep(max(0.0, end - loop.time()))


def resolve(host: str) -> str:
    """The address of a host name, since Envoy takes addresses only. Raises OSError."""
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return str(infos[0][4][0])


def _accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _check_free(host: str, port: int, *, shared: bool) -> None:
    """Take the port for a moment: Envoy itself would tell of a taken one in its own words, and leave."""
    address = resolve(host)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shared)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise OSError(f"cannot listen on {host_and_port(host, port)}: {os.strerror(error.errno or 0)}") from error
