"""Errors become status codes in one place, and every call is accounted for once."""

import pytest
from google.rpc import error_details_pb2, status_pb2

from server.core.batching.ticket import Ticket
from server.core.call import Call, CallRecord, GraphTiming
from server.core.events import CallHandled, CallStarted
from server.edge.access.api_key import new_key
from server.edge.access.authenticator import Authenticator
from server.edge.access.tenants_file import parse
from server.edge.boundary import Boundary, Reply
from server.edge.metadata import LazyMetadata, Metadata
from server.edge.methods import Dialogue, ServerStream, Unary
from server.edge.peer import ANONYMOUS
from server.edge.status import Code
from server.errors import (
    Cancelled,
    DeadlineExceeded,
    EmbeddingSpaceMismatch,
    EngineFailure,
    InvalidInput,
    NotFound,
    PermissionDenied,
    QueueFull,
    QuotaExceeded,
    Unauthenticated,
    Unavailable,
)
from vaeserve.v1 import vaeserve_pb2 as pb


class Ring:
    """A boundary that records what it reported, with a clock that the test sets."""

    def __init__(self, authenticator: Authenticator | None = None) -> None:
        self.events, self.reported, self.now = [], [], 0.0
        self.boundary = Boundary(
            max_seconds=60.0,
            observe=self.events.append,
            report_internal=lambda error, *, error_id, method, trace_id: self.reported.append(
                (error, error_id, method, trace_id)
            ),
            authenticator=authenticator,
            clock=lambda: self.now,
        )

    def unary(self, handler, payload: bytes = b"", seconds_left: float | None = None) -> Ticket[Reply]:
        return self.boundary.unary(Unary("/p.S/M", pb.SampleRequest, handler), payload, seconds_left=seconds_left)

    def codes(self) -> list[str]:
        assert sum(isinstance(e, CallStarted) for e in self.events) == 1
        return [e.code for e in self.events if isinstance(e, CallHandled)]


def raising(error):
    async def handler(request, call, record):
        raise error

    return handler


def details(reply: Reply) -> status_pb2.Status:
    return status_pb2.Status.FromString(dict(reply.status.trailers)["grpc-status-details-bin"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput("count", "must be 1..4096, got 0"), Code.INVALID_ARGUMENT),
        (NotFound("no model 'x'"), Code.NOT_FOUND),
        (EmbeddingSpaceMismatch("other"), Code.FAILED_PRECONDITION),
        (QueueFull("full", reason="rows", retry_after=0.25), Code.RESOURCE_EXHAUSTED),
        (QuotaExceeded("used up", tenant="a", reason="quota", retry_after=0.25), Code.RESOURCE_EXHAUSTED),
        (Unauthenticated("who?"), Code.UNAUTHENTICATED),
        (PermissionDenied("no"), Code.PERMISSION_DENIED),
        (DeadlineExceeded("late"), Code.DEADLINE_EXCEEDED),
        (Cancelled("gone"), Code.CANCELLED),
        (Unavailable("draining"), Code.UNAVAILABLE),
        (EngineFailure("the model failed on these rows"), Code.INTERNAL),
        (ZeroDivisionError("secret"), Code.INTERNAL),
    ],
)
def test_each_kind_of_error_has_its_code_and_is_counted_once(error, code):
    ring = Ring()
    reply = ring.unary(raising(error)).outcome()
    assert (reply.payload, reply.status.code) == (None, code)
    assert ring.codes() == [code.name]


def test_a_callers_mistake_is_reported_with_its_field():
    reply = Ring().unary(raising(InvalidInput("count", "must be 1..4096, got 0"))).outcome()
    assert reply.status.message == "count must be 1..4096, got 0"
    bad_request = error_details_pb2.BadRequest()
    assert details(reply).details[0].Unpack(bad_request)
    (violation,) = bad_request.field_violations
    assert (violation.field, violation.description) == ("count", "must be 1..4096, got 0")


