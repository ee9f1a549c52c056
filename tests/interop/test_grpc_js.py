"""grpc-js, which shares no code with grpcio, against every transport."""

import json
import shutil
import subprocess
from pathlib import Path

import grpc
import pytest
from support.artifacts import write_artifact
from support.server import server
from support.transports import TRANSPORTS

from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed"),
]
CLIENT = Path(__file__).with_name("client.js")
INVALID_ARGUMENT, DEADLINE_EXCEEDED, CANCELLED = 3, 4, 1


@pytest.fixture(params=TRANSPORTS)
def told(request, tmp_path):
    """What the client was told, and the same sample by grpcio's client."""
    write_artifact(tmp_path / "tiny" / "1")
    with server(tmp_path, "--transport", request.param) as process:
        run = subprocess.run(["node", CLIENT, process.target], capture_output=True, text=True, check=True, timeout=100)
        with grpc.insecure_channel(process.target) as channel:
            sample = vaeserve_pb2_grpc.VaeServiceStub(channel).Sample(pb.SampleRequest(count=100, seed=5))
    return json.loads(run.stdout), sample.items.data


def test_grpc_js_is_answered_as_grpcio_is(told):
    js, expected = told
    assert js["good"]["code"] == 0
    assert bytes.fromhex(js["good"]["bytes"]) == expected
    assert {"vae-batch-rows", "vae-queue-seconds", "vae-run-seconds"} <= set(js["good"]["trailers"])
    assert js["large"] == {"code": 0, "size": 4096 * 64}
    assert js["many"]
    assert js["refused"]["code"] == INVALID_ARGUMENT
    assert js["refused"]["details"] == "count must be 1..4096, got -1"
    assert "grpc-status-details-bin" in js["refused"]["trailers"]
    assert (js["late"]["code"], js["cancelled"]["code"], js["after"]) == (DEADLINE_EXCEEDED, CANCELLED, 0)
