"""Several workers on one port, with real processes: callers and Prometheus see one server, even if a worker dies."""

import json
import os
import re
import select
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import grpc
import pytest
from support.artifacts import write_artifact
from support.server import START_SECONDS, ServerProcess, server
from support.transports import TRANSPORTS

import vaeserve
from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc

pytestmark = pytest.mark.e2e
FLAGS = ("--default-model", "tiny", "--workers", "2")
CHANNELS = 16  # all to one of two workers once in 32,768 times


@pytest.fixture(params=TRANSPORTS, scope="module")
def transport(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def two(models: Path, transport: str) -> Iterator[ServerProcess]:
    """Two workers that no test disturbs."""
    with server(models, *FLAGS, "--transport", transport) as process:
        yield process


def workers(process: ServerProcess) -> list[int]:
    """The process ids of the workers."""
    pid = process.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def connections(pid: int, port: int) -> int:
    """How many connections to this port a process holds."""
    established = rf"\d+: \w+:{port:04X} \w+:\w+ 01 (?:\S+ +){{5}}(\d+)"
    tables = "".join(Path(f"/proc/{pid}/net/{name}").read_text() for name in ("tcp", "tcp6"))
    inodes = set(re.findall(established, tables))
    held = {os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir() if file.is_symlink()}
    return len(held & {f"socket:[{inode}]" for inode in inodes})


def seconds(line: str) -> float:
    """When a line was logged, in seconds since the epoch."""
    return datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()


def wait_until_gone(descriptors: list[int]) -> None:
    """Wait for processes by their pidfds."""
    for descriptor in descriptors:
        assert select.select([descriptor], [], [], START_SECONDS)[0]
        os.close(descriptor)


def handled(process: ServerProcess) -> float:
    return process.sum("grpc_server_handled_total", grpc_method="Sample", grpc_code="OK")


def test_workers_share_the_calls_answer_alike_and_add_up_in_one_exposition(two):
    before = handled(two)
    with vaeserve.Client(two.target, channels=CHANNELS) as client:
        answers = {client.sample(3, seed=5).items.tobytes() for _ in range(2 * CHANNELS)}
        shares = [connections(pid, int(two.target.rpartition(":")[2])) for pid in workers(two)]
    assert len(answers) == 1
    assert sum(shares) == CHANNELS
    assert min(shares) > 0
    assert handled(two) - before == 2 * CHANNELS
    assert two.sum("vae_workers") == 2
    assert two.sum("vae_model_info", model="tiny") == 1
    assert two.sum("vae_executor_up", model="tiny", graph="decoder") == 1
    assert two.sum("vae_model_loads_total", result="ok") == 2 * 3


def test_ready_is_said_once_with_the_port_of_all(two):
    ready = [json.loads(line) for line in two.lines if '"event": "ready"' in line]
    assert [line["workers"] for line in ready] == [2]
    assert {"host", "port", "metrics_port", "seconds"} < ready[0].keys()
    assert sorted(json.loads(line)["worker"] for line in two.lines if '"event": "worker ready"' in line) == [0, 1]


def test_a_key_in_the_terminal_reaches_the_supervisor_alone(two):
    assert os.getpgid(two.process.pid) not in {os.getpgid(pid) for pid in workers(two)}


def test_a_port_that_other_workers_share_is_taken(two, models):
    port = two.target.rpartition(":")[2]
    newcomer = ServerProcess("--models", str(models), "--workers", "2", "--port", port)
    assert newcomer.wait() == 2
    newcomer.process.stderr.close()
    (line,) = newcomer.lines
    assert json.loads(line)["reason"] == f"--port: cannot listen on 127.0.0.1:{port}: Address already in use"


def test_a_worker_that_cannot_start_ends_all_with_its_one_line(tmp_path, transport):
    process = ServerProcess("--models", str(tmp_path), "--workers", "3", "--transport", transport)
    assert process.wait() == 2
    process.process.stderr.close()
    (line,) = process.lines
    assert json.loads(line)["reason"].startswith(f"{tmp_path}: holds no model")


@pytest.mark.slow
def test_the_first_worker_measures_and_the_others_take_what_it_measured(tmp_path):
    write_artifact(tmp_path / "models" / "tiny" / "1")
    cache = {"VAESERVE_CALIBRATION_CACHE": str(tmp_path / "cache")}
    with server(tmp_path / "models", "--workers", "2", calibrate=True, env=cache) as process:
        ready = [json.loads(line) for line in process.lines if '"event": "model ready"' in line]
    assert [(line["worker"], line["decoder"].rpartition(" ")[2]) for line in ready] == [(0, "measured"), (1, "cached")]


def test_a_signal_while_workers_load_ends_all_silently(models, transport):
    process = ServerProcess("--models", str(models), *FLAGS, "--transport", transport)
    process.wait_for("model ready")
    left = [os.pidfd_open(pid) for pid in workers(process)]
    process.process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    process.process.stderr.close()
    wait_until_gone(left)
    assert {json.loads(line)["event"] for line in process.lines} <= {"model ready", "model routed", "worker ready"}


@pytest.mark.slow
def test_a_killed_worker_is_back_callers_go_on_and_no_count_goes_down_then_all_drain(models, transport):
    with server(models, *FLAGS, "--transport", transport) as process:
        with vaeserve.Client(process.target, channels=CHANNELS, timeout=60) as client:
            for seed in range(CHANNELS):
                client.sample(1, seed=seed)
            counted = handled(process)
            os.kill(workers(process)[0], signal.SIGKILL)
            for seed in range(2 * CHANNELS):
                client.sample(1, seed=seed)
            assert handled(process) >= counted + CHANNELS
        process.wait_for("worker ready", times=3)
        assert process.sum("vae_worker_restarts_total") == 1
        (died,) = [json.loads(line) for line in process.lines if '"event": "worker died"' in line]
        assert (died["how"], died["restart_seconds"]) == ("killed by SIGKILL", 0.1)
        assert len(workers(process)) == 2

        with grpc.insecure_channel(process.target) as channel:
            stub = vaeserve_pb2_grpc.VaeServiceStub(channel)
            calls = [stub.Sample.future(pb.SampleRequest(count=400, seed=i), timeout=60) for i in range(20)]
            calls[0].result()
            process.process.send_signal(signal.SIGTERM)
            codes = [call.code().name for call in calls]
        assert process.wait() == 0
    assert set(codes) <= {"OK", "UNAVAILABLE"}
    assert json.loads(process.lines[-1])["event"] == "stopped"


@pytest.mark.slow
def test_a_killed_worker_is_back_within_2_seconds_or_as_fast_as_this_machine_starts_one(models, transport):
    began = time.time()
    with server(models, *FLAGS, "--transport", transport) as process:
        os.kill(workers(process)[0], signal.SIGKILL)
        process.wait_for("worker ready", times=3)
        *ready, back = [line for line in process.lines if '"event": "worker ready"' in line]
        (died,) = [line for line in process.lines if '"event": "worker died"' in line]
    first = min(map(seconds, ready)) - began
    assert seconds(back) - seconds(died) < max(2.0, 1.5 * first)


@pytest.mark.slow
def test_workers_that_die_while_draining_make_the_exit_code_1(models):
    with server(models, *FLAGS, "--drain-delay", "600") as process:
        process.process.send_signal(signal.SIGTERM)
        process.wait_for("draining", times=3)  # its own and those of two workers
        for pid in workers(process):
            os.kill(pid, signal.SIGKILL)
        assert process.wait() == 1
    told = [json.loads(line) for line in process.lines if '"event": "worker did not drain"' in line]
    assert sorted((line["worker"], line["how"]) for line in told) == [
        (0, "killed by SIGKILL"),
        (1, "killed by SIGKILL"),
    ]


@pytest.mark.slow
def test_a_supervisor_that_is_killed_leaves_no_worker_behind(models, transport):
    with server(models, *FLAGS, "--transport", transport) as process:
        left = [os.pidfd_open(pid) for pid in workers(process)]
        assert len(left) == 2
        process.process.kill()
        wait_until_gone(left)


@pytest.mark.slow
def test_a_second_signal_ends_all_now(models, transport):
    with server(models, *FLAGS, "--drain-delay", "600", "--transport", transport) as process:
        left = [os.pidfd_open(pid) for pid in workers(process)]
        process.process.send_signal(signal.SIGINT)
        process.wait_for("draining", times=3)  # its own and those of two workers
        process.process.send_signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM
        wait_until_gone(left)
