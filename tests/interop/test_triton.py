"""tritonclient, synchronous and asyncio, against every transport; in a process of its own (docs/how-to/triton.md)."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from support.artifacts import write_artifact
from support.server import server
from support.transports import TRANSPORTS

from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc

pytestmark = pytest.mark.interop
ROOT = Path(__file__).parents[2]
CLIENT = Path(__file__).parent / "triton" / "client.py"
PYTHON = CLIENT.with_name(".venv") / "bin" / "python"
DESCRIPTORS = ROOT / "server" / "edge" / "inference_v2" / "open_inference.binpb"


@dataclass(frozen=True)
class Told:
    """What the client was told, the arrays it got, and the native API's bytes for the same requests."""

    json: dict[str, Any]
    arrays: dict[str, np.ndarray]
    native: dict[str, bytes]


@pytest.fixture(scope="module", params=TRANSPORTS)
def told(request, tmp_path_factory) -> Told:
    folder = tmp_path_factory.mktemp("triton")
    write_artifact(folder / "models" / "tiny" / "1")
    x = np.random.default_rng(0).random((7, 1, 4, 4), np.float32)
    items = pb.Tensor(dtype=pb.DATA_TYPE_FLOAT32, shape=x.shape, data=x.tobytes())
    with server(folder / "models", "--transport", request.param) as process:
        with grpc.insecure_channel(process.target) as channel:
            stub = vaeserve_pb2_grpc.VaeServiceStub(channel)
            encoded = stub.Encode(pb.EncodeRequest(items=items))
            decoded = stub.Decode(pb.DecodeRequest(latents=encoded.mean))
            again = stub.Reconstruct(pb.ReconstructRequest(items=items))
            sampled = stub.Sample(pb.SampleRequest(count=50, seed=5, temperature=0.5, want_latents=True))
        requests = {
            "tiny-encoder/x": x,
            "tiny-decoder/z": np.frombuffer(encoded.mean.data, np.float32).reshape(7, -1),
            "tiny/x": x,
            "tiny-sampler/count": np.array([50]),
            "tiny-sampler/seed": np.array([5]),
            "tiny-sampler/temperature": np.array([0.5], np.float32),
        }
        np.savez(folder / "requests.npz", **requests)
        run = subprocess.run(
            [PYTHON, CLIENT, process.target, folder / "requests.npz", DESCRIPTORS, folder / "answers.npz"],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
    assert run.returncode == 0, run.stderr
    native = {
        "tiny-encoder/mean": encoded.mean,
        "tiny-encoder/logvar": encoded.log_var,
        "tiny-decoder/mean": decoded.items,
        "tiny/items": again.items,
        "tiny/reconstruction_nll": again.reconstruction_nll,
        "tiny/kl": again.kl,
        "tiny/elbo": again.elbo,
        "tiny/percentile": again.elbo_percentile,
        "tiny-sampler/items": sampled.items,
        "tiny-sampler/latents": sampled.latents,
    }
    with np.load(folder / "answers.npz") as answers:
        return Told(json.loads(run.stdout), dict(answers), {name: tensor.data for name, tensor in native.items()})


def test_its_numbers_are_those_of_the_native_api_bit_for_bit(told):
    seed = np.array([5], np.int64).tobytes()
    for way in ("sync", "aio"):
        got = {name.partition("/")[2]: array.tobytes() for name, array in told.arrays.items() if name.startswith(way)}
        assert got == told.native | {"tiny-sampler/seed": seed}


def test_its_fields_have_the_numbers_and_types_of_ours(told):
    assert told.json["differences"] == []


def test_many_requests_at_once_are_answered_alike(told):
    assert (told.json["overlapping"], told.json["aio"], told.json["patient"]) == (True, True, "a7")


@pytest.mark.parametrize(
    ("what", "code", "says"),
    [
        ("shape", "INVALID_ARGUMENT", "x.shape must be [1..4096, 1, 4, 4], got [2, 1, 4, 3]"),
        ("datatype", "INVALID_ARGUMENT", "x.datatype must be FP32 or UINT8, got 'FP16'"),
        ("name", "INVALID_ARGUMENT", "inputs must be x, got 'y'"),
        ("missing", "INVALID_ARGUMENT", "inputs must have x"),
        ("output", "INVALID_ARGUMENT", "outputs must be mean, logvar, got 'y'"),
        ("shared memory", "INVALID_ARGUMENT", "shared memory is not supported"),
        ("classification", "INVALID_ARGUMENT", "classification is not supported"),
        ("sequence", "INVALID_ARGUMENT", "sequences are not supported"),
        ("parameter", "INVALID_ARGUMENT", "must not have 'speed'"),
        ("timeout", "DEADLINE_EXCEEDED", "deadline"),
        ("model", "NOT_FOUND", "no model 'other'; there are tiny, tiny-encoder, tiny-decoder, tiny-sampler"),
        ("version", "NOT_FOUND", "no version '9'"),
        ("load", "UNIMPLEMENTED", ""),
    ],
)
def test_it_is_refused_clearly(told, what, code, says):
    got, message = told.json["refusals"][what]
    assert got == f"StatusCode.{code}"
    assert says in message


def test_it_reads_what_the_server_says_of_itself(told):
    described = told.json["described"]
    assert [described[key] for key in ("live", "ready", "model ready", "other ready")] == [True, True, True, False]
    assert described["server"]["name"] == "vaeserve"
    assert described["metadata"]["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["-1", "1", "4", "4"]}]
    config = described["config"]["config"]
    assert (config["max_batch_size"], config["input"][0]["data_type"]) == (4096, "TYPE_FP32")
    assert config["instance_group"][0]["kind"] == "KIND_CPU"
    assert [m["name"] for m in described["index"]["models"]] == ["tiny", "tiny-encoder", "tiny-decoder", "tiny-sampler"]


def test_statistics_count_every_row_of_its_requests(told):
    (before,) = told.json["described"]["statistics"]["model_stats"]
    (after,) = told.json["aio statistics"]["model_stats"]
    requests, rows = 21, 7
    assert int(after["inference_count"]) - int(before["inference_count"]) == requests * rows
    counts = [int(stats["inference_stats"]["success"]["count"]) for stats in (before, after)]
    assert counts[1] - counts[0] == requests
    assert int(after["execution_count"]) > int(before["execution_count"])


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_example_of_the_documentation_runs(transport):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "how-to" / "triton.md").read_text(), re.DOTALL)
    with server(ROOT / "exported", "--transport", transport) as process:
        assert code.count("127.0.0.1:50051") == 1
        code = code.replace("127.0.0.1:50051", process.target)
        code += "\nassert images.shape == decoded.shape == (16, 1, 28, 28) and scores.as_numpy('elbo').shape == (16,)"
        run = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True, check=False, timeout=100)
    assert run.returncode == 0, run.stderr