def test_a_refusal_says_when_to_retry_in_details_and_in_pushback():
    reply = Ring().unary(raising(QueueFull("full", reason="rows", retry_after=0.25))).outcome()
    retry = error_details_pb2.RetryInfo()
    assert details(reply).details[0].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 250
    assert dict(reply.status.trailers)["grpc-retry-pushback-ms"] == "250"


def test_an_unknown_error_shows_an_id_and_nothing_else():
    ring = Ring()
    error = ZeroDivisionError("a secret path")
    reply = ring.unary(raising(error)).outcome()
    ((reported, error_id, method, _),) = ring.reported
    assert (reported, method) == (error, "/p.S/M")
    assert error_id in reply.status.message
    assert "secret" not in reply.status.message


def test_a_refusal_fits_into_headers_even_if_it_quotes_a_long_text():
    for error in (NotFound("no model " + "x" * 10**6), InvalidInput("f" * 64, "got " + "x" * 10**6)):
        status = Ring().unary(raising(error)).outcome().status
        assert status.message.endswith("xxx...")
        assert len(status.message) + sum(len(value) for _, value in status.trailers) < 4096


def test_bytes_that_are_no_message_are_the_callers_mistake():
    reply = Ring().unary(raising(AssertionError), payload=b"\xff\xff\xff").outcome()
    assert reply.status.code is Code.INVALID_ARGUMENT
    assert "vaeserve.v1.SampleRequest" in reply.status.message


def test_a_callers_deadline_holds_but_not_beyond_the_servers_limit():
    seen = []

    async def handler(request, call, record):
        seen.append(call.deadline)
        return pb.SampleResponse()

    for seconds_left in (5.0, 100.0, None):
        Ring().unary(handler, seconds_left=seconds_left).outcome()
    assert seen == [5.0, 60.0, 60.0]


def test_a_response_that_comes_too_late_is_not_sent():
    ring = Ring()

    async def handler(request, call, record):
        ring.now = 6.0
        return pb.SampleResponse()

    assert ring.unary(handler, seconds_left=5.0).outcome().status.code is Code.DEADLINE_EXCEEDED


def test_a_good_answer_carries_its_queue_and_run_times():
    async def handler(request, call, record):
        call.observe(GraphTiming(0.25, 0.5, 7))
        call.observe(GraphTiming(0.25, 0.5, 3))
        return pb.SampleResponse(seed=3)

    reply = Ring().unary(handler).outcome()
    assert pb.SampleResponse.FromString(reply.payload).seed == 3
    assert dict(reply.status.trailers) == {
        "vae-queue-seconds": "0.500000",
        "vae-run-seconds": "1.000000",
        "vae-batch-rows": "7",
    }


def test_a_cancelled_call_is_counted_as_cancelled_and_as_late_after_its_deadline():
    for now, code in ((1.0, "CANCELLED"), (5.0, "DEADLINE_EXCEEDED")):
        ring, waiting = Ring(), Ticket()

        async def handler(request, call, record, waiting=waiting):
            await waiting

        call = ring.unary(handler, seconds_left=5.0)
        ring.now = now
        call.cancel()
        assert waiting.done
        assert ring.codes() == [code]


class Numbers:
    """Messages of a stream: 0, 1, 2."""

    def __init__(self) -> None:
        self.sent, self.closed = 0, False

    async def next(self):
        if self.sent == 3:
            return None
        self.sent += 1
        return pb.SampleResponse(seed=self.sent - 1)

    def close(self) -> None:
        self.closed = True


def test_a_stream_answers_as_often_as_it_is_asked_and_ends_with_ok():
    ring, numbers = Ring(), Numbers()
    method = ServerStream("/p.S/Stream", pb.SampleRequest, lambda request, call, record: numbers)
    call = ring.boundary.stream(method, b"", seconds_left=None)
    replies = [call.next().outcome() for _ in range(4)]
    assert [pb.SampleResponse.FromString(r.payload).seed for r in replies[:3]] == [0, 1, 2]
    assert replies[3].status.code is Code.OK
    call.close()
    assert numbers.closed
    assert ring.codes() == ["OK"]


