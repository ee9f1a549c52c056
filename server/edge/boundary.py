"""The boundary around all handlers: bytes to messages and back, errors to status codes, and an account for every call.

Every error of a handler ends here. A caller learns what was wrong with its request, or gets an id that the log has
too. It never sees a stack, a path or the text of an unknown error.
"""

import math
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from google.protobuf.message import DecodeError, Message

from server.core.batching.ticket import Ticket, drive
from server.core.call import Call, CallRecord, Trace
from server.core.events import CallEvent, CallHandled, CallStarted, Rpc
from server.edge import error_status
from server.edge.access.authenticator import AdmittedCall, Authenticator
from server.edge.metadata import Metadata
from server.edge.methods import Dialogue, Messages, Method, ServerStream, Unary
from server.edge.peer import ANONYMOUS, Peer
from server.edge.status import Code, Status, Trailers
from server.errors import Cancelled, DeadlineExceeded, InvalidInput, QueueFull, Unavailable


class ReportInternal(Protocol):
    """Reports a failure whose cause the caller must not see."""

    def __call__(self, error: BaseException, *, error_id: str, method: str, trace_id: str) -> None:
        """`trace_id` is empty for a call without a trace."""


BeginTrace: TypeAlias = Callable[[Rpc, Metadata], Trace]


@dataclass(slots=True)
class Reply:
    """What a transport sends: a message, the status that ends the call, or both."""

    payload: Final[bytes | None]
    status: Final[Status | None]


class Boundary:
    """Opens calls for the transports. Lives on one thread, the one on which batchers deliver results."""

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
        """`max_seconds` limits every unary call, even if its deadline is later. Without `begin_trace` no call has a
        trace; without an authenticator anyone may call.
        """
        self._max_seconds = max_seconds
        self.observe = observe
        self._report_internal = report_internal
        self._begin_trace = begin_trace
        self.authenticator = authenticator
        self.clock = clock
        self.draining = False
        self.calls = 0  # calls so far that a drain waits for
        self.open_calls = 0  # of these, the calls without an answer yet

    def drain(self) -> None:
        """From now on refuse new calls and end streams with UNAVAILABLE, except methods with ends_at_drain False."""
        self.draining = True

    def unary(
        self, method: Unary, payload: bytes, *, seconds_left: float | None, peer: Peer = ANONYMOUS
    ) -> Ticket[Reply]:
        """Answer one request. The ticket's reply always has a status, and a payload if the status is OK."""
        account = self._open(method, peer, seconds_left, limit=self._max_seconds)
        return drive(_answer(account, method, payload))

    def stream(
        self, method: ServerStream, payload: bytes, *, seconds_left: float | None, peer: Peer = ANONYMOUS
    ) -> "StreamCall":
        """Open a call that answers one request with messages, one for each time that the transport asks."""
        return StreamCall(self._open(method, peer, seconds_left), method, payload)

    def dialogue(self, method: Dialogue, *, peer: Peer = ANONYMOUS) -> "DialogueCall":
        """Open a call that answers each of its requests with one response."""
        return DialogueCall(self, self._open(method, peer, None), method)

    def part_of(self, account: "Account") -> "Account":
        """An account for one request of a dialogue. The request is admitted like a call and has a call's time limit.

        Only the dialogue as a whole is counted as a call.
        """
        deadline = self.clock() + self._max_seconds
        return Account(self, account.method, account.peer, deadline=deadline, trace=account.call.trace, counted=False)

    def refusal(self, error: Exception, method: Method, call: Call) -> Status:
        """The status for an error. An internal error is reported, and the caller gets its id."""
        if isinstance(error, Cancelled) and self.clock() >= call.deadline:
            error = DeadlineExceeded("the deadline passed")
        if not error_status.is_internal(error):
            return error_status.refusal(error)
        error_id = secrets.token_hex(8)
        trace_id = call.trace.id if call.trace else ""
        self._report_internal(error, error_id=error_id, method=method.path, trace_id=trace_id)
        return error_status.internal(error, error_id=error_id)

    def _open(self, method: Method, peer: Peer, seconds_left: float | None, *, limit: float = math.inf) -> "Account":
        if seconds_left is not None and seconds_left < limit:
            limit = seconds_left
        trace = None if self._begin_trace is None else self._begin_trace(method.rpc, peer.metadata)
        return Account(self, method, peer, deadline=self.clock() + limit, trace=trace)


