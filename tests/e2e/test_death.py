"""The death of an executor ends the process, so that a supervisor can restart it, and fails every waiting call."""

import asyncio

import grpc
import pytest
from support.server import FIXED

from server.app.serve import serve
from server.core.batching.scheduler import Scheduler
from server.settings import read
from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc

pytestmark = pytest.mark.e2e


class Log:
    """Remembers what is logged; `ready` is set once the server is."""

    def __init__(self) -> None:
        self.events: dict[str, dict] = {}
        self.ready = asyncio.Event()

    def info(self, event: str, **facts) -> None:
        self.events[event] = facts
        if event == "ready":
            self.ready.set()

    warning = error = info


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the death is the point
def test_a_dead_executor_fails_its_callers_and_ends_the_process_with_1(models, monkeypatch):
    def learn(self, *, rows: int, seconds: float) -> None:
        raise MemoryError

    async def main() -> tuple[grpc.StatusCode, int, Log]:
        log = Log()
        ports = ("--port", "0", "--metrics-port", "0")
        settings = read([*FIXED, *ports, "--models", str(models), "--default-model", "tiny"], {})
        serving = asyncio.create_task(serve(settings, log))
        await asyncio.wait_for(log.ready.wait(), 30)
        monkeypatch.setattr(Scheduler, "learn", learn)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{log.events['ready']['port']}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await vaeserve_pb2_grpc.VaeServiceStub(channel).Sample(pb.SampleRequest(count=1), timeout=30)
        return failure.value.code(), await asyncio.wait_for(serving, 30), log

    code, exit_code, log = asyncio.run(main())
    assert code is grpc.StatusCode.INTERNAL
    assert exit_code == 1
    assert log.events["executor died"]["graph"] == "decoder"
