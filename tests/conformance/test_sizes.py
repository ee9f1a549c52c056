"""Messages up to the limit, over it, and compressed."""

import grpc
import pytest
from support.messages import LARGE, items

from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc

ROW = (1, 32, 32)  # 4 KiB
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@pytest.fixture
def stub(served):
    with grpc.insecure_channel(served.target, options=UNLIMITED) as channel:
        yield vaeserve_pb2_grpc.VaeServiceStub(channel)


def test_the_largest_request_is_answered(stub):
    answer = stub.Encode(pb.EncodeRequest(items=items(4096, ROW), model=LARGE), timeout=60)  # 16 MiB
    assert answer.mean.shape == [4096, 3]


def test_the_largest_answer_arrives(stub):
    answer = stub.Sample(pb.SampleRequest(count=4096, seed=1, model=LARGE), timeout=60)
    assert len(answer.items.data) == 4096 * 4096


def test_large_requests_at_once_are_not_mixed_up(stub):
    values = [items(512, ROW), items(1, ROW)]
    expected = [stub.Encode(pb.EncodeRequest(items=each, model=LARGE), timeout=60).mean for each in values]
    calls = [stub.Encode.future(pb.EncodeRequest(items=values[i % 2], model=LARGE), timeout=60) for i in range(8)]
    assert [call.result().mean for call in calls] == expected * 4


def test_a_message_over_the_limit_is_refused_and_the_connection_goes_on(stub):
    with pytest.raises(grpc.RpcError) as refusal:
        stub.Encode(pb.EncodeRequest(items=items(4200, ROW), model=LARGE), timeout=60)
    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(stub.Sample(pb.SampleRequest(count=1), timeout=30).items.data) == 64


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_requests_are_answered_alike(stub, algorithm):
    request = pb.EncodeRequest(items=items(16, ROW), model=LARGE)
    assert stub.Encode(request, compression=algorithm, timeout=60) == stub.Encode(request, timeout=60)
