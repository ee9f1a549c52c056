"""Starting, draining and failing to start, with real processes and signals."""

import json
import os
import shutil
import signal
import subprocess
import sys

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.artifacts import write_artifact
from support.server import ServerProcess, server

from server.engine import engine
from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc

pytestmark = pytest.mark.e2e
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.mark.parametrize("service", ["", "vaeserve.v1.VaeService"])
def test_health_is_known_for_the_server_and_its_service(shared, service):
    with grpc.insecure_channel(shared.target) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status == SERVING


def test_sigterm_says_not_serving_to_watchers_finishes_what_was_accepted_and_exits_0(models):
    with server(models, "--default-model", "tiny") as process, grpc.insecure_channel(process.target) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(watch).status == SERVING
        stub = vaeserve_pb2_grpc.VaeServiceStub(channel)
        calls = [stub.Sample.future(pb.SampleRequest(count=400, seed=i), timeout=60) for i in range(40)]
        calls[0].result()
        process.process.send_signal(signal.SIGTERM)
        assert next(watch).status == NOT_SERVING
        watch.cancel()
        codes = [call.code().name for call in calls]
        assert process.wait() == 0
    # What was not accepted is told so at once; what was accepted is answered.
    assert set(codes) <= {"OK", "UNAVAILABLE"}
    assert codes.count("OK") >= 1
    assert [event for line in process.lines if (event := json.loads(line)["event"]) != "call"][-2:] == [
        "draining",
        "stopped",
    ]


def test_a_drain_delay_keeps_serving_until_it_is_over(models):
    with server(models, "--default-model", "tiny", "--drain-delay", "1") as process:
        with grpc.insecure_channel(process.target) as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
            assert next(watch).status == SERVING
            process.process.send_signal(signal.SIGTERM)
            assert next(watch).status == NOT_SERVING
            stub = vaeserve_pb2_grpc.VaeServiceStub(channel)
            assert len(stub.Sample(pb.SampleRequest(count=1), timeout=10).items.data) == 64
            watch.cancel()
        assert process.wait() == 0


def test_a_second_signal_exits_now(models):
    with (
        server(models, "--default-model", "tiny", "--drain-delay", "600") as process,
        grpc.insecure_channel(process.target) as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(watch).status == SERVING
        process.process.send_signal(signal.SIGTERM)
        assert next(watch).status == NOT_SERVING
        process.process.send_signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM


def refused(*arguments: str) -> str:
    """The one line of a server that cannot start."""
    process = ServerProcess(*arguments)
    assert process.wait() == 2
    process.process.stderr.close()
    (line,) = process.lines[-1:]
    assert not any("Traceback" in line for line in process.lines)
    return json.loads(line)["reason"] if line.startswith("{") else line


def test_a_folder_without_models_is_reported_in_one_line(tmp_path):
    assert refused("--models", str(tmp_path)).startswith(f"{tmp_path}: holds no model")
    assert refused("--models", str(tmp_path / "nowhere")) == f"{tmp_path / 'nowhere'}: no such folder"


def test_a_broken_only_model_is_reported_in_one_line(tmp_path):
    (write_artifact(tmp_path / "m" / "1") / "decoder.onnx").write_bytes(b"")
    assert "no model is ready; m version 1: decoder.onnx: sha256 is" in refused("--models", str(tmp_path))


def test_a_taken_port_is_reported_in_one_line(models, shared):
    port = shared.target.rpartition(":")[2]
    reason = refused("--models", str(models), "--port", port)
    assert reason.startswith(f"--port: cannot listen on 127.0.0.1:{port}")
    reason = refused("--models", str(models), "--metrics-port", port)
    assert reason.startswith(f"--metrics-port: cannot listen on 127.0.0.1:{port}")


@pytest.mark.skipif(engine.PROVIDER["cuda"] in engine.ort.get_available_providers(), reason="has CUDA")
def test_a_missing_gpu_is_reported_in_one_line_or_with_auto_the_cpu_serves_and_the_log_says_so(models):
    assert refused("--models", str(models), "--device", "cuda").startswith("device cuda: ")
    with server(models, "--default-model", "tiny", "--device", "auto") as process:
        process.terminate()
    ready = [json.loads(line) for line in process.lines if '"model ready"' in line]
    assert ready
    assert all(event["decoder"].startswith("CPUExecutionProvider ") for event in ready)


def test_wrong_flags_are_reported_together(models):
    lines = subprocess.run(
        [sys.executable, "-m", "server", "--port", "x", "--device", "tpu"], capture_output=True, text=True, check=False
    )
    assert lines.returncode == 2
    assert lines.stderr.splitlines() == [
        "--port must be a number 0..65535, got 'x'",
        "--device must be one of cpu, cuda, auto, got 'tpu'",
    ]


def test_a_broken_version_does_not_stop_the_others_and_is_listed_with_its_reason(models, tmp_path):
    shutil.copytree(models / "tiny" / "1", tmp_path / "tiny" / "1")
    shutil.copytree(models / "tiny" / "1", tmp_path / "tiny" / "2")
    (tmp_path / "tiny" / "2" / "encoder.onnx").write_bytes(b"")
    with server(tmp_path) as process, grpc.insecure_channel(process.target) as channel:
        stub = vaeserve_pb2_grpc.VaeServiceStub(channel)
        assert stub.Sample(pb.SampleRequest(count=1), timeout=10).model.version == "1"
        broken, whole = stub.ListModels(pb.ListModelsRequest(), timeout=10).models
        assert (broken.model.version, broken.state) == ("2", pb.MODEL_STATE_FAILED)
        assert broken.reason.startswith("encoder.onnx: sha256 is")
        assert (whole.state, whole.is_default) == (pb.MODEL_STATE_READY, True)
        assert process.sum("vae_model_loads_total", result="failed") == 1
        assert process.sum("vae_model_ready") == 1


def test_serving_writes_nothing_into_the_home_folder_but_what_calibration_keeps(models, tmp_path):
    """By default onnxruntime leaves a telemetry cache there."""
    env = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"} | {"HOME": str(tmp_path)}
    env.pop("XDG_CACHE_HOME", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "server", "--models", str(models), "--port", "0", "--metrics-port", "0"],
        stderr=subprocess.PIPE, text=True, env=env,
    )  # fmt: skip
    for line in process.stderr:
        if "ready" in line and "port" in line and "model" not in line:
            break
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 0
    written = {path for path in tmp_path.rglob("*") if path.is_file()}
    kept = {path for path in written if path.is_relative_to(tmp_path / ".cache/vaeserve/calibration")}
    assert (len(kept), written - kept) == (3, set())  # one for each model


