"""Starts PyTriton (Triton's core with a Python backend) on the graphs of an artifact."""

import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.artifacts import ServedModel
from bench.peers.environment import python
from bench.peers.peer_process import answering, free_ports
from bench.server_process import RunningServer

SCRIPT = Path(__file__).parent / "inside" / "pytriton_server.py"


@contextmanager
def start(served: ServedModel, *, threads: int, cores: str) -> Iterator[RunningServer]:
    """A running PyTriton. Raises CannotInstall, or RuntimeError if it does not start."""
    interpreter = python("pytriton", "nvidia-pytriton==0.7.*")
    grpc_port, http_port = free_ports(2)
    command = [interpreter, SCRIPT, served.artifact.path, threads, grpc_port, http_port]
    # Triton loads libpython by name, and another copy of that version would bring the wrong standard library.
    env = {"LD_LIBRARY_PATH": str(sysconfig.get_config_var("LIBDIR"))}
    with tempfile.TemporaryDirectory() as folder:
        shape = served.artifact.manifest.item.shape
        with answering(
            list(map(str, command)), port=grpc_port, item_shape=shape, cores=cores, cwd=Path(folder), env=env
        ) as running:
            yield running
