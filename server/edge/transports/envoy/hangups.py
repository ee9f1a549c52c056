"""Hangups: cancels calls whose callers have left.

pyvoy reports that a caller has left only during a send, or while the request's body is still arriving. A call that
waits for its batch would not notice. Envoy knows: it writes the id of every call that ends early into a pipe, as a
line of an access log.
"""

import asyncio
import os
from typing import Any

from server.core.batching.ticket import Ticket

REQUEST_ID = b"x-request-id"  # Envoy sets it for every call and removes a caller's own
_READ_BYTES = 1 << 16


class OpenCall:
    """An open call: whether its caller has left, and the ticket to cancel in that case."""

    __slots__ = ("gone", "waits_for")

    def __init__(self) -> None:
        self.gone = False  # True: the caller has left, and no answer must be sent
        self.waits_for: Ticket[Any] | None = None

    def wait_for(self, ticket: Ticket[Any]) -> None:
        """Cancel this ticket when the caller leaves; at once if it has left already."""
        self.waits_for = ticket
        if self.gone:
            ticket.cancel()

    def hang_up(self) -> None:
        """The caller has left."""
        self.gone = True
        if self.waits_for is not None:
            self.waits_for.cancel()


class Hangups:
    """The open calls by Envoy's id, and the pipe with the ids of calls that ended early."""

    def __init__(self, pipe: int) -> None:
        self.open_calls: dict[bytes, OpenCall] = {}
        self._pipe = pipe
        self._cut = b""  # the start of a line whose end has not arrived yet

    def listen(self) -> None:
        """Read the pipe from now on, on the running loop."""
        os.set_blocking(self._pipe, False)
        asyncio.get_running_loop().add_reader(self._pipe, self._read)

    def _read(self) -> None:
        *lines, self._cut = (self._cut + os.read(self._pipe, _READ_BYTES)).split(b"\n")
        for line in lines:
            call = self.open_calls.get(line)
            if call is not None:
                call.hang_up()
