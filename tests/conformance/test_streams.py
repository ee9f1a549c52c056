"""Calls with many messages: the health watch, and reflection's dialogue."""

import threading

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from support.messages import SERVICE, frame

WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
SERVING, UNKNOWN = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


@pytest.fixture
def health(channel):
    return health_pb2_grpc.HealthStub(channel)


@pytest.mark.parametrize(("service", "status"), [("", SERVING), (SERVICE, SERVING), ("x", UNKNOWN)])
def test_a_watch_tells_the_state_at_once(health, service, status):
    watch = health.Watch(health_pb2.HealthCheckRequest(service=service), timeout=30)
    assert next(watch).status == status
    watch.cancel()


def test_a_watch_ends_with_its_deadline(health):
    watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=0.3)
    assert next(watch).status == SERVING
    with pytest.raises(grpc.RpcError) as end:
        next(watch)
    assert end.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_watch_whose_watcher_left_is_over(health, served):
    before = served.sum("grpc_server_handled_total", grpc_method="Watch", grpc_code="CANCELLED")
    watches = [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(3)]
    assert [next(watch).status for watch in watches] == [SERVING] * 3
    for watch in watches:
        watch.cancel()
    while served.sum("grpc_server_handled_total", grpc_method="Watch", grpc_code="CANCELLED") < before + 3:
        pass  # pytest's own time limit ends it


def test_a_watch_of_rubbish_is_refused_before_any_message(channel):
    watch = channel.unary_stream(WATCH)(b"\xff", timeout=30)
    with pytest.raises(grpc.RpcError) as refusal:
        next(watch)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_the_server_ends_a_watch_whose_watcher_forgets_the_deadline(wire):
    stream = wire.open(WATCH, ("grpc-timeout", "200m"))
    wire.send(stream, frame(b""), end=True)
    answer = wire.answer(stream)
    assert answer.reset is not None or answer.grpc_status == 4
    assert answer.body.startswith(b"\0")


def test_reflection_tells_every_service_and_its_messages(channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    assert {SERVICE, "grpc.health.v1.Health"} <= set(database.get_services())
    service = DescriptorPool(database).FindServiceByName(SERVICE)
    assert "Sample" in service.methods_by_name


def test_reflection_tells_the_open_inference_protocol_too(channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    assert "inference.GRPCInferenceService" in database.get_services()
    service = DescriptorPool(database).FindServiceByName("inference.GRPCInferenceService")
    assert service.methods_by_name["ModelInfer"].input_type.fields_by_name["raw_input_contents"].number == 7


def test_a_dialogue_answers_each_request_before_the_next_is_asked(channel):
    answered = threading.Semaphore(1)

    def ask():
        for _ in range(3):
            assert answered.acquire(timeout=30)
            yield ServerReflectionRequest(list_services="")

    call = channel.stream_stream(
        REFLECTION, ServerReflectionRequest.SerializeToString, ServerReflectionResponse.FromString
    )
    answers = 0
    for answer in call(ask(), timeout=60):
        assert answer.list_services_response.service
        answers += 1
        answered.release()
    assert answers == 3


def test_a_dialogue_ends_at_a_request_it_cannot_read(channel):
    call = channel.stream_stream(REFLECTION)(iter([b"", b"\xff"]), timeout=30)
    with pytest.raises(grpc.RpcError) as refusal:
        list(call)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_dialogue_without_requests_ends_ok(channel):
    assert list(channel.stream_stream(REFLECTION)(iter([]), timeout=30)) == []
