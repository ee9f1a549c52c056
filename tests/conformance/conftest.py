"""Conformance tests run on every transport, with servers that differ in nothing else."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from support.artifacts import write_artifact
from support.http2 import Http2, http2
from support.server import ServerProcess, server
from support.transports import TRANSPORTS

from vaeserve.v1 import vaeserve_pb2_grpc

QUEUE_ROWS = 4096  # as many as one request may hold
Serve = Callable[[str], ServerProcess]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`tiny` answers at once; a row of `wide` is slow to compute; a row of `large` is 4 KiB."""
    folder = tmp_path_factory.mktemp("models")
    write_artifact(folder / "tiny" / "1")
    write_artifact(folder / "wide" / "1", encoder_width=2048)
    write_artifact(folder / "large" / "1", item_shape=(1, 32, 32))
    return folder


@pytest.fixture(scope="session")
def serve(models: Path) -> Iterator[Serve]:
    """The one server of each transport, started when first asked for."""
    with ExitStack() as started:
        running: dict[str, ServerProcess] = {}

        def get(transport: str) -> ServerProcess:
            if transport not in running:
                running[transport] = started.enter_context(server(models, *flags(transport)))
            return running[transport]

        yield get
        # Whatever was asked of it: a refusal is no reason for a stack trace. (grpcio's own library logs some.)
        if "envoy" in running:
            assert [line for line in running["envoy"].lines if not line.startswith("{")] == []


def flags(transport: str) -> list[str]:
    return ["--transport", transport, "--default-model", "tiny", "--max-queue-rows", str(QUEUE_ROWS)]


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def served(transport: str, serve: Serve) -> ServerProcess:
    return serve(transport)


@pytest.fixture
def disposable(transport: str, models: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server for one test, with its temporary files in tmp_path."""
    with server(models, *flags(transport), env={"TMPDIR": str(tmp_path)}) as process:
        yield process


@pytest.fixture
def channel(served: ServerProcess) -> Iterator[grpc.Channel]:
    """grpcio's client, on a connection that no other test shares."""
    with grpc.insecure_channel(served.target, options=[("grpc.use_local_subchannel_pool", 1)]) as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.Channel) -> vaeserve_pb2_grpc.VaeServiceStub:
    return vaeserve_pb2_grpc.VaeServiceStub(channel)


@pytest.fixture
def wire(served: ServerProcess) -> Iterator[Http2]:
    """HTTP/2 by hand."""
    with http2(served.target) as connection:
        yield connection
