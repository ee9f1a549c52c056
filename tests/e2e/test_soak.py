"""Fifty swaps of a version under steady load: no call is lost, and what was unloaded is given back."""

import shutil
import time
from pathlib import Path
from statistics import median

import grpc
import pytest
from support.artifacts import write_artifact
from support.callers import SteadyCaller
from support.messages import items
from support.server import START_SECONDS, ServerProcess, server
from support.transports import TRANSPORTS

from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SWAPS, WARM_UP, CALLERS = 50, 10, 4
# The weights of one version are 4 MiB: four that stayed would be seen. Measured: a rise of 0.5 to 2.3 MiB.
TOLERATED_MIB = 16.0
FLAGS = ("--max-batch-rows", "8", "--executors", "1", "--threads", "1", "--watch-seconds", "0.1")


def resident_mib(process: ServerProcess) -> float:
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_fifty_swaps_under_load_lose_no_call_and_leave_memory_flat(tmp_path: Path, transport: str) -> None:
    made = [write_artifact(tmp_path / "made" / str(seed), encoder_width=1024, seed=seed) for seed in (1, 2)]
    folder = tmp_path / "models" / "m"
    shutil.copytree(made[0], folder / "1")
    resident: list[float] = []
    with (
        server(folder.parent, *FLAGS, "--rollback-seconds", "0.5", "--transport", transport) as process,
        grpc.insecure_channel(process.target) as channel,
    ):
        stub = vaeserve_pb2_grpc.VaeServiceStub(channel)
        callers = [SteadyCaller(process.target, items=items(3)) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        for number in range(2, WARM_UP + SWAPS + 2):
            shutil.copytree(made[number % 2], folder / f".{number}.tmp")
            (folder / f".{number}.tmp").rename(folder / str(number))
            wait_for(stub, str(number))
            shutil.rmtree(folder / str(number - 1))
            process.wait_for("model unloaded", times=number - 1)
            resident.append(resident_mib(process))
        for caller in callers:
            caller.stop()
        assert [failure for caller in callers for failure in caller.failures] == []
        answers = sum((caller.versions for caller in callers), start=callers[0].versions.__class__())
        assert set(answers) >= {str(number) for number in range(1, WARM_UP + SWAPS + 2)}
        assert process.sum("vae_model_loads_total", result="ok") == WARM_UP + SWAPS + 1
        assert process.sum("vae_model_loads_total", result="failed") == 0
        assert process.sum("vae_model_ready") == 1
    before, after = median(resident[WARM_UP : WARM_UP + 5]), median(resident[-5:])
    told = (
        f"{transport}: {sum(answers.values())} answers, RSS {resident[0]:.1f} MiB after the first swap,"
        f" {before:.1f} MiB -> {after:.1f} MiB over the last {SWAPS}"
    )
    print(told)  # noqa: T201  # what `make soak` is run for
    assert after - before < TOLERATED_MIB, told


def wait_for(stub: vaeserve_pb2_grpc.VaeServiceStub, version: str) -> None:
    by = time.monotonic() + START_SECONDS
    while stub.Sample(pb.SampleRequest(count=1, seed=1), timeout=30).model.version != version:
        assert time.monotonic() < by
