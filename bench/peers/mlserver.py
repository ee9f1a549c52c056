"""Starts MLServer, with adaptive batching, on the graphs of an artifact."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.artifacts import ServedModel
from bench.peers.environment import python
from bench.peers.peer_process import answering, free_ports
from bench.server_process import RunningServer

RUNTIMES = Path(__file__).parent / "inside"
MAX_BATCH_REQUESTS = 64  # MLServer counts requests, not rows
MAX_BATCH_SECONDS = 0.001  # how long an incomplete batch waits
MESSAGE_BYTES = 64 << 20
MODELS = {"sampler": ("Sampler", "decoder.onnx"), "encoder": ("Encoder", "encoder.onnx")}


@contextmanager
def start(served: ServedModel, *, threads: int, cores: str) -> Iterator[RunningServer]:
    """A running MLServer. Raises CannotInstall, or RuntimeError if it does not start."""
    interpreter = python("mlserver", "mlserver==1.7.*")
    http_port, grpc_port = free_ports(2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder / "settings.json", _server_settings(http_port=http_port, grpc_port=grpc_port))
        for model, (runtime, file) in MODELS.items():
            path = served.artifact.path / file
            _write(folder / model / "model-settings.json", _model_settings(model, runtime, path, threads=threads))
        command = [str(interpreter.with_name("mlserver")), "start", str(folder)]
        shape, env = served.artifact.manifest.item.shape, {"PYTHONPATH": str(RUNTIMES)}
        with answering(command, port=grpc_port, item_shape=shape, cores=cores, cwd=folder, env=env) as running:
            yield running


def _server_settings(*, http_port: int, grpc_port: int) -> dict[str, Any]:
    """Settings without access log, metrics and worker processes: each costs calls/s on few cores."""
    return {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": http_port,
        "grpc_port": grpc_port,
        "grpc_max_message_length": MESSAGE_BYTES,
        "metrics_endpoint": None,
        "parallel_workers": 0,
    }


def _model_settings(model: str, runtime: str, path: Path, *, threads: int) -> dict[str, Any]:
    return {
        "name": model,
        "implementation": f"mlserver_runtime.{runtime}",
        "max_batch_size": MAX_BATCH_REQUESTS,
        "max_batch_time": MAX_BATCH_SECONDS,
        "parameters": {"uri": str(path), "extra": {"threads": threads}},
    }


def _write(path: Path, settings: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(settings))
