"""Which callers went away.

pyvoy tells an application of that only when it sends, or while the request's body is still coming: a call that waits
for its batch would never hear of it. Envoy knows, and writes the id of every call that ends early into a pipe, as a
line of an access log.
"""

import asyncio
import os
from typing import Any

from server.core.batching.ticket import Ticket

REQUEST_ID = b"x-request-id"  # set by Envoy for every call, whatever the caller sends
_READ_BYTES = 1 << 16


class OpenCall:
    """One call, as far as its caller's end matters to it."""

    __slots__ = ("gone", "waits_for")

    def __init__(self) -> None:
        self.gone = False  # the caller left: nobody reads an answer
        self.waits_for: Ticket[Any] | None = None

    def wait_for(self, ticket: Ticket[Any]) -> None:
        """Cancel this ticket if the caller leaves, at once if it has left."""
        self.waits_for = ticket
        if self.gone:
            ticket.cancel()

    def hang_up(self) -> None:
        self.gone = True
        if self.waits_for is not None:
            self.waits_for.cancel()


class Hangups:
    """The open calls by Envoy's id, and the pipe that says which of them ended early."""

    def __init__(self, pipe: int) -> None:
        self.open_calls: dict[bytes, OpenCall] = {}
        self._pipe = pipe
        self._cut = b""  # the start of a line whose end has not come yet

    def listen(self) -> None:
        """From now on hang up calls as the pipe says, on the running loop."""
        os.set_blocking(self._pipe, False)
        asyncio.get_running_loop().add_reader(self._pipe, self._read)

    def _read(self) -> None:
        *lines, self._cut = (self._cut + os.read(self._pipe, _READ_BYTES)).split(b"\n")
        for line in lines:
            call = self.open_calls.get(line)
            if call is not None:
                call.hang_up()