class Start:
    """What a server said of its models once it had started."""

    def __init__(self, process: ServerProcess) -> None:
        self.ready = [json.loads(line) for line in process.lines if '"model ready"' in line]
        with grpc.insecure_channel(process.target) as channel:
            asked = pb.GetModelRequest(model=pb.ModelSelector(name="learned"))
            self.learned = vaeserve_pb2_grpc.VaeServiceStub(channel).GetModel(asked, timeout=30)


@pytest.fixture(scope="module")
def starts(models, tmp_path_factory) -> tuple[Start, Start]:
    """Two starts that calibrate and keep what they measured in the same folder."""
    cache = {"VAESERVE_CALIBRATION_CACHE": str(tmp_path_factory.mktemp("cache"))}

    def start() -> Start:
        with server(models, "--default-model", "tiny", calibrate=True, env=cache) as process:
            return Start(process)

    return start(), start()


def test_a_restart_takes_what_the_first_start_measured(starts):
    for start, source in zip(starts, ("measured", "cached"), strict=True):
        assert {line["model"] for line in start.ready} == {"tiny", "learned", "table"}
        assert {line["decoder"].rpartition(" ")[2] for line in start.ready} == {source}


def test_a_model_tells_what_was_measured_for_it_and_which_way_was_taken(starts):
    graphs = starts[0].learned.graphs
    assert set(graphs) == {"encoder", "decoder", "prior", "prior_log_density"}
    for graph in graphs.values():
        assert graph.source == pb.EXECUTION_SOURCE_MEASURED
        way = (graph.max_batch_rows, graph.executors, graph.threads)
        assert way in {(rate.rows, rate.executors, rate.threads) for rate in graph.rates}
        assert min(rate.rows_per_second for rate in graph.rates) > 0


def test_a_cache_that_cannot_be_written_is_reported_once_and_the_server_serves(models, tmp_path):
    (tmp_path / "file").touch()
    cache = {"VAESERVE_CALIBRATION_CACHE": str(tmp_path / "file" / "cache")}
    with server(models, "--default-model", "tiny", calibrate=True, env=cache) as process:
        told = [json.loads(line) for line in process.lines if "calibration not kept" in line]
    assert [(line["level"], line["reason"]) for line in told] == [("info", f"{tmp_path}/file/cache: Not a directory")]


def test_serving_imports_neither_torch_nor_training():
    code = (
        "import sys, server.app.serve; print([m for m in ('torch', 'training', 'onnx', 'scipy') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"
