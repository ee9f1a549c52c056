"""Processor time of a call inside the server, without transport and generator: `python -m bench.inside`.

It runs the whole server except its transport in this process, with 64 callers that each call again when answered.
It takes processor time, not wall time, so that other programs on the machine matter little; the least of ROUNDS.
"""

import asyncio
import os
import time

from bench import artifacts, payloads
from bench.cells import OPERATIONS, Cell
from server.app.app import App
from server.core.batching.ticket import Ticket
from server.edge.boundary import Boundary, Reply
from server.edge.methods import MethodTable, Unary
from server.edge.transports.connections import Connections
from server.settings import read
from server.telemetry import logs

CALLERS, CALLS, ROUNDS = 64, 8000, 7


class NoTransport:
    """Keeps methods and boundary, for calls without a transport. Fulfils app.MakeTransport and transport.Transport."""

    def __call__(
        self,
        methods: MethodTable,
        boundary: Boundary,
        *,
        max_request_bytes: int,  # noqa: ARG002
        connections: Connections,  # noqa: ARG002
    ) -> "NoTransport":
        self.methods, self.boundary = methods, boundary
        return self

    async def start(self, host: str, port: int) -> int:  # noqa: ARG002
        return port

    async def stop(self, *, seconds: float) -> None:
        """No call can be in flight."""


async def measure(served: artifacts.ServedModel) -> None:
    transport = NoTransport()
    settings = read(["--models", str(served.folder), "--metrics-port", "0"], os.environ)
    log = logs.configure(log_format="json", level="warning", worker=None)
    app = await App.start(settings, log, executor_died=asyncio.Event(), make_transport=transport)
    print(f"{'us a call':>12}{'process':>10}{'callers thread':>16}")
    for operation in OPERATIONS:
        cell = Cell(operation, 1, CALLERS)
        method = transport.methods[payloads.method(cell)]
        assert isinstance(method, Unary)
        requests = payloads.requests(cell, served.artifact.manifest.item.shape)
        process, thread = [], []
        for _ in range(1 + ROUNDS):
            started = time.process_time(), time.thread_time()
            await _calls(transport.boundary, method, requests)
            process.append(time.process_time() - started[0])
            thread.append(time.thread_time() - started[1])
        least = (min(seconds[1:]) / CALLS * 1e6 for seconds in (process, thread))
        print("{:>12}{:>10.1f}{:>16.1f}".format(operation, *least))
    await app.drain(delay=0.0)


async def _calls(boundary: Boundary, method: Unary, requests: list[bytes]) -> None:
    """CALLS calls, at most CALLERS at a time."""
    loop = asyncio.get_running_loop()
    all_answered = loop.create_future()
    begun = answered = 0

    def call() -> None:
        nonlocal begun
        begun += 1
        payload = requests[begun % len(requests)]
        boundary.unary(method, payload, seconds_left=None).add_done_callback(note)

    def note(ticket: Ticket[Reply]) -> None:
        nonlocal answered
        answered += 1
        if ticket.outcome().payload is None:
            raise RuntimeError(f"{method.path} answered {ticket.outcome().status}")
        if begun < CALLS:
            loop.call_soon(call)
        elif answered == CALLS:
            all_answered.set_result(None)

    for _ in range(CALLERS):
        call()
    await all_answered


if __name__ == "__main__":
    asyncio.run(measure(artifacts.model("mlp")))