def test_a_stream_left_early_is_closed_and_counted_as_cancelled():
    ring, numbers = Ring(), Numbers()
    method = ServerStream("/p.S/Stream", pb.SampleRequest, lambda request, call, record: numbers)
    call = ring.boundary.stream(method, b"", seconds_left=None)
    call.next().outcome()
    call.close()
    assert numbers.closed
    assert ring.codes() == ["CANCELLED"]


def test_a_dialogue_answers_every_request_and_is_counted_once():
    ring = Ring()

    async def handler(request, call, record):
        return pb.SampleResponse(seed=request.count)

    call = ring.boundary.dialogue(Dialogue("/p.S/Chat", pb.SampleRequest, handler))
    seeds = [
        pb.SampleResponse.FromString(call.answer(pb.SampleRequest(count=n).SerializeToString()).outcome().payload).seed
        for n in (4, 5)
    ]
    call.close(Code.OK)
    call.close(Code.CANCELLED)
    assert seeds == [4, 5]
    assert ring.codes() == ["OK"]


def test_draining_refuses_new_calls_and_answers_those_in_progress():
    ring, waiting = Ring(), Ticket()

    async def handler(request, call, record):
        await waiting
        return pb.SampleResponse()

    accepted = ring.unary(handler)
    ring.boundary.drain()
    assert ring.unary(handler).outcome().status.code is Code.UNAVAILABLE
    assert (ring.boundary.calls, ring.boundary.open_calls) == (2, 1)
    waiting.succeed(None)
    assert accepted.outcome().status.code is Code.OK
    assert ring.boundary.open_calls == 0


KEY, KEPT = new_key()


class Alice:
    metadata, certificate_names = {"authorization": f"Bearer {KEY}"}, ()


def guarded(terms: str) -> Ring:
    tenants_file = parse(f'[tenants.alice]\nkeys = ["{KEPT}"]\n{terms}')
    return Ring(Authenticator(tenants_file, tell=lambda _: None, clock=lambda: 0.0))


def asking(ring: Ring, handler, peer=ANONYMOUS, *, public: bool = False) -> Reply:
    method = Unary("/p.S/M", pb.SampleRequest, handler, public=public)
    return ring.boundary.unary(method, b"", seconds_left=None, peer=peer).outcome()


async def answering(request, call, record):
    call.allowance.charge(5, field="count")
    return pb.SampleResponse(seed=len(call.tenant))


def test_with_an_authenticator_a_handler_learns_whose_call_it_is():
    reply = asking(guarded(""), answering, Alice())
    assert pb.SampleResponse.FromString(reply.payload).seed == len("alice")


def test_with_an_authenticator_unknown_callers_reach_public_methods_only():
    ring = guarded("")
    assert asking(ring, answering).status.code is Code.UNAUTHENTICATED
    assert asking(ring, answering, public=True).status.code is Code.OK


def test_the_account_of_a_call_names_its_tenant_once_it_is_admitted():
    ring = guarded("concurrent_calls = 1")
    asking(ring, answering, Alice())
    asking(ring, raising(NotFound("no model 'x'")), Alice())
    asking(ring, answering)

    def absent(request, call, record):
        raise NotFound("no model 'x'")

    method = ServerStream("/p.S/M", pb.SampleRequest, absent)
    stream = ring.boundary.stream(method, b"", seconds_left=None, peer=Alice())
    stream.next().outcome()
    stream.close()
    handled = [(e.code, e.record.tenant) for e in ring.events if isinstance(e, CallHandled)]
    assert handled == [("OK", "alice"), ("NOT_FOUND", "alice"), ("UNAUTHENTICATED", ""), ("NOT_FOUND", "alice")]


