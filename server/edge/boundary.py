"""The outermost ring: bytes to messages and back, errors to status codes, and the account of every call.

Whatever a handler raises ends here. A caller learns what it did wrong, or an opaque id to quote; never a stack, a path
or the text of an unknown error.
"""

import math
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeAlias

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from server.core.batching.ticket import Ticket, drive
from server.core.call import Asked, Caller, Trace
from server.core.events import CallEvent, CallHandled, CallStarted, Rpc
from server.core.values import value
from server.edge.access.authenticator import AdmittedCall, Authenticator
from server.edge.metadata import Metadata
from server.edge.methods import Dialogue, Messages, Method, ServerStream, Unary
from server.edge.peer import ANONYMOUS, Peer
from server.edge.status import Code, Status, Trailers
from server.errors import (
    Cancelled,
    DeadlineExceeded,
    EmbeddingSpaceMismatch,
    InvalidInput,
    NotFound,
    PermissionDenied,
    QueueFull,
    QuotaExceeded,
    Unauthenticated,
    Unavailable,
    VaeError,
)

MAX_MESSAGE = 1024  # characters; clients refuse an answer whose headers are larger than 8 KiB or so
_CODES: dict[type[VaeError], Code] = {
    InvalidInput: Code.INVALID_ARGUMENT,
    NotFound: Code.NOT_FOUND,
    EmbeddingSpaceMismatch: Code.FAILED_PRECONDITION,
    Unauthenticated: Code.UNAUTHENTICATED,
    PermissionDenied: Code.PERMISSION_DENIED,
    QuotaExceeded: Code.RESOURCE_EXHAUSTED,
    QueueFull: Code.RESOURCE_EXHAUSTED,
    DeadlineExceeded: Code.DEADLINE_EXCEEDED,
    Cancelled: Code.CANCELLED,
    Unavailable: Code.UNAVAILABLE,
}


class ReportInternal(Protocol):
    """Told of every failure whose cause the caller must not see."""

    def __call__(self, error: BaseException, *, error_id: str, method: str, trace_id: str) -> None:
        """`trace_id` is empty for a call without a trace."""


BeginTrace: TypeAlias = Callable[[Rpc, Metadata], Trace]


@value
class Reply:
    """What a transport sends: a message, or the status that ends the call, or both."""

    payload: bytes | None
    status: Status | None