class Account:
    """The account of one call of any kind: opened when the call comes, admitted once, closed once."""

    __slots__ = ("_admitted", "_boundary", "_counted", "_open", "_since", "call", "method", "peer", "record")

    def __init__(
        self,
        boundary: Boundary,
        method: Method,
        peer: Peer,
        *,
        deadline: float,
        trace: Trace | None,
        counted: bool = True,
    ) -> None:
        """Open the account. A call that is not `counted` is part of a counted one."""
        self._boundary, self.method, self.peer, self._counted = boundary, method, peer, counted
        self.record = CallRecord()
        self.call = Call(deadline, trace=trace, observe=self.record.timings.append)
        self._admitted: AdmittedCall | None = None
        self._open = True
        if counted:
            boundary.observe(CallStarted(method.rpc))
            if method.drain_waits:
                boundary.calls += 1
                boundary.open_calls += 1
        self._since = boundary.clock()

    def admit(self) -> Call:
        """Admit the call and return it with its tenant.

        Raises Unavailable, and what the authenticator raises: Unauthenticated, PermissionDenied or QuotaExceeded.
        """
        self.refuse_if_draining()
        authenticator = self._boundary.authenticator
        if authenticator is not None and not self.method.public:
            self._admitted = authenticator.enter(self.peer)
            self.call = self._admitted.on_behalf(self.call)
            self.record.tenant = self.call.tenant
        return self.call

    def refuse_if_draining(self) -> None:
        """Raises Unavailable."""
        if self._boundary.draining and self.method.ends_at_drain:
            raise Unavailable("the server is shutting down")

    def refuse_if_late(self) -> None:
        """Raises DeadlineExceeded."""
        if self._boundary.clock() > self.call.deadline:
            raise DeadlineExceeded("the deadline passed before the response was sent")

    def refusal(self, error: Exception) -> Status:
        """The status for an error. Rows that a full queue refused are not charged."""
        if self._admitted is not None and isinstance(error, QueueFull):
            self._admitted.give_back()
        return self._boundary.refusal(error, self.method, self.call)

    def close(self, code: Code) -> None:
        """End the call with this code. Only the first call of this method counts."""
        if not self._open:
            return
        self._open = False
        if self._admitted is not None:
            self._admitted.leave()
        if not self._counted:
            return
        boundary = self._boundary
        seconds = boundary.clock() - self._since
        boundary.observe(CallHandled(self.method.rpc, code.name, seconds, self.record, self.call.trace))
        if self.method.drain_waits:
            boundary.open_calls -= 1


class StreamCall:
    """A server-streaming call in progress."""

    def __init__(self, account: Account, method: ServerStream, payload: bytes) -> None:
        self._account, self._method, self._payload = account, method, payload
        self._messages: Messages | None = None
        self._code = Code.CANCELLED  # until the stream has ended with a status

    def next(self) -> Ticket[Reply]:
        """The next reply: a message without a status, or the final status without a message."""
        return drive(self._next())

    def close(self) -> None:
        """End the call, finished or not. May be called again."""
        if self._messages is not None:
            self._messages.close()
        self._account.close(self._code)

    async def _next(self) -> Reply:
        account = self._account
        try:
            if self._messages is None:
                call = account.admit()
                self._messages = self._method.handler(_parse(self._method, self._payload), call, account.record)
            message = await self._messages.next()
            if message is not None:
                account.refuse_if_draining()
                return Reply(message.SerializeToString(), None)
            status = Status(Code.OK, "", _timing_trailers(account.record))
        except Exception as error:
            status = account.refusal(error)
        self._code = status.code
        return Reply(None, status)


class DialogueCall:
    """A bidirectional call in progress, one response for each request."""

    def __init__(self, boundary: Boundary, account: Account, method: Dialogue) -> None:
        self._boundary, self._account, self._method = boundary, account, method

    def answer(self, payload: bytes) -> Ticket[Reply]:
        """Answer one request. The ticket's reply always has a status, and a payload if the status is OK."""
        return drive(_answer(self._boundary.part_of(self._account), self._method, payload))

    def close(self, code: Code) -> None:
        """End the call with this code. May be called again."""
        self._account.close(code)


async def _answer(account: Account, method: Unary | Dialogue, payload: bytes) -> Reply:
    """Admit, parse, handle and answer one request. The account is closed in any case."""
    code = Code.CANCELLED
    try:
        call = account.admit()
        response = await method.handler(_parse(method, payload), call, account.record)
        account.refuse_if_late()
        reply = Reply(response.SerializeToString(), Status(Code.OK, "", _timing_trailers(account.record)))
        code = Code.OK
    except Exception as error:
        status = account.refusal(error)
        reply, code = Reply(None, status), status.code
    finally:
        account.close(code)
    return reply


def _parse(method: Method, payload: bytes) -> Message:
    """Parse a request's bytes into its message. Raises InvalidInput."""
    try:
        return method.request.FromString(payload)
    except DecodeError:
        raise InvalidInput("request", f"is not a {method.request.DESCRIPTOR.full_name} message") from None


def _timing_trailers(record: CallRecord) -> Trailers:
    if not record.timings:
        return ()
    total = record.total()
    return (
        ("vae-queue-seconds", f"{total.queue_seconds:.6f}"),
        ("vae-run-seconds", f"{total.run_seconds:.6f}"),
        ("vae-batch-rows", str(total.batch_rows)),
    )
