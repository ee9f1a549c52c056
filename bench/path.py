"""The hand-written files that a call, and a step of training, run through: `python -m bench.path`.

Sample and Reconstruct are called on the default model through Envoy's transport, as pyvoy calls it, without Envoy. A
step of preset `default` is taken on scikit-learn's digits. What has run once before is counted: the files of server/
or training/ in which a function is called, on whatever thread, in the order in which they come.
"""

import asyncio
import os
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from bench import artifacts, payloads
from bench.cells import Cell, Operation
from bench.process import ROOT
from server.app.app import App
from server.edge.boundary import Boundary
from server.edge.methods import MethodTable
from server.edge.transports.connections import Connections
from server.edge.transports.envoy.frames import frame
from server.edge.transports.envoy.hangups import REQUEST_ID, Hangups
from server.edge.transports.envoy.transport import EnvoyTransport
from server.settings import read
from server.telemetry import logs


class Files:
    """The files of some folders in which functions are called while `counting`, on all threads that start later."""

    def __init__(self, *folders: str) -> None:
        self.counting = False
        self.seen: dict[str, None] = {}
        self._folders = tuple(str(ROOT / folder) + os.sep for folder in folders)
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    def stop(self) -> list[str]:
        """The files seen, in order."""
        self.counting = False
        sys.setprofile(None)
        threading.setprofile(None)
        return list(self.seen)

    def _profile(self, running: FrameType, event: str, _: Any) -> None:
        file = running.f_code.co_filename
        if self.counting and event == "call" and file.startswith(self._folders):
            self.seen[str(Path(file).relative_to(ROOT))] = None


class NoListener:
    """Stands for Envoy's listener."""

    async def open(self, host: str, port: int) -> int:  # noqa: ARG002
        return port

    async def close(self, *, seconds: float) -> None:
        """There is none."""


async def call(operation: Operation) -> list[str]:
    """The files of one call, the second of its kind."""
    served = artifacts.model("default")
    files = Files("server")
    made: list[EnvoyTransport] = []

    def make_transport(
        methods: MethodTable,
        boundary: Boundary,
        *,
        max_request_bytes: int,
        connections: Connections,  # noqa: ARG001
    ) -> EnvoyTransport:
        pipe, _ = os.pipe()
        listener: Any = NoListener()
        made.append(
            EnvoyTransport(
                methods, boundary, max_request_bytes=max_request_bytes, listener=listener, hangups=Hangups(pipe)
            )
        )
        return made[0]

    settings = read(["--models", str(served.folder), "--metrics-port", "0"], os.environ)
    log = logs.configure(log_format="json", level="warning", worker=None)
    app = await App.start(settings, log, executor_died=asyncio.Event(), make_transport=make_transport)
    cell = Cell(operation, 1, 1)
    for request in payloads.requests(cell, served.artifact.manifest.item.shape, variants=2):
        await _answered(made[0], payloads.method(cell), request)
        files.counting = True
    seen = files.stop()
    await app.drain(delay=0.0)
    return seen


async def _answered(transport: EnvoyTransport, path: str, request: bytes) -> None:
    """Make one call as pyvoy does, and wait for its trailers."""
    ended = asyncio.get_running_loop().create_future()
    headers = [(b"content-type", b"application/grpc"), (b"te", b"trailers"), (REQUEST_ID, b"1")]

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": frame(request), "more_body": False}

    def send(event: Mapping[str, Any]) -> Awaitable[None]:
        if event["type"] == "http.response.trailers":
            ended.set_result(dict(event["headers"])[b"grpc-status"])
        return ended

    as_asgi: Callable[..., Any] = transport
    await as_asgi({"type": "http", "method": "POST", "path": path, "headers": headers}, receive, send)
    status = await ended
    if status != b"0":
        raise RuntimeError(f"{path} answered {status!r}")


def step() -> list[str]:
    """The files of one step of training, from the loop to the optimiser and back; the second step."""
    from training.config.resolve import resolve
    from training.datasets import load
    from training.run import folder, hardware, session

    files = Files("training")
    config = resolve(name="default", file=None, flags={"optimisation": {"epochs": 1}})
    with tempfile.TemporaryDirectory() as parent:
        this = session.new(
            config,
            run=folder.create(Path(parent) / "run"),
            source="digits",
            dataset=load("digits", environment={}),
            hardware=hardware.choose(device="cpu", precision="fp32", threads=1, architecture=config.architecture),
        )

        def stopping() -> bool:
            files.counting = this.state.step == 1
            return this.state.step == 2

        this.fit(observe=lambda _: None, stopping=stopping, clock=lambda: 0.0)
    # The loop itself was called before the counting began.
    return ["training/run/loop.py", *files.stop()]


def main() -> None:
    """Print the paths."""
    paths = {"Sample": asyncio.run(call("Sample")), "Reconstruct": asyncio.run(call("Reconstruct")), "step": step()}
    for name, files in paths.items():
        print(f"{name}: {len(files)} files")
        for file in files:
            print(f"  {file}")


if __name__ == "__main__":
    main()
