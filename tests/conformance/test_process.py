"""The server as a process: it starts, drains and ends in the same way with every transport."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.messages import WIDE, items
from support.server import FIXED, ServerProcess, server
from support.transports import ENVOY_ONLY

from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Caller(threading.Thread):
    """Calls in a loop until it is refused."""

    def __init__(self, target: str, seed: int) -> None:
        super().__init__()
        self._target, self._seed = target, seed
        self.answered = 0
        self.first = threading.Event()
        self.refusal = ""

    def run(self) -> None:
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(self._target, options=options) as channel:
            stub = vaeserve_pb2_grpc.VaeServiceStub(channel)
            try:
                while stub.Sample(pb.SampleRequest(count=64, seed=self._seed), timeout=60):
                    self.answered += 1
                    self.first.set()
            except grpc.RpcError as error:
                self.refusal = f"{error.code().name}: {error.details()}"


def test_a_drain_under_load_cuts_nobody_and_leaves_with_0(disposable: ServerProcess, tmp_path: Path):
    assert list(tmp_path.iterdir()) == []
    callers = [Caller(disposable.target, seed) for seed in range(8)]
    with grpc.insecure_channel(disposable.target) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(watch).status == SERVING
        slow = vaeserve_pb2_grpc.VaeServiceStub(channel).Encode.future(
            pb.EncodeRequest(items=items(512), model=WIDE), timeout=60
        )
        for caller in callers:
            caller.start()
        for caller in callers:
            assert caller.first.wait(60)
        disposable.process.send_signal(signal.SIGTERM)
        assert next(watch).status == NOT_SERVING
        assert slow.result().mean.shape == [512, 3]
        assert list(watch) == []  # ended, not cut
    for caller in callers:
        caller.join()
    assert disposable.wait() == 0
    assert {caller.refusal for caller in callers} == {"UNAVAILABLE: the server is shutting down"}
    assert [event for line in disposable.lines if (event := json.loads(line)["event"]) != "call"][-2:] == [
        "draining",
        "stopped",
    ]


@ENVOY_ONLY  # tests/e2e asks grpcio
def test_a_second_signal_ends_it_now(disposable: ServerProcess):
    with grpc.insecure_channel(disposable.target) as channel:
        held = vaeserve_pb2_grpc.VaeServiceStub(channel).Encode.future(
            pb.EncodeRequest(items=items(4096), model=WIDE), timeout=60
        )
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(watch).status == SERVING
        disposable.process.send_signal(signal.SIGINT)
        assert next(watch).status == NOT_SERVING
        disposable.process.send_signal(signal.SIGTERM)
        assert disposable.wait() == -signal.SIGTERM
        assert held.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.OK}


def test_killed_it_leaves_neither_process_nor_file_nor_port_behind(disposable: ServerProcess, tmp_path: Path):
    pid = disposable.process.pid
    assert Path(f"/proc/{pid}/task/{pid}/children").read_text() == ""
    disposable.process.kill()
    assert disposable.wait() == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []
    with grpc.insecure_channel(disposable.target) as channel, pytest.raises(grpc.RpcError) as refusal:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
    assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_signal_while_loading_ends_it_at_once_and_leaves_no_file(transport: str, models: Path, tmp_path: Path):
    command = [sys.executable, "-m", "server", *FIXED, "--models", str(models), "--transport", transport]
    process = subprocess.Popen(
        [*command, "--port", "0", "--metrics-port", "0"],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    for line in process.stderr:
        if "model ready" in line:
            break
    process.send_signal(signal.SIGTERM)
    rest = process.communicate(timeout=30)[1]
    assert process.returncode in {0, 143}  # 0 if it was ready just then
    assert "Traceback" not in rest
    assert list(tmp_path.iterdir()) == []


DEADLY = """
from server.core.batching.scheduler import Scheduler
def learn(self, *, rows, seconds):
    raise MemoryError
Scheduler.learn = learn
"""


@ENVOY_ONLY  # tests/e2e asks grpcio
def test_a_dead_executor_ends_the_process_with_1(transport: str, models: Path, tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(DEADLY)
    arguments = ("--transport", transport, "--default-model", "tiny")
    with server(models, *arguments, env={"PYTHONPATH": str(tmp_path)}) as process:
        with grpc.insecure_channel(process.target) as channel, pytest.raises(grpc.RpcError) as failure:
            vaeserve_pb2_grpc.VaeServiceStub(channel).Sample(pb.SampleRequest(count=1), timeout=30)
        assert failure.value.code() is grpc.StatusCode.INTERNAL
        assert process.wait() == 1
    assert "executor died" in {json.loads(line).get("event") for line in process.lines if line.startswith("{")}
