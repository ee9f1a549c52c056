"""Starts a peer's process on free ports, and waits until all its models answer."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc

from bench.peers.open_inference import INFER
from bench.peers.payloads import Shape, of_every_model
from bench.process import START_SECONDS, process
from bench.server_process import RunningServer

PAUSE_SECONDS = 0.02  # between two requests; a server that is loading answers UNAVAILABLE or NOT_FOUND


def free_ports(count: int) -> list[int]:
    """Ports on which no process listens now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def answering(
    command: Sequence[str], *, port: int, item_shape: Shape, cores: str, cwd: Path, env: Mapping[str, str]
) -> Iterator[RunningServer]:
    """An Open Inference server, after all its models have answered. Raises RuntimeError if they do not."""
    began = time.monotonic()
    target = f"127.0.0.1:{port}"
    with process(command, cores=cores, cwd=cwd, env={"ORT_DISABLE_TELEMETRY": "1", **env}) as (started, log):
        first, *others = of_every_model(item_shape)
        # By default a refused channel waits a second before the next try, which would count as the server's start.
        options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 50)]
        try:
            with grpc.insecure_channel(target, options=options) as channel:
                infer = channel.unary_unary(INFER, request_serializer=None, response_deserializer=None)
                _until_answered(infer, first, started, until=began + START_SECONDS)
                seconds = time.monotonic() - began
                for request in others:
                    _until_answered(infer, request, started, until=began + START_SECONDS)
        except TimeoutError as error:
            raise RuntimeError(f"{error}; it said:\n{log.tail()}") from None
        yield RunningServer(target, started.pid, seconds)


def _until_answered(
    infer: Callable[..., bytes], request: bytes, started: "subprocess.Popen[str]", *, until: float
) -> None:
    """Raises TimeoutError if the server ends or the time is over."""
    while time.monotonic() < until and started.poll() is None:
        try:
            infer(request, timeout=5.0)
            return
        except grpc.RpcError:
            time.sleep(PAUSE_SECONDS)
    raise TimeoutError("the server did not come up")
