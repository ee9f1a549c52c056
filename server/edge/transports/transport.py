"""The interface of every transport: start to listen, stop, and how to build one."""

from typing import Protocol

from server.edge.boundary import Boundary
from server.edge.methods import MethodTable
from server.edge.transports.connections import Connections


class Transport(Protocol):
    """A way to carry calls. Lives on one event loop."""

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port, which the system chooses if `port` is 0. Raises OSError if it cannot be bound."""

    async def stop(self, *, seconds: float) -> None:
        """Close the port and cut the calls that are still open after `seconds`."""


class MakeTransport(Protocol):
    """Builds a transport over a method table and its boundary."""

    def __call__(
        self, methods: MethodTable, boundary: Boundary, *, max_request_bytes: int, connections: Connections
    ) -> Transport: ...
