"""Many callers become few graph runs, and everyone gets their own rows."""

import subprocess
import sys

import pytest
from support.artifacts import write_artifact
from support.server import ServerProcess, server

pytestmark = pytest.mark.e2e
CALLS = 15  # of each caller


def test_64_concurrent_callers_are_batched_and_nobody_gets_anothers_row(tmp_path):
    """A graph that takes milliseconds, so that the network is not the slowest part; its batch size is given."""
    write_artifact(tmp_path / "wide" / "1", encoder_width=2048)
    with server(tmp_path, "--max-batch-rows", "64") as process:
        rows, batches = batched(process, calls=CALLS)
    assert rows == 64 * CALLS
    assert rows / batches > 4


def batched(process: ServerProcess, *, calls: int) -> tuple[float, float]:
    """Rows and batches of 64 callers with one row each."""
    clients = [
        subprocess.Popen(
            [sys.executable, "-c", CALLER, process.target, str(first), str(calls)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for first in range(0, 64, 32)
    ]  # fmt: skip
    assert [client.stdout.readline() for client in clients] == ["ready\n"] * 2
    before = [process.sum(f"vae_batch_rows_{name}", graph="encoder") for name in ("sum", "count")]
    for client in clients:
        client.stdin.write("go\n")
        client.stdin.flush()
    assert [client.communicate(timeout=60)[0] for client in clients] == ["[]\n"] * 2
    after = [process.sum(f"vae_batch_rows_{name}", graph="encoder") for name in ("sum", "count")]
    rows, batches = (a - b for a, b in zip(after, before, strict=True))
    return rows, batches


# Thirty-two callers, each with one row in flight; prints the callers who got a row that is not theirs.
CALLER = """
import sys, threading
import grpc
import numpy as np
from vaeserve.v1 import vaeserve_pb2 as pb, vaeserve_pb2_grpc
target, first, calls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
stub = vaeserve_pb2_grpc.VaeServiceStub(grpc.insecure_channel(target))
def request(caller):
    shade = caller / 64
    values = np.full((1, 1, 4, 4), shade, "<f4")
    return pb.EncodeRequest(items=pb.Tensor(dtype=pb.DATA_TYPE_FLOAT32, shape=values.shape, data=values.tobytes()))
requests = {caller: request(caller) for caller in range(first, first + 32)}
expected = {caller: stub.Encode(request).mean.data for caller, request in requests.items()}
print("ready", flush=True)
sys.stdin.readline()
left, over, wrong = dict.fromkeys(expected, calls), threading.Semaphore(0), []
def call(caller):
    stub.Encode.future(requests[caller], timeout=60).add_done_callback(lambda done: take(caller, done))
def take(caller, done):
    if done.exception() or done.result().mean.data != expected[caller]:
        wrong.append(caller)
    left[caller] -= 1
    call(caller) if left[caller] else over.release()
for caller in expected:
    call(caller)
for caller in expected:
    over.acquire()
print(wrong, flush=True)
"""
