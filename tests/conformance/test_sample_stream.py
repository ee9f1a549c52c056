"""SampleStream: the rows of Sample in chunks, at the pace of the reader."""

import signal
import time
from itertools import pairwise

import grpc
import pytest
from support.messages import LARGE, SERVICE, frame

from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc

STREAM = f"/{SERVICE}/SampleStream"
ENDLESS = 2**40
# What may be made for a reader who takes nothing: HTTP/2's window for one stream, 64 KiB here, Envoy's buffer of 4 MiB
# and a few chunks. Rows of `large` are 4 KiB.
MOST_AHEAD_ROWS = (6 << 20) // 4096
CHUNK_ROWS = 64


def until(truth) -> None:
    end = time.monotonic() + 30
    while not truth():
        assert time.monotonic() < end


def handled(served, code: str) -> float:
    return served.sum("grpc_server_handled_total", grpc_method="SampleStream", grpc_code=code)


def decoded(served) -> float:
    return served.sum("vae_rows_total", model="large", graph="decoder")


def settled(served) -> float:
    """The rows decoded for the streams there are, once no more are."""
    now, same = decoded(served), 0
    while same < 30:  # readings, each an HTTP request that the server's own thread answers
        before, now = now, decoded(served)
        same = same + 1 if now == before else 0
    return now


@pytest.mark.parametrize("output", [pb.OUTPUT_MODE_MEAN, pb.OUTPUT_MODE_DRAW])
def test_its_rows_are_those_of_sample(stub, output):
    common = {"count": 1000, "seed": 5, "first_row": 3, "output": output, "want_latents": True, "temperature": 0.5}
    whole = stub.Sample(pb.SampleRequest(**common), timeout=30)
    chunks = list(stub.SampleStream(pb.SampleStreamRequest(**common, chunk_rows=300), timeout=30))
    assert [chunk.items.shape[0] for chunk in chunks] == [300, 300, 300, 100]
    assert [chunk.first_row for chunk in chunks] == [3, 303, 603, 903]
    assert b"".join(chunk.items.data for chunk in chunks) == whole.items.data
    assert b"".join(chunk.latents.data for chunk in chunks) == whole.latents.data
    assert all((chunk.seed, chunk.model) == (5, whole.model) for chunk in chunks)


def test_it_may_be_longer_than_any_request_and_ends_with_its_total_times(stub):
    stream = stub.SampleStream(pb.SampleStreamRequest(count=5000), timeout=60)
    chunks = list(stream)
    assert [chunk.items.shape[0] for chunk in chunks] == [256] * 19 + [136]
    assert len({chunk.seed for chunk in chunks}) == 1
    trailers = dict(stream.trailing_metadata())
    assert float(trailers["vae-run-seconds"]) > 0
    assert 1 <= int(trailers["vae-batch-rows"]) <= 5000


def test_chunks_are_small_enough_for_grpcs_usual_clients_unless_told_otherwise(stub):
    first = next(stub.SampleStream(pb.SampleStreamRequest(count=ENDLESS, model=LARGE), timeout=30))
    assert first.items.shape[0] == 256  # 1 MiB


def test_items_come_as_pictures_where_asked(stub):
    request = pb.SampleStreamRequest(count=5, seed=1, encoding=pb.ENCODING_PNG, chunk_rows=2)
    chunks = list(stub.SampleStream(request, timeout=30))
    assert [len(chunk.png) for chunk in chunks] == [2, 2, 1]
    alone = stub.Sample(pb.SampleRequest(count=5, seed=1, encoding=pb.ENCODING_PNG), timeout=30)
    assert [png for chunk in chunks for png in chunk.png] == list(alone.png)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"count": 0}, "count must be 1..281474976710656, got 0"),
        ({"count": 5, "first_row": 2**48 - 4}, "first_row must be 0.."),
        ({"count": 5, "chunk_rows": 4097}, "chunk_rows must be 0..4096, got 4097"),
        ({"count": 5, "temperature": 9.0}, "temperature must be 0..4, got 9"),
    ],
)
def test_a_bad_request_is_refused_before_any_row(stub, fields, told):
    with pytest.raises(grpc.RpcError) as refusal:
        next(stub.SampleStream(pb.SampleStreamRequest(**fields), timeout=30))
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.details().startswith(told)


