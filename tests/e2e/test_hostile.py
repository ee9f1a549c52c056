"""Any bad input is answered with a typed error, and the server goes on serving."""

import socket
import subprocess
import sys
import time

import grpc
import numpy as np
import pytest

from vaeserve.v1 import vaeserve_pb2 as pb

pytestmark = pytest.mark.e2e
NAN = np.full(16, np.nan, np.float32).tobytes()
GOOD = pb.Tensor(dtype=pb.DATA_TYPE_FLOAT32, shape=[1, 1, 4, 4], data=bytes(64))


def items(dtype: int, shape: list[int], data: bytes = b"") -> pb.Tensor:
    return pb.Tensor(dtype=dtype, shape=shape, data=data)


def still_serving(stub) -> bool:
    return len(stub.Encode(pb.EncodeRequest(items=GOOD)).mean.data) == 12


@pytest.mark.parametrize(
    ("method", "request_", "code", "field"),
    [
        ("Sample", pb.SampleRequest(), "INVALID_ARGUMENT", "count"),
        ("Sample", pb.SampleRequest(count=-1), "INVALID_ARGUMENT", "count"),
        ("Sample", pb.SampleRequest(count=2**31), "INVALID_ARGUMENT", "count"),
        ("Sample", pb.SampleRequest(count=2**63 - 1), "INVALID_ARGUMENT", "count"),
        ("Sample", pb.SampleRequest(count=1, seed=-1), "INVALID_ARGUMENT", "seed"),
        ("Sample", pb.SampleRequest(count=1, first_row=-1), "INVALID_ARGUMENT", "first_row"),
        ("Sample", pb.SampleRequest(count=2, first_row=2**48 - 1), "INVALID_ARGUMENT", "first_row"),
        ("Sample", pb.SampleRequest(count=1, temperature=float("nan")), "INVALID_ARGUMENT", "temperature"),
        ("Sample", pb.SampleRequest(count=1, output=9), "INVALID_ARGUMENT", "output"),
        ("Sample", pb.SampleRequest(count=1, encoding=9), "INVALID_ARGUMENT", "encoding"),
        ("Sample", pb.SampleRequest(count=1, model=pb.ModelSelector(name="x")), "NOT_FOUND", None),
        ("Sample", pb.SampleRequest(count=1, model=pb.ModelSelector(version="9")), "NOT_FOUND", None),
        ("Sample", pb.SampleRequest(count=1, model=pb.ModelSelector(name="../etc")), "NOT_FOUND", None),
        ("Encode", pb.EncodeRequest(), "INVALID_ARGUMENT", "items.dtype"),
        ("Encode", pb.EncodeRequest(items=items(2, [1, 1, 4, 5], bytes(20))), "INVALID_ARGUMENT", "items.shape"),
        ("Encode", pb.EncodeRequest(items=items(2, [2**62, 1, 4, 4])), "INVALID_ARGUMENT", "items.shape"),
        ("Encode", pb.EncodeRequest(items=items(1, [1, 1, 4, 4], bytes(63))), "INVALID_ARGUMENT", "items.data"),
        ("Encode", pb.EncodeRequest(items=items(1, [1, 1, 4, 4], NAN)), "INVALID_ARGUMENT", "items.data"),
        ("Encode", pb.EncodeRequest(items=GOOD, draws=-1), "INVALID_ARGUMENT", "draws"),
        ("Encode", pb.EncodeRequest(items=GOOD, draws=65), "INVALID_ARGUMENT", "draws"),
        ("Reconstruct", pb.ReconstructRequest(items=GOOD, latent=7), "INVALID_ARGUMENT", "latent"),
        ("Decode", pb.DecodeRequest(), "INVALID_ARGUMENT", "latents.dtype"),
        ("Decode", pb.DecodeRequest(latents=items(2, [1, 3], bytes(3))), "INVALID_ARGUMENT", "latents.dtype"),
        ("GetModel", pb.GetModelRequest(model=pb.ModelSelector(name="x")), "NOT_FOUND", None),
    ],
)  # fmt: skip
def test_a_bad_request_is_refused_by_name(stub, method, request_, code, field):
    with pytest.raises(grpc.RpcError) as refusal:
        getattr(stub, method)(request_, timeout=10)
    assert refusal.value.code().name == code
    if field is not None:
        assert refusal.value.details().startswith(field + " ")
        assert "grpc-status-details-bin" in dict(refusal.value.trailing_metadata())
    assert still_serving(stub)


def test_bytes_that_are_not_a_message_are_refused(shared, stub):
    with grpc.insecure_channel(shared.target) as channel:
        call = channel.unary_unary("/vaeserve.v1.VaeService/Sample")
        with pytest.raises(grpc.RpcError) as refusal:
            call(b"\xff\xfe\xfd", timeout=10)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert still_serving(stub)


def test_an_unknown_method_is_unimplemented(shared, stub):
    with grpc.insecure_channel(shared.target) as channel, pytest.raises(grpc.RpcError) as refusal:
        channel.unary_unary("/vaeserve.v1.VaeService/Nothing")(b"", timeout=10)
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert still_serving(stub)


def test_an_oversized_message_is_refused_before_it_is_read(stub):
    too_large = pb.Tensor(dtype=1, shape=[8192, 1, 4, 4], data=bytes(8192 * 64))
    with pytest.raises(grpc.RpcError) as refusal:
        stub.Encode(pb.EncodeRequest(items=too_large), timeout=10)
    assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert still_serving(stub)


def test_a_largest_request_is_accepted(stub):
    largest = pb.Tensor(dtype=1, shape=[4096, 1, 4, 4], data=bytes(4096 * 64))
    assert stub.Encode(pb.EncodeRequest(items=largest), timeout=30).mean.shape == [4096, 3]


def test_rubbish_on_the_port_does_not_disturb(shared, stub):
    host, port = shared.target.split(":")
    for rubbish in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 1000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(rubbish)
        assert still_serving(stub)


def test_a_deadline_that_has_passed_is_deadline_exceeded(stub):
    with pytest.raises(grpc.RpcError) as refusal:
        stub.Sample(pb.SampleRequest(count=4096), timeout=1e-6)
    assert refusal.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert still_serving(stub)


CLIENT = """
import sys, grpc
from vaeserve.v1 import vaeserve_pb2 as pb, vaeserve_pb2_grpc as g
stub = g.VaeServiceStub(grpc.insecure_channel(sys.argv[1]))
calls = [stub.Sample.future(pb.SampleRequest(count=300)) for _ in range(50)]  # as many as may wait
calls[0].result()
print("calling", flush=True)
while True:
    calls.append(stub.Sample.future(pb.SampleRequest(count=300)))
    calls.pop(0).cancel()
"""


def test_killing_a_client_mid_call_disturbs_nobody(shared, stub):
    expected = stub.Sample(pb.SampleRequest(count=8, seed=3)).items.data
    victim = subprocess.Popen([sys.executable, "-c", CLIENT, shared.target], stdout=subprocess.PIPE, text=True)
    try:
        assert victim.stdout.readline() == "calling\n"
        assert stub.Sample(pb.SampleRequest(count=8, seed=3), timeout=30, wait_for_ready=True).items.data == expected
    finally:
        victim.kill()
        victim.wait()
        victim.stdout.close()
    for _ in range(20):
        assert stub.Sample(pb.SampleRequest(count=8, seed=3), timeout=30).items.data == expected
    end = time.monotonic() + 30
    while shared.sum("vae_queue_rows") > 0:  # what the victim left behind goes as soon as its end is noticed
        assert time.monotonic() < end
