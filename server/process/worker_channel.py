"""The channel between the supervisor and one worker: the worker reports that it serves, and answers with its metrics.

It is a pair of connected sockets, one of which the worker inherits: there is no file, and no other process can
connect. Each question carries the socket for its answer, so that a late answer is not taken for the next one.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping

_READY, _QUESTION = b"r", b"q"
_WHOLE = b"\0"  # ends a complete answer; it is missing if the worker died while writing


class SupervisorEndpoint:
    """The supervisor's end. Questions may be asked from any thread."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._open = threading.Lock()  # held while the descriptor is used, so that `close` waits

    async def ready(self) -> bool:
        """Wait until the worker serves; return False if it ended before."""
        try:
            return await asyncio.get_running_loop().sock_recv(self._end, 1) == _READY
        except ConnectionError:  # the worker ended and left a question unread
            return False

    def ask(self) -> socket.socket:
        """Ask for the metrics; return the socket on which they will arrive. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                with self._open:
                    socket.send_fds(self._end, [_QUESTION], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        return ours

    def close(self) -> None:
        with self._open:
            self._end.close()


class WorkerEndpoint:
    """The worker's end."""

    def __init__(self, descriptor: int) -> None:
        self._end = socket.socket(fileno=descriptor)
        self._answers: threading.Thread | None = None

    def tell_ready(self) -> None:
        """Report to the supervisor that this worker serves."""
        self._end.send(_READY, socket.MSG_NOSIGNAL)

    def answer(self, reading: Callable[[], bytes]) -> None:
        """Start a thread that answers every question with `reading()`."""
        self._answers = threading.Thread(target=self._answer, args=(reading,), name="metrics", daemon=True)
        self._answers.start()

    def join(self, *, seconds: float) -> None:
        """Wait, at most `seconds`, until the supervisor has closed its end and no more answers are written."""
        if self._answers:
            self._answers.join(seconds)

    def _answer(self, reading: Callable[[], bytes]) -> None:
        while True:
            try:
                question, descriptors, *_ = socket.recv_fds(self._end, 1, 1)
            except ConnectionError:  # the supervisor ended and left data unread
                return
            if not question:
                return
            for descriptor in descriptors:
                # The supervisor may have stopped waiting for this answer.
                with contextlib.suppress(ConnectionError), socket.socket(fileno=descriptor) as asker:
                    asker.sendall(reading() + _WHOLE, socket.MSG_NOSIGNAL)


def pair() -> tuple[socket.socket, socket.socket]:
    """A new channel: the supervisor's socket and the worker's."""
    return socket.socketpair()


def ask_all(ends: Mapping[int, SupervisorEndpoint], *, seconds: float) -> dict[int, bytes]:
    """The metrics of all workers that answer within `seconds`. All are asked before the first answer is read."""
    by = time.monotonic() + seconds
    askers: dict[int, socket.socket] = {}
    for name, end in ends.items():
        with contextlib.suppress(OSError):
            askers[name] = end.ask()
    answers: dict[int, bytes] = {}
    for name, asker in askers.items():
        with asker, contextlib.suppress(OSError):
            if (answer := _read(asker, by=by)).endswith(_WHOLE):
                answers[name] = answer.removesuffix(_WHOLE)
    return answers


def _read(asker: socket.socket, *, by: float) -> bytes:
    """All bytes until the worker closes. Raises OSError if they have not arrived by `by`, on time.monotonic."""
    parts: list[bytes] = []
    while True:
        asker.settimeout(max(by - time.monotonic(), 0.001))
        part = asker.recv(1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)