def test_a_reader_who_takes_nothing_has_little_made_for_it_and_then_gets_the_rest(wire, stub, served):
    before = settled(served)
    request = pb.SampleStreamRequest(count=40 * MOST_AHEAD_ROWS, model=LARGE, seed=2, chunk_rows=CHUNK_ROWS)
    stream = wire.open(STREAM)
    wire.send(stream, frame(request.SerializeToString()), end=True)
    until(lambda: decoded(served) > before)
    ahead = settled(served) - before
    assert CHUNK_ROWS <= ahead <= MOST_AHEAD_ROWS
    # Others go on meanwhile, and the stream as soon as it is read.
    assert stub.Sample(pb.SampleRequest(count=8, model=LARGE), timeout=30).items.shape[0] == 8
    answer = wire.answers[stream]
    read = 2 * MOST_AHEAD_ROWS * 4096
    wire.wait(lambda: len(answer.body) >= read)
    assert not answer.ended
    wire.reset(stream)


def test_a_slow_readers_cancellation_ends_it_at_once(wire, served):
    before, cancelled = settled(served), handled(served, "CANCELLED")
    stream = wire.open(STREAM)
    wire.send(stream, frame(pb.SampleStreamRequest(count=ENDLESS, model=LARGE).SerializeToString()), end=True)
    until(lambda: decoded(served) > before)
    settled(served)
    wire.reset(stream)
    until(lambda: handled(served, "CANCELLED") == cancelled + 1)
    until(lambda: served.sum("vae_queue_rows", model="large") == 0)


def test_a_reader_who_leaves_in_mid_stream_frees_its_place(stub, served):
    cancelled = handled(served, "CANCELLED")
    streams = [stub.SampleStream(pb.SampleStreamRequest(count=ENDLESS)) for _ in range(3)]
    for stream in streams:
        next(stream)
        stream.cancel()
    until(lambda: handled(served, "CANCELLED") == cancelled + 3)
    until(lambda: served.sum("vae_queue_rows") == 0)


def test_its_deadline_ends_it_read_or_unread(stub, wire, served):
    with pytest.raises(grpc.RpcError) as end:
        for _ in stub.SampleStream(pb.SampleStreamRequest(count=ENDLESS), timeout=0.3):
            pass
    assert end.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    late = served.sum("grpc_server_handled_total", grpc_method="SampleStream")
    stream = wire.open(STREAM, ("grpc-timeout", "200m"))
    wire.send(stream, frame(pb.SampleStreamRequest(count=ENDLESS, model=LARGE).SerializeToString()), end=True)
    until(lambda: served.sum("grpc_server_handled_total", grpc_method="SampleStream") == late + 1)
    assert served.sum("vae_queue_rows") == 0


def test_small_requests_go_before_a_stream(stub):
    """A stream is bulk work: it gets the rows that interactive calls leave free, and at least a ninth of all."""
    streams = [stub.SampleStream(pb.SampleStreamRequest(count=ENDLESS, chunk_rows=1000)) for _ in range(3)]
    for stream in streams:
        next(stream)
    _, call = stub.Sample.with_call(pb.SampleRequest(count=1), timeout=30)
    waited = float(dict(call.trailing_metadata())["vae-queue-seconds"])
    for stream in streams:
        stream.cancel()
    assert waited < 0.5


def test_a_draining_server_ends_its_streams_between_chunks_and_exits_0(disposable):
    with grpc.insecure_channel(disposable.target) as channel:
        stub = vaeserve_pb2_grpc.VaeServiceStub(channel)
        stream = stub.SampleStream(pb.SampleStreamRequest(count=ENDLESS, seed=1), timeout=60)
        chunks = [next(stream)]
        disposable.process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError) as end:
            chunks.extend(stream)
    assert end.value.code() is grpc.StatusCode.UNAVAILABLE
    assert end.value.details() == "the server is shutting down"
    assert all(after.first_row - before.first_row == 256 for before, after in pairwise(chunks))
    assert disposable.wait() == 0
