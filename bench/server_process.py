"""Starts our server for a measurement, until its first answer, and stops it."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.process import Log, process
from vaeserve import Client


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers."""

    target: str
    pid: int
    seconds_to_first_answer: float


@contextmanager
def ours(models: Path, flags: Sequence[str], *, cores: str) -> Iterator[RunningServer]:
    """`python -m server` on free ports. Raises RuntimeError if it does not start."""
    command = [sys.executable, "-m", "server", "--models", str(models)]
    command += ["--port", "0", "--metrics-port", "0", "--log-format", "json", *flags]
    began = time.monotonic()
    with process(command, cores=cores) as (started, log):
        port = _ready_port(log)
        with Client(f"127.0.0.1:{port}") as client:
            client.sample(1, seed=0)
        yield RunningServer(f"127.0.0.1:{port}", started.pid, time.monotonic() - began)


def _ready_port(log: Log) -> int:
    return int(json.loads(log.wait_for('"event": "ready"'))["port"])
