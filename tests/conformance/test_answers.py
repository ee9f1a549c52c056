"""Messages, status codes, details and trailers, as grpcio's client sees them."""

import queue

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from support.messages import WIDE, items
from support.transports import NEEDS_ENVOY

from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc


def detail(refusal: grpc.RpcError, kind):
    """The one detail of a rich status, which repeats code and message."""
    status = status_pb2.Status.FromString(dict(refusal.trailing_metadata())["grpc-status-details-bin"])
    assert (status.code, status.message) == (refusal.code().value[0], refusal.details())
    (packed,) = status.details
    unpacked = kind()
    assert packed.Unpack(unpacked)
    return unpacked


def test_a_good_answer_has_its_queue_and_run_times_in_trailers(stub):
    answer, call = stub.Sample.with_call(pb.SampleRequest(count=3, seed=1), timeout=30)
    assert len(answer.items.data) == 3 * 64
    assert (call.code(), call.details()) == (grpc.StatusCode.OK, "")
    trailers = dict(call.trailing_metadata())
    assert set(trailers) == {"vae-queue-seconds", "vae-run-seconds", "vae-batch-rows"}
    assert int(trailers["vae-batch-rows"]) >= 3


@pytest.mark.parametrize(
    ("method", "request_", "code", "message"),
    [
        ("Sample", pb.SampleRequest(count=0), "INVALID_ARGUMENT", "count must be 1..4096, got 0"),
        ("Encode", pb.EncodeRequest(), "INVALID_ARGUMENT", "items.dtype must be"),
        ("Sample", pb.SampleRequest(count=1, model=pb.ModelSelector(name="x")), "NOT_FOUND", "no model 'x'"),
        ("Encode", pb.EncodeRequest(items=items(1), expect_embedding_space="x"), "FAILED_PRECONDITION", "embedding"),
    ],
)  # fmt: skip
def test_a_refusal_has_its_code_and_says_why(stub, method, request_, code, message):
    with pytest.raises(grpc.RpcError) as refusal:
        getattr(stub, method)(request_, timeout=30)
    assert refusal.value.code().name == code
    assert message in refusal.value.details()


def test_a_bad_field_is_named_in_a_bad_request(stub):
    with pytest.raises(grpc.RpcError) as refusal:
        stub.Sample(pb.SampleRequest(count=-1), timeout=30)
    (violation,) = detail(refusal.value, error_details_pb2.BadRequest).field_violations
    assert (violation.field, violation.description) == ("count", "must be 1..4096, got -1")


def test_a_message_in_any_script_arrives_as_it_was(stub):
    with pytest.raises(grpc.RpcError) as refusal:
        stub.Sample(pb.SampleRequest(count=1, model=pb.ModelSelector(name="käse 100 %\n猫")), timeout=30)
    assert "no model 'käse 100 %\\n猫'" in refusal.value.details()


def test_a_full_queue_says_when_to_retry(stub):
    large = pb.EncodeRequest(items=items(4096), model=WIDE)
    first, second = (stub.Encode.future(large, timeout=60) for _ in range(2))
    refused = next(call for call in iter_done(first, second) if call.code() is not grpc.StatusCode.OK)
    for call in (first, second):
        call.cancel()
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert detail(refused.exception(), error_details_pb2.RetryInfo).retry_delay.ToMilliseconds() >= 1
    assert int(dict(refused.trailing_metadata())["grpc-retry-pushback-ms"]) >= 1


def iter_done(*calls):
    """Calls in the order in which they end."""
    done: queue.Queue[grpc.Future] = queue.Queue()
    for call in calls:
        call.add_done_callback(done.put)
    for _ in calls:
        yield done.get(timeout=60)


@pytest.mark.parametrize("path", ["/vaeserve.v1.VaeService/Nothing", "/no.Such/Sample", "/x"])
def test_an_unknown_method_is_unimplemented(channel, path):
    with pytest.raises(grpc.RpcError) as refusal:
        channel.unary_unary(path)(b"", timeout=30)
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_bytes_that_are_not_a_message_are_an_invalid_argument(channel):
    with pytest.raises(grpc.RpcError) as refusal:
        channel.unary_unary("/vaeserve.v1.VaeService/Sample")(b"\xff\xfe\xfd", timeout=30)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@NEEDS_ENVOY
@pytest.mark.parametrize("encoding", [pb.ENCODING_FLOAT32, pb.ENCODING_UINT8, pb.ENCODING_PNG])
def test_a_sample_is_the_same_bytes_over_every_transport(serve, encoding):
    request = pb.SampleRequest(count=100, seed=5, encoding=encoding, want_latents=True)
    answers = []
    for transport in ("grpcio", "envoy"):
        with grpc.insecure_channel(serve(transport).target) as channel:
            answers.append(vaeserve_pb2_grpc.VaeServiceStub(channel).Sample(request, timeout=30))
    assert answers[0].SerializeToString(deterministic=True) == answers[1].SerializeToString(deterministic=True)
