"""Deadlines, cancellation and killed clients: a call's place is free at once, and no other call is affected."""

import subprocess
import sys
import time

import grpc
import pytest
from support.messages import SAMPLE, WIDE, frame, items, sample
from support.server import ServerProcess

from vaeserve.v1 import vaeserve_pb2 as pb

HELD = pb.EncodeRequest(items=items(2048), model=WIDE)  # much work, for batches of every size
SMALL = pb.SampleRequest(count=8, seed=3)


def until(truth) -> None:
    """Poll until it holds: the server learns of a caller's end by a packet, which the test cannot wait for."""
    end = time.monotonic() + 30
    while not truth():
        assert time.monotonic() < end


def nothing_waits(served: ServerProcess) -> bool:
    return served.sum("vae_queue_rows") == 0


def handled(served: ServerProcess, method: str, code: str) -> float:
    return served.sum("grpc_server_handled_total", grpc_method=method, grpc_code=code)


@pytest.mark.parametrize("seconds", [1e-9, 0.001])
def test_a_deadline_that_has_passed_is_deadline_exceeded(stub, seconds):
    with pytest.raises(grpc.RpcError) as refusal:
        stub.Encode(HELD, timeout=seconds)
    assert refusal.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(stub.Sample(SMALL, timeout=30).items.data) == 8 * 64


def test_a_deadline_that_passes_in_the_queue_frees_the_place(stub, served):
    begun = time.monotonic()
    stub.Encode(HELD)
    in_full = time.monotonic() - begun
    with pytest.raises(grpc.RpcError) as refusal:
        stub.Encode(HELD, timeout=in_full / 4)
    assert refusal.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    until(lambda: nothing_waits(served))


def test_a_cancelled_call_frees_its_place(stub, served):
    before = handled(served, "Encode", "CANCELLED")
    calls = [stub.Encode.future(HELD) for _ in range(2)]
    until(lambda: served.sum("vae_queue_rows") > 2048)
    for call in calls:
        call.cancel()
    until(lambda: nothing_waits(served))
    until(lambda: handled(served, "Encode", "CANCELLED") == before + 2)
    assert len(stub.Sample(SMALL, timeout=30).items.data) == 8 * 64


def test_a_reset_before_the_request_is_complete_leaves_nothing_behind(wire, served):
    open_calls = [wire.open(SAMPLE) for _ in range(10)]
    for stream in open_calls:
        wire.send(stream, frame(sample())[:7])
        wire.reset(stream)
    assert wire.call(SAMPLE, frame(sample())).grpc_status == 0
    assert nothing_waits(served)


VICTIM = """
import sys, grpc
from vaeserve.v1 import vaeserve_pb2 as pb, vaeserve_pb2_grpc as g
stub = g.VaeServiceStub(grpc.insecure_channel(sys.argv[1]))
request = pb.EncodeRequest.FromString(sys.stdin.buffer.read())
calls = [stub.Encode.future(request) for _ in range(2)]
print("calling", flush=True)
calls[0].result()
"""


def test_a_client_that_is_killed_frees_its_places_and_disturbs_nobody(stub, served):
    expected = stub.Sample(SMALL, timeout=30).items.data
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, served.target], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    victim.stdin.write(HELD.SerializeToString())
    victim.stdin.close()
    assert victim.stdout.readline() == b"calling\n"
    until(lambda: served.sum("vae_queue_rows") > 2048)
    victim.kill()
    victim.wait()
    victim.stdout.close()
    assert stub.Sample(SMALL, timeout=30).items.data == expected
    until(lambda: nothing_waits(served))


STORM = """
import sys, grpc
from vaeserve.v1 import vaeserve_pb2 as pb, vaeserve_pb2_grpc as g
stub = g.VaeServiceStub(grpc.insecure_channel(sys.argv[1]))
request = pb.SampleRequest(count=64)
print("ready", flush=True)
sys.stdin.readline()
codes = set()
for _ in range(30):
    calls = [stub.Sample.future(request, timeout=0.002) for _ in range(50)]
    codes |= {call.code().name for call in calls}
print(*sorted(codes), flush=True)
"""


def test_a_storm_of_short_deadlines_leaves_a_neighbour_unharmed(stub, served):
    storm = subprocess.Popen(
        [sys.executable, "-c", STORM, served.target], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert storm.stdout.readline() == "ready\n"
    expected = stub.Sample(SMALL, timeout=30).items.data
    storm.stdin.write("go\n")
    storm.stdin.flush()
    answers = set()
    while storm.poll() is None:
        answers.add(stub.Sample(SMALL, timeout=30).items.data)
    assert answers == {expected}
    said = set(storm.communicate(timeout=30)[0].split())
    assert "DEADLINE_EXCEEDED" in said
    assert said <= {"OK", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
    until(lambda: nothing_waits(served))


def test_a_thousand_resets_leave_their_own_connection_open(wire):
    for _ in range(100):
        streams = [wire.open(SAMPLE) for _ in range(10)]
        for stream in streams:
            wire.send(stream, frame(sample()), end=True)
            wire.reset(stream)
        wire.pong()
    assert wire.call(SAMPLE, frame(sample())).grpc_status == 0
