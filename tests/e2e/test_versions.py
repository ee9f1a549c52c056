"""Versions that come and go while a real server serves, on both transports."""

import json
import os
import shutil
import signal
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.artifacts import write_artifact
from support.callers import SteadyCaller
from support.messages import items
from support.server import START_SECONDS, ServerProcess, server
from support.signer import Signer
from support.transports import TRANSPORTS

from vaeserve.admin.v1 import admin_pb2, admin_pb2_grpc
from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc

pytestmark = pytest.mark.e2e
WATCH = ("--watch-seconds", "0.1")
SERVICE = "vaeserve.v1.VaeService"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1 to 3 of one model, which answer differently."""
    folder = tmp_path_factory.mktemp("made")
    for seed in (1, 2, 3):
        write_artifact(folder / str(seed), seed=seed)
    return folder


@pytest.fixture
def models(made: Path, tmp_path: Path) -> Path:
    """A folder with model m, of which version 1 is there."""
    folder = tmp_path / "models"
    shutil.copytree(made / "1", folder / "m" / "1")
    return folder


@contextmanager
def stub_of(process: ServerProcess) -> Iterator[vaeserve_pb2_grpc.VaeServiceStub]:
    with grpc.insecure_channel(process.target) as channel:
        yield vaeserve_pb2_grpc.VaeServiceStub(channel)


def until(stub: vaeserve_pb2_grpc.VaeServiceStub, holds: Callable[[dict[str, pb.ModelSummary]], bool]) -> None:
    """Ask for the list of models until something holds of it, by version."""
    by = time.monotonic() + START_SECONDS
    while True:
        listed = {s.model.version: s for s in stub.ListModels(pb.ListModelsRequest(), timeout=30).models}
        if holds(listed):
            return
        assert time.monotonic() < by, listed


def ready(listed: dict[str, pb.ModelSummary], version: str) -> bool:
    return version in listed and listed[version].state == pb.MODEL_STATE_READY


def answered(stub: vaeserve_pb2_grpc.VaeServiceStub, **selector: str) -> str:
    request = pb.SampleRequest(count=1, seed=1, model=pb.ModelSelector(**selector))
    return stub.Sample(request, timeout=30).model.version


def test_a_new_version_takes_over_under_load_without_losing_a_call(models, made, transport):
    flags = (*WATCH, "--rollback-seconds", "0", "--transport", transport)
    with server(models, *flags) as process, stub_of(process) as stub:
        callers = [SteadyCaller(process.target, items=items(3)) for _ in range(4)]
        for caller in callers:
            caller.start()
        for version in ("2", "3"):
            shutil.copytree(made / version, models / "m" / version)
            until(stub, lambda listed, v=version: ready(listed, v) and listed[v].is_default)
            assert answered(stub) == version
        until(stub, lambda listed: listed["1"].state == pb.MODEL_STATE_UNLOADED)
        for caller in callers:
            caller.stop()
        assert [caller.failures for caller in callers] == [[], [], [], []]
        assert {version for caller in callers for version in caller.versions} == {"1", "2", "3"}
        # Each answer's rows are those of the version it names.
        assert len(set.union(*(caller.digests for caller in callers))) == 3
        process.wait_for("model unloaded", times=2)
        assert process.sum("vae_model_ready", version="3") == 1
        assert not [sample for sample in process.metrics() if 'version="1"' in sample or 'version="2"' in sample]
        assert process.sum("vae_model_loads_total", result="ok") == 3


def test_a_call_in_flight_ends_on_the_version_that_it_began_on(models, made, transport, tmp_path):
    wide = write_artifact(tmp_path / "models" / "wide" / "1", encoder_width=4096)
    flags = ("--watch-seconds", "0", "--rollback-seconds", "0", "--transport", transport)
    with server(models, *flags) as process, stub_of(process) as stub:
        slow = stub.Reconstruct.future(
            pb.ReconstructRequest(items=items(512), model=pb.ModelSelector(name="wide")), timeout=60
        )
        answered(stub, name="wide")
        (wide.parent / "2").mkdir()
        shutil.copytree(made / "2", wide.parent / "2", dirs_exist_ok=True)
        process.process.send_signal(signal.SIGHUP)
        while answered(stub, name="wide") == "1":
            pass
        assert slow.result().model.version == "1"
        process.wait_for("model unloaded")


def test_a_corrupt_version_never_takes_a_call_and_says_why_until_it_is_mended(models, made, transport):
    with server(models, *WATCH, "--transport", transport) as process, stub_of(process) as stub:
        bad = shutil.copytree(made / "2", models / "m" / "2", ignore=shutil.ignore_patterns("decoder.onnx"))
        (bad / "decoder.onnx").write_bytes((made / "2" / "decoder.onnx").read_bytes()[:-1] + b"?")
        until(stub, lambda listed: "2" in listed and listed["2"].state == pb.MODEL_STATE_FAILED)
        (two, one) = stub.ListModels(pb.ListModelsRequest(), timeout=30).models
        assert two.reason.startswith("decoder.onnx: sha256 is")
        assert (one.is_default, one.labels, one.share) == (True, ["stable"], 1.0)
        assert answered(stub) == "1"
        with pytest.raises(grpc.RpcError, match="m version 2 is failed"):
            answered(stub, name="m", version="2")
        assert process.sum("vae_model_loads_total", result="failed") == 1
        assert process.sum("vae_model_ready", version="2") == 0
        process.wait_for("model refused")
        shutil.copy(made / "2" / "decoder.onnx", bad / "decoder.onnx")
        until(stub, lambda listed: ready(listed, "2"))
        assert answered(stub) == "2"
        assert process.sum("vae_model_ready", version="2") == 1


def test_what_arrives_unsigned_or_signed_by_another_never_takes_a_call_until_it_is_signed(
    models, made, transport, tmp_path
):
    ours, theirs = Signer(tmp_path, "ours"), Signer(tmp_path, "theirs")
    ours.sign(models / "m" / "1")
    key = ("--model-signature-key", str(ours.public))
    with server(models, *WATCH, *key, "--transport", transport) as process, stub_of(process) as stub:
        shutil.copytree(made / "2", models / "m" / "2")
        theirs.sign(shutil.copytree(made / "3", tmp_path / "3"))
        shutil.copytree(tmp_path / "3", models / "m" / "3")
        until(stub, lambda listed: [s.state for v, s in listed.items() if v != "1"] == [pb.MODEL_STATE_FAILED] * 2)
        listed = {s.model.version: s for s in stub.ListModels(pb.ListModelsRequest(), timeout=30).models}
        assert listed["2"].reason == "model.sig: is missing; --model-signature-key requires it"
        assert listed["3"].reason.startswith("model.sig: does not prove this artifact")
        assert {answered(stub) for _ in range(5)} == {"1"}
        for version in ("2", "3"):
            with pytest.raises(grpc.RpcError, match=f"m version {version} is failed"):
                answered(stub, name="m", version=version)
        ours.sign(models / "m" / "3")
        until(stub, lambda listed: ready(listed, "3"))
        assert answered(stub) == "3"


def test_when_the_newest_is_removed_the_one_before_it_takes_over_from_memory(models, made, transport):
    with server(models, *WATCH, "--transport", transport) as process, stub_of(process) as stub:
        shutil.copytree(made / "2", models / "m" / "2")
        until(stub, lambda listed: ready(listed, "2"))
        assert (answered(stub), answered(stub, name="m", version="1")) == ("2", "1")
        shutil.rmtree(models / "m" / "2")
        until(stub, lambda listed: "2" not in listed)
        assert answered(stub) == "1"
        assert process.sum("vae_model_loads_total", result="ok") == 2  # version 1 was not loaded again
        with pytest.raises(grpc.RpcError, match="has no version '2'"):
            answered(stub, name="m", version="2")


def test_a_folder_that_is_suddenly_empty_leaves_what_serves(models, transport):
    with server(models, *WATCH, "--transport", transport) as process, stub_of(process) as stub:
        (models / "m").rename(models.parent / "elsewhere")
        process.wait_for("models not followed")
        assert answered(stub) == "1"


def test_models_come_and_go_with_their_health(models, made, transport):
    def health(process: ServerProcess, name: str) -> int:
        with grpc.insecure_channel(process.target) as channel:
            request = health_pb2.HealthCheckRequest(service=f"{SERVICE}/{name}")
            return health_pb2_grpc.HealthStub(channel).Check(request, timeout=30).status

    with server(models, *WATCH, "--transport", transport) as process, stub_of(process) as stub:
        assert health(process, "m") == SERVING
        with pytest.raises(grpc.RpcError, match="is unknown"):
            health(process, "n")
        shutil.copytree(made / "3", models / "n" / "3")
        process.wait_for("model routed", times=2)
        assert health(process, "n") == SERVING
        assert answered(stub, name="n") == "3"
        assert answered(stub, name="m") == "1"
        with pytest.raises(grpc.RpcError, match="is needed: there are m, n"):
            answered(stub)
        shutil.rmtree(models / "n")
        process.wait_for("model unloaded")
        with pytest.raises(grpc.RpcError, match="is unknown"):
            health(process, "n")
        assert not [sample for sample in process.metrics() if 'model="n"' in sample]


def test_labels_and_weights_follow_models_toml_and_a_broken_one_changes_nothing(models, made, transport):
    shutil.copytree(made / "2", models / "m" / "2")
    policy = models / "models.toml"
    policy.write_text('[models.m]\nstable = "1"\ncanary = "2"\n')
    with server(models, *WATCH, "--transport", transport) as process, stub_of(process) as stub:
        labels = {s.model.version: list(s.labels) for s in stub.ListModels(pb.ListModelsRequest(), timeout=30).models}
        assert labels == {"1": ["stable"], "2": ["canary"]}
        assert {answered(stub) for _ in range(20)} == {"1"}
        assert answered(stub, label="canary") == "2"
        with pytest.raises(grpc.RpcError, match="must be one of stable, canary, got 'newest'"):
            answered(stub, label="newest")
        policy.write_text('[models.m]\nstable = "1"\ncanary = "2"\ncanary_weight = 1\n')
        until(stub, lambda listed: listed["2"].share == 1.0)
        assert {answered(stub) for _ in range(20)} == {"2"}
        assert answered(stub, label="stable") == "1"
        policy.write_text('[models.m]\nstabel = "2"\n')
        process.wait_for("models not followed")
        (line,) = [json.loads(line) for line in process.lines if "models not followed" in line]
        assert line["reason"] == (
            f"{policy}: unknown key of [models.m] 'stabel'; allowed: stable, canary, canary_weight, keep"
        )
        assert answered(stub) == "2"
        policy.write_text("")
        until(stub, lambda listed: listed["2"].labels == ["stable"])


def test_sighup_scans_at_once_and_without_it_nothing_is_scanned(models, made, transport):
    flags = ("--watch-seconds", "0", "--transport", transport)
    with server(models, *flags) as process, stub_of(process) as stub:
        shutil.copytree(made / "2", models / "m" / "2")
        assert [s.model.version for s in stub.ListModels(pb.ListModelsRequest(), timeout=30).models] == ["1"]
        process.process.send_signal(signal.SIGHUP)
        until(stub, lambda listed: ready(listed, "2"))
        assert answered(stub) == "2"


def test_an_unneeded_version_is_unloaded_after_its_window_without_a_scan(models, made, transport):
    shutil.copytree(made / "2", models / "m" / "2")
    flags = ("--watch-seconds", "0", "--rollback-seconds", "1", "--transport", transport)
    with server(models, *flags) as process, stub_of(process) as stub:
        process.wait_for("model unloaded")
        assert {s.model.version: s.state for s in stub.ListModels(pb.ListModelsRequest(), timeout=30).models} == {
            "2": pb.MODEL_STATE_READY,
            "1": pb.MODEL_STATE_UNLOADED,
        }
        with pytest.raises(grpc.RpcError, match="m version 1 is unloaded"):
            answered(stub, name="m", version="1")


def test_the_admin_socket_reloads_and_is_for_this_user_alone(models, made, transport, tmp_path):
    path = tmp_path / "admin"
    flags = ("--watch-seconds", "0", "--admin-socket", str(path), "--transport", transport)
    with server(models, *flags) as process, stub_of(process) as stub:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        shutil.copytree(made / "2", models / "m" / "2")
        with grpc.insecure_channel(f"unix:{path}") as channel:
            admin = admin_pb2_grpc.AdminServiceStub(channel)
            reply = admin.Reload(admin_pb2.ReloadRequest(), timeout=60)
            assert [(s.model.version, s.is_default) for s in reply.models] == [("2", True), ("1", False)]
            assert reply.complaint == ""
            assert answered(stub) == "2"
            (models / "models.toml").write_text("default = 3")
            reply = admin.Reload(admin_pb2.ReloadRequest(), timeout=60)
            assert reply.complaint == f"{models}/models.toml: default is 3; it must be the name of a model"
        with grpc.insecure_channel(process.target) as channel, pytest.raises(grpc.RpcError) as refused:
            admin_pb2_grpc.AdminServiceStub(channel).Reload(admin_pb2.ReloadRequest(), timeout=60)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert process.terminate() == 0
    assert not path.exists()


def test_an_admin_socket_that_cannot_be_bound_is_reported_in_one_line(models, tmp_path):
    (tmp_path / "file").touch()
    process = ServerProcess("--models", str(models), "--admin-socket", str(tmp_path / "file"))
    assert process.wait() == 2
    process.process.stderr.close()
    reason = json.loads(process.lines[-1])["reason"]
    assert reason == f"--admin-socket: cannot listen on {tmp_path}/file: there is a file that is not a socket"


def test_every_worker_follows_a_signal_to_their_supervisor(models, made, transport, tmp_path):
    path = tmp_path / "admin"
    flags = ("--watch-seconds", "0", "--workers", "2", "--admin-socket", str(path), "--transport", transport)
    with server(models, *flags) as process:
        shutil.copytree(made / "2", models / "m" / "2")
        process.process.send_signal(signal.SIGHUP)
        process.wait_for("model ready", times=4)
        shutil.copytree(made / "3", models / "m" / "3")
        with grpc.insecure_channel(f"unix:{path}") as channel:
            admin_pb2_grpc.AdminServiceStub(channel).Reload(admin_pb2.ReloadRequest(), timeout=60)
        process.wait_for("model ready", times=6)
        assert process.sum("vae_model_loads_total", result="ok") == 6


# Hangs in the middle of a run, as a driver may, once a file is there.
HANGING = """
import os, time
from server.engine.graph import HostGraph
run = HostGraph.__call__
def hang(self, rows):
    while os.path.exists({file!r}):
        time.sleep(0.01)
    return run(self, rows)
HostGraph.__call__ = hang
from server.app import readiness
readiness.ANSWER_SECONDS = 0.5
"""


def test_health_is_that_of_the_executor_which_a_row_is_sent_through(models, transport, tmp_path):
    hang = tmp_path / "hang"
    (tmp_path / "sitecustomize.py").write_text(HANGING.format(file=str(hang)))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    with (
        server(models, "--transport", transport, env={"PYTHONPATH": path}) as process,
        grpc.insecure_channel(process.target) as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)

        def status(service: str) -> int:
            return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=30).status

        services = ("", SERVICE, f"{SERVICE}/m")
        before = process.sum("vae_rows_total", graph="decoder", outcome="ok")
        assert {status(service) for service in services} == {SERVING}
        assert process.sum("vae_rows_total", graph="decoder", outcome="ok") == before + 2  # all, and m
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=f"{SERVICE}/m"), timeout=60)
        assert next(watch).status == SERVING
        hang.touch()
        while status(f"{SERVICE}/m") == SERVING:
            pass
        assert next(watch).status == NOT_SERVING
        hang.unlink()
        while status(f"{SERVICE}/m") == NOT_SERVING:
            pass
        assert next(watch).status == SERVING
        watch.cancel()
