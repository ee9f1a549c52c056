"""sample_stream of both clients against a real gRPC server in this process: chunks, breaks, closing."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from support.fake_service import SEED, Failure, FakeService

import vaeserve
from vaeserve import AsyncClient, Client, calls
from vaeserve.resuming import ResumableStream
from vaeserve.v1 import vaeserve_pb2 as pb

Read = Callable[..., list[vaeserve.SampleChunk]]
LEAVING = Failure(grpc.StatusCode.UNAVAILABLE, "the server is shutting down")
FULL = Failure(
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    "the queue is full",
    details=(error_details_pb2.RetryInfo(retry_delay=Duration(nanos=1_000_000)),),
    trailers=(("grpc-retry-pushback-ms", "1"),),
)


def read_blocking(target: str, *args: Any, **kwargs: Any) -> list[vaeserve.SampleChunk]:
    with Client(target) as client:
        return list(client.sample_stream(*args, **kwargs))


def read_asyncio(target: str, *args: Any, **kwargs: Any) -> list[vaeserve.SampleChunk]:
    async def run() -> list[vaeserve.SampleChunk]:
        async with AsyncClient(target) as client:
            return [chunk async for chunk in client.sample_stream(*args, **kwargs)]

    return asyncio.run(run())


@pytest.fixture(params=[read_blocking, read_asyncio])
def read(request: pytest.FixtureRequest, target: str) -> Read:
    return lambda *args, **kwargs: request.param(target, *args, **kwargs)


def rows(chunks: list[vaeserve.SampleChunk]) -> list[int]:
    return [int(value) for chunk in chunks for value in chunk.items[:, 0, 0, 0]]


def test_chunks_come_in_row_order_with_seed_and_model(read: Read):
    chunks = read(5, first_row=3, want_latents=True)
    assert [len(chunk.items) for chunk in chunks] == [2, 2, 1]
    assert rows(chunks) == [SEED + 3 + i for i in range(5)]
    assert [(chunk.first_row, chunk.seed, str(chunk.model)) for chunk in chunks] == [
        (first, SEED, "toy/3") for first in (3, 5, 7)
    ]
    assert chunks[1].latents is not None
    np.testing.assert_array_equal(chunks[1].latents[:, 0], [50, 60])


@pytest.mark.parametrize("failure", [LEAVING, FULL])
def test_a_stream_that_breaks_off_goes_on_with_the_rest_of_the_same_model_and_seed(
    read: Read, service: FakeService, failure: Failure
):
    service.breaks, service.failures = [4, 3], [failure, failure]
    assert rows(read(10, first_row=1)) == [SEED + 1 + i for i in range(10)]
    first, second, third = service.requests
    assert not first.HasField("seed")
    assert [(r.first_row, r.count, r.seed, r.model.name, r.model.version) for r in (second, third)] == [
        (5, 6, SEED, "toy", "3"),
        (8, 3, SEED, "toy", "3"),
    ]


def test_a_break_after_the_last_row_is_none(read: Read, service: FakeService):
    service.breaks, service.failures = [4], [LEAVING]
    assert len(rows(read(4))) == 4
    assert len(service.requests) == 1


def test_the_rest_must_come_from_the_same_model(service: FakeService, target: str):
    service.breaks, service.failures = [2], [LEAVING]
    with Client(target) as client:
        stream = client.sample_stream(6)
        next(stream)
        service.ref = pb.ModelRef(name="toy", version="3", digest="another")
        with pytest.raises(vaeserve.FailedPrecondition, match="began with toy/3 of digest d1935"):
            list(stream)


def test_an_error_that_a_retry_cannot_mend_ends_the_stream(read: Read, service: FakeService):
    service.breaks, service.failures = [2], [Failure(grpc.StatusCode.INTERNAL, "broken")]
    with pytest.raises(vaeserve.Internal, match="broken"):
        read(6)
    assert len(service.requests) == 1


def test_a_stream_that_cannot_begin_is_retried_like_any_call(read: Read, service: FakeService):
    service.failures = [FULL]
    assert len(rows(read(4))) == 4
    assert len(service.requests) == 2


def test_the_timeout_is_for_the_whole_stream(read: Read, service: FakeService):
    service.breaks = [2]
    service.failures = [Failure(grpc.StatusCode.UNAVAILABLE, "busy", trailers=(("grpc-retry-pushback-ms", "60000"),))]
    with pytest.raises(vaeserve.Unavailable, match="busy"):
        read(6, timeout=30.0)
    assert len(service.requests) == 1


def test_what_cannot_be_sent_is_refused_before_the_first_step(target: str):
    with Client(target) as client:
        for fields in ({"chunk_rows": 0}, {"timeout": 0}, {"output": "x"}):
            with pytest.raises(vaeserve.InvalidInput):
                client.sample_stream(1, **fields)


def test_closing_the_iterator_cancels_the_stream_on_the_server(target: str, service: FakeService):
    with Client(target) as client:
        stream = client.sample_stream(10**9)
        next(stream)
        stream.close()
        assert service.gone.wait(30)


def test_closing_the_async_iterator_cancels_the_stream_on_the_server(target: str, service: FakeService):
    async def run() -> None:
        async with AsyncClient(target) as client:
            stream = client.sample_stream(10**9)
            await anext(stream)
            await stream.aclose()
            assert await asyncio.to_thread(service.gone.wait, 30)

    asyncio.run(run())


class Stream:
    """A stream on a clock that the test turns, of which two rows have come."""

    def __init__(self, **fields: Any) -> None:
        self.now = 0.0
        call = calls.sample_stream(calls.choose(None, None), 10, **fields)
        self.resuming = ResumableStream(call, clock=lambda: self.now, jitter=lambda: 1.0)
        tensor = pb.Tensor(dtype=pb.DATA_TYPE_FLOAT32, shape=[2, 1], data=bytes(8))
        self.resuming.take(pb.SampleStreamResponse(items=tensor, seed=1).SerializeToString())

    def pause(self, *trailers: tuple[str, str]) -> float:
        return self.resuming.pause("UNAVAILABLE", "gone", trailers)


def test_the_server_says_how_long_to_wait_and_some_jitter_is_added():
    assert Stream().pause() == pytest.approx(0.12)
    assert Stream().pause(("grpc-retry-pushback-ms", "500")) == pytest.approx(0.6)


@pytest.mark.parametrize("pushback", ["-1", "soon"])
def test_a_server_that_forbids_a_retry_is_obeyed(pushback: str):
    with pytest.raises(vaeserve.Unavailable):
        Stream().pause(("grpc-retry-pushback-ms", pushback))


def test_a_second_break_without_any_row_between_ends_the_stream():
    """gRPC has retried it meanwhile."""
    stream = Stream()
    stream.pause()
    with pytest.raises(vaeserve.Unavailable):
        stream.pause()


def test_the_time_left_shrinks_and_a_pause_that_would_outlast_it_is_not_made():
    stream = Stream(timeout=1.0)
    stream.now = 0.75
    assert stream.resuming.seconds_left == 0.25
    with pytest.raises(vaeserve.Unavailable):
        stream.pause(("grpc-retry-pushback-ms", "250"))


def test_both_clients_have_the_same_documented_stream():
    blocking, awaited = inspect.signature(Client.sample_stream), inspect.signature(AsyncClient.sample_stream)
    assert list(blocking.parameters.values()) == list(awaited.parameters.values())
    assert Client.sample_stream.__doc__ == AsyncClient.sample_stream.__doc__
    assert "SampleChunk" in str(blocking.return_annotation)
