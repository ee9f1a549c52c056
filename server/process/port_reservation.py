"""The port that all workers share, held while they come and go."""

import errno
import os
import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from server.errors import StartFailed
from server.settings import host_and_port


class PortReservation:
    """A port that is ours: bound, so that nobody else gets it, and not listening, so that no call comes here."""

    def __init__(self, host: str, port: int) -> None:
        """Take the port, or one that the system chooses if it is 0. Raises StartFailed."""
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise StartFailed(f"--host: cannot find the address of {host!r}: {error.strerror}") from error
        try:
            self._socket = _first_of([(family, address) for family, _, _, _, address in infos])
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


def _first_of(addresses: Sequence[tuple[int, Any]]) -> socket.socket:
    *others, last = addresses
    for family, address in others:
        try:
            return _bound(family, address)
        except OSError as error:
            # A machine without IPv6 may still have an IPv6 address for its own name.
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise
    return _bound(*last)


def _bound(family: int, address: Any) -> socket.socket:
    held = socket.socket(family, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Bound as one that does not share, which fails if anybody listens, even one who would share; then shared.
        held.bind(address)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        held.close()
        raise
    return held