def test_a_call_stops_counting_as_open_however_it_ends():
    ring = guarded("concurrent_calls = 1")
    for error in (QueueFull("full", reason="rows", retry_after=1.0), ZeroDivisionError()):
        asking(ring, raising(error), Alice())
        assert asking(ring, answering, Alice()).status.code is Code.OK


def test_a_cancelled_call_stops_counting_as_open():
    ring, never = guarded("concurrent_calls = 1"), Ticket()

    async def waiting(request, call, record):
        await never
        raise AssertionError

    method = Unary("/p.S/M", pb.SampleRequest, waiting)
    call = ring.boundary.unary(method, b"", seconds_left=None, peer=Alice())
    assert asking(ring, answering, Alice()).status.code is Code.RESOURCE_EXHAUSTED
    call.cancel()
    assert asking(ring, answering, Alice()).status.code is Code.OK


def test_a_stream_counts_as_open_until_it_is_closed():
    ring = guarded("concurrent_calls = 1")

    class Endless:
        async def next(self):
            return pb.SampleResponse()

        def close(self) -> None: ...

    method = ServerStream("/p.S/M", pb.SampleRequest, lambda request, call, record: Endless())
    assert ring.boundary.stream(method, b"", seconds_left=None).next().outcome().status.code is Code.UNAUTHENTICATED
    stream = ring.boundary.stream(method, b"", seconds_left=None, peer=Alice())
    assert stream.next().outcome().payload is not None
    assert asking(ring, answering, Alice()).status.code is Code.RESOURCE_EXHAUSTED
    stream.close()
    assert asking(ring, answering, Alice()).status.code is Code.OK


def test_rows_that_a_full_queue_refused_cost_nothing():
    ring = guarded("rows_per_second = 1\nburst_rows = 5")

    async def refused(request, call, record):
        await answering(request, call, record)
        raise QueueFull("full", reason="rows", retry_after=1.0)

    assert asking(ring, refused, Alice()).status.code is Code.RESOURCE_EXHAUSTED
    assert asking(ring, answering, Alice()).status.code is Code.OK
    assert asking(ring, answering, Alice()).status.code is Code.RESOURCE_EXHAUSTED


def test_a_quota_is_told_apart_from_a_full_queue():
    error = QuotaExceeded("used up", tenant="alice", reason="quota", retry_after=0.25)
    reply = Ring().unary(raising(error)).outcome()
    retry, quota = error_details_pb2.RetryInfo(), error_details_pb2.QuotaFailure()
    first, second = details(reply).details
    assert first.Unpack(retry)
    assert second.Unpack(quota)
    assert retry.retry_delay.ToMilliseconds() == 250
    assert quota.violations[0].subject == "alice"
    assert dict(reply.status.trailers)["grpc-retry-pushback-ms"] == "250"


class Sender:
    """A peer that sent this metadata."""

    certificate_names = ()

    def __init__(self, metadata: Metadata) -> None:
        self.metadata = metadata


class FakeTrace:
    id, sampled = "4bf92f3577b34da6a3ce929d0e0e4736", True


def traced(ring: Ring, *, begun: list) -> Boundary:
    """The ring's boundary, with a trace for every call."""

    def begin(rpc, metadata):
        begun.append((rpc.method, metadata["traceparent"]))
        return FakeTrace()

    return Boundary(
        max_seconds=60.0,
        observe=ring.events.append,
        report_internal=lambda error, *, error_id, method, trace_id: ring.reported.append(trace_id),
        begin_trace=begin,
    )


def test_every_kind_of_call_begins_a_trace_with_its_metadata_and_ends_with_it():
    ring, begun, sent = Ring(), [], Sender({"traceparent": "00-a-b-01"})
    boundary = traced(ring, begun=begun)
    boundary.unary(Unary("/p.S/One", pb.SampleRequest, raising(NotFound("x"))), b"", seconds_left=None, peer=sent)
    stream = ServerStream("/p.S/Many", pb.SampleRequest, lambda request, call, record: Numbers())
    boundary.stream(stream, b"", seconds_left=None, peer=sent).close()
    boundary.dialogue(Dialogue("/p.S/Chat", pb.SampleRequest, raising(NotFound("x"))), peer=sent).close(Code.OK)
    assert begun == [(name, "00-a-b-01") for name in ("One", "Many", "Chat")]
    ended = [event for event in ring.events if isinstance(event, CallHandled)]
    assert [event.trace.id for event in ended] == [FakeTrace.id] * 3


