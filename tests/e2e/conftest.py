"""Two shared servers for tests that do not disturb them: one of small models, one of the shipped models."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from support.artifacts import write_artifact
from support.server import ServerProcess, server

from vaeserve.v1 import vaeserve_pb2_grpc


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_artifact(folder / "tiny" / "1")
    write_artifact(folder / "learned" / "1", learned_prior=True, seed=1)
    scale = (1.0, 2.0, 0.5, 1000.0, 1.0)
    write_artifact(folder / "table" / "1", item_shape=(5,), likelihood="gaussian", scale=scale, seed=2)
    return folder


@pytest.fixture(scope="session")
def shared(models) -> Iterator[ServerProcess]:
    with server(models, "--default-model", "tiny") as process:
        yield process


@pytest.fixture(scope="session")
def shipped() -> Iterator[ServerProcess]:
    """The artifacts in exported/, served as `make serve` serves them."""
    with server(Path(__file__).parents[2] / "exported") as process:
        yield process


@pytest.fixture
def stub(shared) -> Iterator[vaeserve_pb2_grpc.VaeServiceStub]:
    with grpc.insecure_channel(shared.target) as channel:
        yield vaeserve_pb2_grpc.VaeServiceStub(channel)
