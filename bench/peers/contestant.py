"""The servers of a comparison: how to start each, and the requests of a cell in its protocol."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from bench import payloads as our_payloads
from bench.artifacts import ServedModel
from bench.cells import Cell
from bench.peers import mlserver, payloads, pytriton
from bench.peers.open_inference import INFER
from bench.peers.payloads import Shape
from bench.server_process import RunningServer, ours


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server in the comparison."""

    name: str
    start: Callable[[ServedModel], AbstractContextManager[RunningServer]]
    method: Callable[[Cell], str]
    requests: Callable[[Cell, Shape], list[bytes]]
    rubbish: Callable[[Shape], bytes]  # a request to encode a row that lacks one value


def our_server(flags: tuple[str, ...], *, cores: str) -> Contestant:
    return Contestant(
        name="vaeserve",
        start=lambda served: ours(served.folder, flags, cores=cores),
        method=our_payloads.method,
        requests=our_payloads.requests,
        rubbish=our_payloads.rubbish,
    )


def peers(*, threads: int, cores: str) -> tuple[Contestant, ...]:
    """The other servers, with so many threads inside a run of onnxruntime."""
    return (
        _peer("PyTriton", lambda served: pytriton.start(served, threads=threads, cores=cores)),
        _peer("MLServer", lambda served: mlserver.start(served, threads=threads, cores=cores)),
    )


def _peer(name: str, start: Callable[[ServedModel], AbstractContextManager[RunningServer]]) -> Contestant:
    return Contestant(
        name=name,
        start=start,
        method=lambda _cell: INFER,
        requests=payloads.requests,
        rubbish=payloads.rubbish,
    )