def test_an_internal_error_is_reported_with_the_trace_it_happened_in():
    ring = Ring()
    method = Unary("/p.S/M", pb.SampleRequest, raising(ZeroDivisionError("secret")))
    traced(ring, begun=[]).unary(method, b"", seconds_left=None, peer=Sender({"traceparent": ""}))
    assert ring.reported == [FakeTrace.id]


def test_metadata_that_are_not_needed_are_not_read():
    def unread():
        raise AssertionError("read")

    method = Unary("/p.S/M", pb.SampleRequest, raising(NotFound("x")))
    reply = Ring().boundary.unary(method, b"", seconds_left=None, peer=Sender(LazyMetadata(unread))).outcome()
    assert reply.status.code is Code.NOT_FOUND


def test_draining_ends_a_stream_between_its_messages_and_waits_until_it_is_closed():
    ring, numbers = Ring(), Numbers()
    method = ServerStream("/p.S/Stream", pb.SampleRequest, lambda request, call, record: numbers)
    call = ring.boundary.stream(method, b"", seconds_left=None)
    assert call.next().outcome().status is None
    ring.boundary.drain()
    assert call.next().outcome().status.code is Code.UNAVAILABLE
    assert (ring.boundary.calls, ring.boundary.open_calls) == (1, 1)
    call.close()
    call.close()
    assert ring.boundary.open_calls == 0


def test_a_stream_that_has_sent_everything_ends_well_in_a_drain_and_a_new_one_is_not_begun():
    ring, numbers = Ring(), Numbers()
    method = ServerStream("/p.S/Stream", pb.SampleRequest, lambda request, call, record: numbers)
    call = ring.boundary.stream(method, b"", seconds_left=None)
    for _ in range(3):
        call.next().outcome()
    ring.boundary.drain()
    assert call.next().outcome().status.code is Code.OK
    late = ring.boundary.stream(method, b"", seconds_left=None)
    numbers.sent = 0
    assert late.next().outcome().status.code is Code.UNAVAILABLE
    assert numbers.sent == 0


def test_a_stream_that_lasts_until_the_stop_outlives_the_drain_which_does_not_wait_for_it():
    ring, numbers = Ring(), Numbers()
    method = ServerStream("/p.S/Stream", pb.SampleRequest, lambda request, call, record: numbers, until="stop")
    ring.boundary.drain()
    call = ring.boundary.stream(method, b"", seconds_left=None)
    assert call.next().outcome().status is None
    assert ring.boundary.open_calls == 0


def test_a_stream_carries_its_total_queue_and_run_times_at_its_end():
    class TimedNumbers(Numbers):
        def __init__(self, call: Call, record: CallRecord) -> None:
            super().__init__()
            self.call, self.record = call, record

        def next(self):
            self.call.observe(GraphTiming(queue_seconds=0.5, run_seconds=1.0, batch_rows=self.sent))
            self.record.sum_timings()
            return super().next()

    ring, made = Ring(), []

    def handler(request, call, record):
        made.append(TimedNumbers(call.in_bulk(), record))
        return made[0]

    stream = ring.boundary.stream(ServerStream("/p.S/Stream", pb.SampleRequest, handler), b"", seconds_left=None)
    *_, last = [stream.next().outcome() for _ in range(4)]
    assert made[0].call.priority == "bulk"
    assert len(made[0].record.timings) == 1
    assert dict(last.status.trailers) == {
        "vae-queue-seconds": "2.000000",
        "vae-run-seconds": "4.000000",
        "vae-batch-rows": "3",
    }
