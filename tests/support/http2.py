"""HTTP/2 by hand: requests that no gRPC client would send, and raw responses."""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    PingAckReceived,
    PingReceived,
    ResponseReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes

ANSWER_SECONDS = 20.0
Headers = list[tuple[str, str]]


@dataclass
class Answer:
    """The response on one stream. If it has headers only, they count as trailers."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    reset: int | None = None  # the error code, if the stream was cut
    ended: bool = False

    @property
    def http_status(self) -> int:
        return int(self.headers[":status"])

    @property
    def grpc_status(self) -> int:
        return int((self.trailers or self.headers)["grpc-status"])

    @property
    def grpc_message(self) -> str:
        return (self.trailers or self.headers).get("grpc-message", "")


class Http2:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(1 << 30)
        self.answers: dict[int, Answer] = {}
        self.pings_answered = 0
        self.pings_received = 0
        self.settled = False  # the server has acknowledged our settings, so its own have been read
        self.closed = False
        self._flush()

    @property
    def max_concurrent_streams(self) -> int:
        """How many streams the server allows."""
        self.wait(lambda: self.settled)
        return int(self._h2.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS])

    def open(
        self, path: str, *extra: tuple[str, str], method: str = "POST", end: bool = False, grpc: bool = True
    ) -> int:
        """Send a request's headers; the stream's id. Extra headers replace those that gRPC asks for."""
        headers: Headers = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "test")]
        usual = [("content-type", "application/grpc"), ("te", "trailers")] if grpc else []
        headers += [pair for pair in usual if pair[0] not in dict(extra)]
        headers += [pair for pair in extra if pair[1]]
        stream = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream, headers, end_stream=end)
        self.answers[stream] = Answer()
        self._flush()
        return stream

    def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send a piece of a request's body; the window must have room for it."""
        size = self._h2.max_outbound_frame_size
        pieces = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
        for piece in pieces:
            self._h2.send_data(stream, piece, end_stream=end and piece is pieces[-1])
        self._flush()

    def reset(self, stream: int) -> None:
        self._h2.reset_stream(stream, error_code=8)  # CANCEL
        self._flush()

    def pong(self) -> None:
        """Ping, and wait for the answer."""
        expected = self.pings_answered + 1
        self._h2.ping(b"12345678")
        self._flush()
        self.wait(lambda: self.pings_answered == expected)

    def call(self, path: str, *pieces: bytes, headers: Sequence[tuple[str, str]] = ()) -> Answer:
        """A whole exchange: headers, the body in these pieces, the answer."""
        stream = self.open(path, *headers, end=not pieces)
        for index, piece in enumerate(pieces):
            self.send(stream, piece, end=index == len(pieces) - 1)
        return self.answer(stream)

    def answer(self, stream: int) -> Answer:
        """The stream's answer, when it is complete."""
        answer = self.answers[stream]
        self.wait(lambda: answer.ended)
        return answer

    def wait(self, truth: Callable[[], bool]) -> None:
        """Read until something holds, or the connection ends."""
        end = time.monotonic() + ANSWER_SECONDS
        while not truth() and not self.closed:
            self._socket.settimeout(max(0.001, end - time.monotonic()))
            data = self._socket.recv(1 << 16)
            if not data:
                self.closed = True
            for event in self._h2.receive_data(data):
                self._take(event)
            self._flush()
        assert truth() or self.closed

    def _take(self, event: Event) -> None:
        match event:
            case ResponseReceived():
                self.answers[event.stream_id].headers = dict(event.headers)
            case DataReceived():
                self.answers[event.stream_id].body += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case TrailersReceived():
                self.answers[event.stream_id].trailers = dict(event.headers)
            case StreamEnded():
                self.answers[event.stream_id].ended = True
            case StreamReset():
                answer = self.answers[event.stream_id]
                answer.reset, answer.ended = event.error_code, True
            case PingAckReceived():
                self.pings_answered += 1
            case PingReceived():
                self.pings_received += 1
            case SettingsAcknowledged():
                self.settled = True
            case ConnectionTerminated():
                self.closed = True
            case InformationalResponseReceived():
                raise AssertionError(event)

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())


@contextmanager
def http2(target: str) -> Iterator[Http2]:
    """A connection of its own."""
    host, _, port = target.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Http2(connection)