class Boundary:
    """Opens calls on behalf of transports, all on one thread: that on which batchers deliver."""

    def __init__(
        self,
        *,
        max_seconds: float,
        observe: Callable[[CallEvent], None],
        report_internal: ReportInternal,
        begin_trace: BeginTrace | None = None,
        authenticator: Authenticator | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`max_seconds` bounds every unary call, whatever deadline its caller asks for; without `begin_trace` no call
        has a trace, without an authenticator all may call.
        """
        self._max_seconds = max_seconds
        self._observe = observe
        self._report_internal = report_internal
        self._begin_trace = begin_trace
        self._authenticator = authenticator
        self._clock = clock
        self._draining = False
        self.calls = 0  # so far, but for streams that last until the server stops
        self.open_calls = 0  # of these, not yet answered

    def drain(self) -> None:
        """From now on refuse new calls with UNAVAILABLE, and end streams with it, but for those until the stop."""
        self._draining = True

    def refuse_if_draining(self) -> None:
        """Raises Unavailable."""
        if self._draining:
            raise Unavailable("the server is shutting down")

    def unary(
        self, method: Unary, payload: bytes, *, seconds_left: float | None, peer: Peer = ANONYMOUS
    ) -> Ticket[Reply]:
        """Answer one request. The ticket's reply has a status always and a payload if that is OK."""
        caller = self.caller(method, peer, seconds_left, limit=self._max_seconds)
        return drive(self._answer_and_end(method, payload, caller, peer))

    def stream(
        self, method: ServerStream, payload: bytes, *, seconds_left: float | None, peer: Peer = ANONYMOUS
    ) -> "StreamCall":
        """Open a call that answers as often as the transport asks."""
        return StreamCall(self, method, payload, self.caller(method, peer, seconds_left), peer)

    def dialogue(self, method: Dialogue, *, peer: Peer = ANONYMOUS) -> "DialogueCall":
        """Open a call that answers every request it is given, each on its own account."""
        return DialogueCall(self, method, self.caller(method, peer, None), peer)

    async def _answer_and_end(self, method: Unary, payload: bytes, caller: Caller, peer: Peer) -> Reply:
        since = self.started(method)
        self.calls += 1
        self.open_calls += 1
        reply = await self.answer(method, payload, caller, peer)
        assert reply.status is not None
        self.handled(method, reply.status.code, since, caller)
        self.open_calls -= 1
        return reply

    async def answer(self, method: Unary | Dialogue, payload: bytes, caller: Caller, peer: Peer) -> Reply:
        admitted = None
        try:
            self.refuse_if_draining()
            if (admitted := self.enter(method, peer)) is not None:
                caller = admitted.caller(caller)
            response = await method.handler(parse(method, payload), caller)
            if self._clock() > caller.deadline:
                raise DeadlineExceeded("the deadline passed before the response was sent")
            return Reply(response.SerializeToString(), Status(trailers=_serving(caller)))
        except Exception as error:
            if admitted is not None and isinstance(error, QueueFull):
                admitted.give_back()
            return Reply(None, self.refusal(error, method, caller))
        finally:
            if admitted is not None:
                admitted.leave()

    def enter(self, method: Method, peer: Peer) -> AdmittedCall | None:
        """None where nobody asks who it is. Raises Unauthenticated, PermissionDenied or QuotaExceeded."""
        return None if self._authenticator is None or method.public else self._authenticator.enter(peer)

    def caller(self, method: Method, peer: Peer, seconds_left: float | None, *, limit: float = math.inf) -> Caller:
        if seconds_left is not None and seconds_left < limit:
            limit = seconds_left
        deadline = self._clock() + limit
        if self._begin_trace is None:
            return Caller(deadline)
        return Caller(deadline, trace=self._begin_trace(method.rpc, peer.metadata))

    def part_of(self, caller: Caller) -> Caller:
        """A caller for one request of many that a call makes, each of which may take as long as the server allows."""
        return replace(caller, deadline=self._clock() + self._max_seconds, served=[], asked=Asked())

    def refusal(self, error: Exception, method: Method, caller: Caller) -> Status:
        """The status that tells a caller of an error."""
        if isinstance(error, Cancelled) and self._clock() >= caller.deadline:
            error = DeadlineExceeded("the deadline passed")
        code = _CODES.get(type(error), Code.INTERNAL) if isinstance(error, VaeError) else Code.INTERNAL
        if code is Code.INTERNAL:
            error_id = secrets.token_hex(8)
            trace_id = caller.trace.id if caller.trace else ""
            self._report_internal(error, error_id=error_id, method=method.path, trace_id=trace_id)
            known = _shortened(str(error)) if isinstance(error, VaeError) else "internal error"
            return Status(code, f"{known}; the server's log has it under id {error_id}")
        return Status(code, _shortened(str(error)), _details(code, error))

    def started(self, method: Method) -> float:
        self._observe(CallStarted(method.rpc))
        return self._clock()

    def handled(self, method: Method, code: Code, since: float, caller: Caller) -> None:
        self._observe(CallHandled(method.rpc, code.name, self._clock() - since, caller))


class Account:
    """One call in the metrics: started once, handled once."""

    __slots__ = ("_boundary", "_caller", "_method", "_open", "_since")

    def __init__(self, boundary: Boundary, method: Method, caller: Caller) -> None:
        self._boundary, self._method, self._caller = boundary, method, caller
        self._since = boundary.started(method)
        self._open = True

    def close(self, code: Code) -> None:
        if self._open:
            self._open = False
            self._boundary.handled(self._method, code, self._since, self._caller)


class StreamCall:
    """A server-streaming call in progress."""

    def __init__(self, boundary: Boundary, method: ServerStream, payload: bytes, caller: Caller, peer: Peer) -> None:
        self._boundary, self._method, self._payload = boundary, method, payload
        self._caller, self._peer = caller, peer
        self._admitted: AdmittedCall | None = None
        self._account = Account(boundary, method, caller)
        self._messages: Messages | None = None
        self._awaited = method.until == "drain"  # by a server that drains
        if self._awaited:
            boundary.calls += 1
            boundary.open_calls += 1

    def next(self) -> Ticket[Reply]:
        """The next message without a status, or the status that ends the call without a message."""
        return drive(self._next())

    def close(self) -> None:
        """The transport is done with the call, for whatever reason. May be called again."""
        if self._messages is not None:
            self._messages.close()
        if self._admitted is not None:
            self._admitted.leave()
        self._account.close(Code.CANCELLED)
        if self._awaited:
            self._awaited = False
            self._boundary.open_calls -= 1

    async def _next(self) -> Reply:
        try:
            if self._messages is None:
                self._refuse_if_draining()
                if (admitted := self._boundary.enter(self._method, self._peer)) is not None:
                    self._admitted, self._caller = admitted, admitted.caller(self._caller)
                self._messages = self._method.handler(parse(self._method, self._payload), self._caller)
            message = await self._messages.next()
            if message is not None:
                self._refuse_if_draining()
        except Exception as error:
            if self._admitted is not None and isinstance(error, QueueFull):
                self._admitted.give_back()
            return self._end(self._boundary.refusal(error, self._method, self._caller))
        if message is None:
            return self._end(Status(trailers=_serving(self._caller)))
        return Reply(message.SerializeToString(), None)

    def _refuse_if_draining(self) -> None:
        if self._method.until == "drain":
            self._boundary.refuse_if_draining()

    def _end(self, status: Status) -> Reply:
        self._account.close(status.code)
        return Reply(None, status)


class DialogueCall:
    """A bidirectional call in progress, one response for each request."""

    def __init__(self, boundary: Boundary, method: Dialogue, caller: Caller, peer: Peer) -> None:
        self._boundary, self._method, self._caller, self._peer = boundary, method, caller, peer
        self._account = Account(boundary, method, caller)

    def answer(self, payload: bytes) -> Ticket[Reply]:
        part = self._boundary.part_of(self._caller)
        return drive(self._boundary.answer(self._method, payload, part, self._peer))

    def close(self, code: Code) -> None:
        """The call ended with this code. May be called again."""
        self._account.close(code)


def parse(method: Method, payload: bytes) -> Message:
    """The request in its wire form as a message. Raises InvalidInput."""
    try:
        return method.request.FromString(payload)
    except DecodeError:
        raise InvalidInput("request", f"is not a {method.request.DESCRIPTOR.full_name} message") from None


def _serving(caller: Caller) -> Trailers:
    if not caller.served:
        return ()
    total = caller.total()
    return (
        ("vae-queue-seconds", f"{total.queue_seconds:.6f}"),
        ("vae-run-seconds", f"{total.run_seconds:.6f}"),
        ("vae-batch-rows", str(total.batch_rows)),
    )


def _shortened(text: str) -> str:
    """A message that fits into a header, whatever of the request it repeats."""
    return text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + "..."


def _details(code: Code, error: Exception) -> Trailers:
    """google.rpc.Status in `grpc-status-details-bin`, and gRPC's pushback for those who retry by themselves."""
    details: list[Message] = []
    pushback: Trailers = ()
    if isinstance(error, InvalidInput):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=_shortened(error.problem)
        )
        details = [error_details_pb2.BadRequest(field_violations=[violation])]
    elif isinstance(error, QueueFull | QuotaExceeded):
        delay = Duration()
        delay.FromMilliseconds(max(1, round(error.retry_after * 1000)))
        details = [error_details_pb2.RetryInfo(retry_delay=delay)]
        pushback = (("grpc-retry-pushback-ms", str(delay.ToMilliseconds())),)
        if isinstance(error, QuotaExceeded):
            exceeded = error_details_pb2.QuotaFailure.Violation(subject=error.tenant, description=str(error))
            details.append(error_details_pb2.QuotaFailure(violations=[exceeded]))
    else:
        return ()
    packed = [Any() for _ in details]
    for place, detail in zip(packed, details, strict=True):
        place.Pack(detail)
    status = status_pb2.Status(code=code, message=_shortened(str(error)), details=packed)
    return (("grpc-status-details-bin", status.SerializeToString()), *pushback)
