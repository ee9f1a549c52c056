"""Calls over ASGI without Envoy: back-pressure, deadlines, and what happens when a caller leaves."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue

from server.core.batching.ticket import Ticket
from server.edge.boundary import Boundary
from server.edge.methods import Dialogue, Method, ServerStream, Unary, table
from server.edge.transports.envoy.frames import frame
from server.edge.transports.envoy.hangups import Hangups
from server.edge.transports.envoy.transport import EnvoyTransport
from server.errors import Cancelled

ID = b"call-1"


class ClientGone(Exception):
    """What pyvoy raises from send."""


class Caller:
    """One ASGI call; `takes` is how many messages of a stream the caller has room for."""

    def __init__(self, *pieces: bytes, path: str = "/s/m", takes: int = 100, timeout: bytes = b"") -> None:
        self.scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": [(b"content-type", b"application/grpc"), (b"te", b"trailers"), (b"x-request-id", ID)],
        }
        if timeout:
            self.scope["headers"].append((b"grpc-timeout", timeout))
        self.pieces = list(pieces)
        self.sent: list[dict[str, Any]] = []
        self.takes = takes
        self.waiting: asyncio.Future[None] | None = None

    async def receive(self) -> dict[str, Any]:
        if not self.pieces:
            return {"type": "http.disconnect"}
        body = self.pieces.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(self.pieces)}

    def send(self, event: dict[str, Any]) -> "asyncio.Future[None]":
        self.sent.append(event)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if event.get("more_body") and self.takes == 0:
            self.waiting = future
        else:
            self.takes -= bool(event.get("more_body"))
            future.set_result(None)
        return future

    @property
    def status(self) -> bytes:
        return dict(self.sent[-1].get("headers") or self.sent[-2]["headers"])[b"grpc-status"]


class Numbers:
    """A stream of endless messages."""

    def __init__(self) -> None:
        self.asked, self.closed = 0, False

    async def next(self) -> StringValue | None:
        self.asked += 1
        return StringValue(value=str(self.asked))

    def close(self) -> None:
        self.closed = True


def served(method: Method) -> tuple[EnvoyTransport, Hangups]:
    boundary = Boundary(max_seconds=30, observe=lambda _: None, report_internal=lambda *_, **__: None)
    hangups = Hangups(-1)
    return EnvoyTransport(table(method), boundary, max_request_bytes=100, listener=None, hangups=hangups), hangups


def held() -> tuple[Callable[..., Coroutine[Any, Any, StringValue]], list[BaseException]]:
    """A handler that waits for ever, and why it stopped waiting."""
    ends: list[BaseException] = []

    async def handler(request: StringValue, call: object, record: object) -> StringValue:
        try:
            await Ticket()
        except Cancelled as error:
            ends.append(error)
            raise
        return request

    return handler, ends


def test_a_unary_call_is_over_when_its_request_is_submitted_and_answered_by_its_ticket():
    ticket: Ticket[None] = Ticket()

    async def handler(request: StringValue, call: object, record: object) -> StringValue:
        await ticket
        return request

    async def main() -> Caller:
        transport, hangups = served(Unary("/s/m", StringValue, handler))
        caller = Caller(frame(StringValue(value="x").SerializeToString()))
        await transport(caller.scope, caller.receive, caller.send)
        assert caller.sent == []
        assert list(hangups.open_calls) == [ID]
        ticket.succeed(None)
        assert hangups.open_calls == {}
        return caller

    start, body, trailers = asyncio.run(main()).sent
    assert (start["status"], start["trailers"]) == (200, True)
    assert body["body"] == frame(StringValue(value="x").SerializeToString())
    assert trailers["headers"] == [(b"grpc-status", b"0")]


def test_a_hangup_cancels_the_ticket_and_nothing_is_sent():
    handler, ends = held()

    async def main() -> Caller:
        transport, hangups = served(Unary("/s/m", StringValue, handler))
        caller = Caller(frame(b""))
        await transport(caller.scope, caller.receive, caller.send)
        hangups.open_calls[ID].hang_up()
        assert hangups.open_calls == {}
        return caller

    assert asyncio.run(main()).sent == []
    assert len(ends) == 1


def test_a_caller_who_leaves_before_the_request_is_complete_is_forgotten():
    handler, ends = held()

    async def main() -> dict[bytes, object]:
        transport, hangups = served(Unary("/s/m", StringValue, handler))
        caller = Caller(b"\0\0")
        caller.pieces.append(b"")
        caller.receive = with_disconnect(caller)
        await transport(caller.scope, caller.receive, caller.send)
        assert caller.sent == []
        return hangups.open_calls

    assert asyncio.run(main()) == {}
    assert ends == []


def with_disconnect(caller: Caller):
    events = [{"type": "http.request", "body": caller.pieces[0], "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> dict[str, Any]:
        return events.pop(0)

    return receive


def test_a_stream_makes_no_message_before_the_last_one_is_taken():
    numbers = Numbers()

    async def main() -> None:
        transport, hangups = served(ServerStream("/s/m", StringValue, lambda request, call, record: numbers))
        caller = Caller(frame(b""), takes=2)
        call = asyncio.ensure_future(transport(caller.scope, caller.receive, caller.send))
        while caller.waiting is None:
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        assert numbers.asked == 3  # two taken, one on its way
        caller.waiting.set_exception(ClientGone())
        with pytest.raises(ClientGone):
            await call
        assert numbers.closed
        assert hangups.open_calls == {}

    asyncio.run(main())


def test_a_silent_stream_ends_with_its_deadline():
    class Silence(Numbers):
        async def next(self) -> StringValue | None:
            await Ticket()
            raise AssertionError

    silence = Silence()

    async def main() -> bytes:
        transport, _ = served(ServerStream("/s/m", StringValue, lambda request, call, record: silence))
        caller = Caller(frame(b""), timeout=b"1m")
        await transport(caller.scope, caller.receive, caller.send)
        return caller.status

    assert asyncio.run(main()) == b"4"
    assert silence.closed


def test_a_hangup_ends_a_silent_stream():
    handler, ends = held()

    async def main() -> None:
        transport, hangups = served(Dialogue("/s/m", StringValue, handler))
        caller = Caller(frame(b""), b"")
        call = asyncio.ensure_future(transport(caller.scope, caller.receive, caller.send))
        while not (hangups.open_calls and hangups.open_calls[ID].waits_for):
            await asyncio.sleep(0)
        hangups.open_calls[ID].hang_up()
        await call
        assert hangups.open_calls == {}

    asyncio.run(main())
    assert len(ends) == 1
