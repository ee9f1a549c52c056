"""Carries one call of each kind (unary, server stream, dialogue) between ASGI and the boundary."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from server.core.batching.ticket import Ticket
from server.edge.await_ticket import await_ticket
from server.edge.boundary import Boundary, Reply
from server.edge.metadata import Metadata, of_headers
from server.edge.methods import Dialogue, ServerStream, Unary
from server.edge.status import Code, RefusedCall, Status
from server.edge.transports.envoy import client_certificate, response
from server.edge.transports.envoy.frames import Frames, only_message
from server.edge.transports.envoy.hangups import OpenCall
from server.edge.transports.envoy.request import seconds_left
from server.edge.transports.envoy.response import Event
from server.errors import Cancelled

T = TypeVar("T")
_NOT_ONE = "the method takes one request message, got {}"
_CUT = Status(Code.INTERNAL, "the request ended inside a message")


class Hangup(Exception):
    """The caller left while its request was still coming."""


@dataclass(slots=True)
class Exchange:
    """One call's ASGI request and response; also its Peer.

    `send` acts when it is called. Its result need be awaited only for back-pressure.
    """

    headers: Mapping[bytes, bytes]
    receive: Callable[[], Awaitable[Event]]
    send: Callable[[Event], Awaitable[None]]
    call: OpenCall
    open_calls: dict[bytes, OpenCall]
    call_id: bytes
    _metadata: Metadata | None = None

    @property
    def metadata(self) -> Metadata:
        """The call's metadata, read from the headers at the first access."""
        if self._metadata is None:
            self._metadata = of_headers(self.headers)
        return self._metadata

    @property
    def certificate_names(self) -> Sequence[str]:
        return client_certificate.of_headers(self.headers)

    def close(self) -> None:
        """Forget the call, as it is over. May be called again."""
        self.open_calls.pop(self.call_id, None)

    def end(self, status: Status) -> None:
        """Answer with a status and nothing else."""
        self.send(response.trailers_only(status))
        self.send(response.LAST)


async def unary(method: Unary, boundary: Boundary, exchange: Exchange, *, max_bytes: int) -> None:
    """Read the request and return; the answer is sent by the callback of the ticket."""
    timeout = seconds_left(exchange.headers)
    payload = await _one_message(exchange, max_bytes=max_bytes)
    ticket = boundary.unary(method, payload, seconds_left=timeout, peer=exchange)
    ticket.add_done_callback(partial(_answer, exchange))
    exchange.call.wait_for(ticket)


def _answer(exchange: Exchange, ticket: Ticket[Reply]) -> None:
    exchange.close()
    if exchange.call.gone:
        return
    reply = ticket.outcome()
    assert reply.status is not None
    if reply.payload is None:
        exchange.end(reply.status)
        return
    exchange.send(response.START)
    exchange.send(response.only(reply.payload))
    exchange.send(response.trailers(reply.status))


async def server_stream(method: ServerStream, boundary: Boundary, exchange: Exchange, *, max_bytes: int) -> None:
    """Answer one request with messages, each sent when the caller has room for it."""
    timeout = seconds_left(exchange.headers)
    payload = await _one_message(exchange, max_bytes=max_bytes)
    stream = boundary.stream(method, payload, seconds_left=timeout, peer=exchange)
    answers = _Answers(exchange)
    try:
        async with asyncio.timeout(timeout):
            while True:
                reply = await _outcome(exchange, stream.next())
                if reply.payload is not None:
                    await answers.put(reply.payload)
                if reply.status is not None:
                    answers.end(reply.status)
                    return
    except TimeoutError:
        answers.end(Status(Code.DEADLINE_EXCEEDED, "the deadline passed"))
    finally:
        stream.close()
        exchange.close()


async def dialogue(method: Dialogue, boundary: Boundary, exchange: Exchange, *, max_bytes: int) -> None:
    """Answer each request before the next is read."""
    timeout = seconds_left(exchange.headers)
    conversation = boundary.dialogue(method, peer=exchange)
    answers = _Answers(exchange)
    status = Status()
    try:
        async with asyncio.timeout(timeout):
            async for payload in _messages(exchange, max_bytes=max_bytes):
                reply = await _outcome(exchange, conversation.answer(payload))
                if reply.payload is None:
                    assert reply.status is not None
                    status = reply.status
                    break
                await answers.put(reply.payload)
    except TimeoutError:
        status = Status(Code.DEADLINE_EXCEEDED, "the deadline passed")
    except RefusedCall as refusal:
        status = refusal.status
    except BaseException:
        status = Status(Code.CANCELLED)
        raise
    finally:
        conversation.close(status.code)
        exchange.close()
    answers.end(status)


class _Answers:
    """Sends the messages of one call and then its status. Without a message, the status is sent in the headers."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._started = False

    async def put(self, message: bytes) -> None:
        """Send a message, and return when the next one may follow."""
        if not self._started:
            self._started = True
            self._exchange.send(response.START)
        # Shielded, because a deadline may end this wait: pyvoy sets the result of its future even then, and logs an
        # error if the future was cancelled.
        await asyncio.shield(_without_warning(self._exchange.send(response.one_of_many(message))))

    def end(self, status: Status) -> None:
        """Send the status, which ends the call."""
        if not self._started:
            self._exchange.end(status)
            return
        self._exchange.send(response.LAST)
        self._exchange.send(response.trailers(status))


def _without_warning(sent: Awaitable[None]) -> "asyncio.Future[None]":
    """A future whose error (the caller has left) asyncio does not log as "never retrieved" if nothing awaits it."""
    future = asyncio.ensure_future(sent)
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


async def _outcome(exchange: Exchange, ticket: Ticket[T]) -> T:
    """Wait for the ticket's outcome. The deadline cancels the ticket; so does a caller who leaves: raises Hangup."""
    exchange.call.wait_for(ticket)
    try:
        outcome = await await_ticket(ticket)
    except Cancelled:
        if not exchange.call.gone:
            raise
        raise Hangup from None
    if exchange.call.gone:
        raise Hangup
    return outcome


async def _one_message(exchange: Exchange, *, max_bytes: int) -> bytes:
    """Read the request's only message. Raises RefusedCall or Hangup."""
    event = await exchange.receive()
    # Nearly every caller sends the whole message in one piece.
    message = only_message(event.get("body", b""), max_bytes=max_bytes)
    if message is not None:
        return message
    frames = _frames(exchange, max_bytes=max_bytes)
    while event["type"] == "http.request":
        messages = frames.feed(event["body"])
        if len(messages) > 1 or (messages and frames.cut):
            raise RefusedCall(Status(Code.UNIMPLEMENTED, _NOT_ONE.format("more")))
        if messages:
            return messages[0]
        if not event["more_body"]:
            raise RefusedCall(_CUT if frames.cut else Status(Code.UNIMPLEMENTED, _NOT_ONE.format("none")))
        event = await exchange.receive()
    raise Hangup


async def _messages(exchange: Exchange, *, max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the request's messages as they arrive. Raises RefusedCall or Hangup."""
    frames = _frames(exchange, max_bytes=max_bytes)
    while (event := await exchange.receive())["type"] == "http.request":
        for message in frames.feed(event["body"]):
            yield message
        if not event["more_body"]:
            if frames.cut:
                raise RefusedCall(_CUT)
            return
    raise Hangup


def _frames(exchange: Exchange, *, max_bytes: int) -> Frames:
    return Frames(max_bytes=max_bytes, encoding=exchange.headers.get(b"grpc-encoding", b""))
