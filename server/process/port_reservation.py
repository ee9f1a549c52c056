"""Reserves the port that all workers share, for as long as their supervisor runs."""

import errno
import os
import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from server.errors import StartFailed
from server.settings import host_and_port


class PortReservation:
    """A port that this process binds, so that no other server gets it. It never listens: calls go to the workers."""

    def __init__(self, host: str, port: int) -> None:
        """Bind the port, or one that the system chooses if it is 0. Raises StartFailed."""
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise StartFailed(f"--host: cannot find the address of {host!r}: {error.strerror}") from error
        try:
            self._socket = _bind_first([(family, address) for family, _, _, _, address in infos])
        except OSError as error:
            where = host_and_port(host, port)
            raise StartFailed(f"--port: cannot listen on {where}: {os.strerror(error.errno or 0)}") from error
        self.port: int = self._socket.getsockname()[1]

    def __enter__(self) -> "PortReservation":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()


def _bind_first(addresses: Sequence[tuple[int, Any]]) -> socket.socket:
    *others, last = addresses
    for family, address in others:
        try:
            return _bind(family, address)
        except OSError as error:
            # A machine without IPv6 may still have an IPv6 address for its own name.
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
    return _bind(*last)


def _bind(family: int, address: Any) -> socket.socket:
    reserved = socket.socket(family, socket.SOCK_STREAM)
    try:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # SO_REUSEPORT comes after bind: without it, bind fails if any other process listens, even one that shares.
        reserved.bind(address)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        reserved.close()
        raise
    return reserved
