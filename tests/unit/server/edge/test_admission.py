"""Every RPC that computes charges for its rows, and refuses callers who may not use the model."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from support.inference import infer_request
from support.toy_model import CPU, GRAPHS, Shelf, spec

from server.core.batching.batcher import Batcher
from server.core.batching.offload import Offload
from server.core.batching.scheduler import Scheduler
from server.core.batching.ticket import drive
from server.core.call import Call, CallRecord
from server.core.model import Entry, Model
from server.core.vae.vae import Vae
from server.edge import wire
from server.edge.inference_v2 import open_inference_pb2 as oip
from server.edge.inference_v2.servicer import InferenceServicer
from server.edge.inference_v2.statistics import Statistics
from server.edge.methods import Method, ServerStream, Unary
from server.edge.servicer import VaeServicer
from server.errors import PermissionDenied, QuotaExceeded
from vaeserve.v1 import vaeserve_pb2 as pb

X = np.full((3, 1, 2, 2), 0.25, np.float32)
Z = np.ones((3, 2), np.float32)


def tensor(array: np.ndarray) -> pb.Tensor:
    made = pb.Tensor()
    wire.put(made, array)
    return made


TOY = pb.ModelSelector(name="toy")
# Request and rows of each RPC that runs a graph.
COMPUTE: dict[str, tuple[Any, int]] = {
    "Sample": (pb.SampleRequest(model=TOY, count=3), 3),
    "SampleStream": (pb.SampleStreamRequest(model=TOY, count=3, chunk_rows=3), 3),
    "Encode": (pb.EncodeRequest(model=TOY, items=tensor(X)), 3),
    "Reconstruct": (pb.ReconstructRequest(model=TOY, items=tensor(X)), 3),
    "Decode": (pb.DecodeRequest(model=TOY, latents=tensor(Z)), 3),
    "Score": (pb.ScoreRequest(model=TOY, items=tensor(X), importance_samples=5), 15),
    "ModelInfer": (infer_request("toy-encoder", {"x": X}), 3),
}
# RPCs that say something of one model, and run nothing.
DESCRIBE: dict[str, Any] = {
    "GetModel": pb.GetModelRequest(model=TOY),
    "ModelReady": oip.ModelReadyRequest(name="toy"),
    "ModelMetadata": oip.ModelMetadataRequest(name="toy"),
    "ModelConfig": oip.ModelConfigRequest(name="toy"),
    "ModelStatistics": oip.ModelStatisticsRequest(name="toy", version="2"),
}
# RPCs about the server; a list of models is nobody's secret.
ABOUT_THE_SERVER = {"ListModels", "ServerLive", "ServerReady", "ServerMetadata", "RepositoryIndex"}


@dataclass
class Purse:
    """An allowance that remembers, and can refuse."""

    events: list[Any]
    refuse: type[Exception] | None = None
    rows_at_once: int | None = None

    def charge(self, rows: int, *, field: str) -> None:
        if self.refuse is QuotaExceeded:
            raise QuotaExceeded("enough", tenant="alice", reason="quota", retry_after=1.0)
        self.events.append(("charge", rows))

    def may_use(self, model: str) -> bool:
        return self.refuse is not PermissionDenied

    def check_model(self, name: str) -> None:
        if self.refuse is PermissionDenied:
            raise PermissionDenied(f"not {name}")
        self.events.append(("model", name))


@dataclass
class Desk:
    """Both servicers over one model, and what happened in which order."""

    methods: dict[str, Method]
    events: list[Any] = field(default_factory=list)

    def call(self, name: str, request: Any, *, refuse: type[Exception] | None = None) -> CallRecord:
        """Make a call to its end. Raises what it raises."""
        method, record = self.methods[name], CallRecord()
        call = Call(float("inf"), allowance=Purse(self.events, refuse), observe=record.timings.append)
        if isinstance(method, ServerStream):
            messages = method.handler(request, call, record)
            try:
                while drive(messages.next()).wait(10.0) is not None:
                    pass
            finally:
                messages.close()
        else:
            assert isinstance(method, Unary)
            drive(method.handler(request, call, record)).wait(10.0)
        return record


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk({})

    def noting(name: str) -> Callable[[np.ndarray], tuple[np.ndarray, ...]]:
        def run(rows: np.ndarray) -> tuple[np.ndarray, ...]:
            made.events.append(("run", name))
            return GRAPHS[name](rows)

        return run

    batchers = {
        name: Batcher(noting(name), scheduler=Scheduler(max_batch_rows=16, max_queued_rows=100, max_queued_bytes=10**6))
        for name in GRAPHS
    }
    model = Model("toy", "2", spec(), Vae(spec(), batchers), dict.fromkeys(GRAPHS, CPU))
    shelf = Shelf([Entry("toy", "2", "ready", "", model, is_default=True)])
    offload = Offload(threads=1, deliver=lambda work: work())
    common = {"offload": offload, "max_rows": 16, "pick_seed": lambda: 7, "observe": lambda _: None}
    native = VaeServicer(shelf, **common)
    foreign = InferenceServicer(shelf, **common, ready=lambda: True, statistics=Statistics())
    made.methods = {method.rpc.method: method for method in (*native.methods(), *foreign.methods())}
    yield made
    for batcher in batchers.values():
        batcher.close()
    offload.close()


def test_every_rpc_is_known_to_compute_to_describe_a_model_or_to_be_about_the_server(desk):
    assert set(desk.methods) == {*COMPUTE, *DESCRIBE, *ABOUT_THE_SERVER}


@pytest.mark.parametrize("name", COMPUTE)
def test_rows_are_charged_once_and_before_any_graph_runs(desk, name):
    request, rows = COMPUTE[name]
    record = desk.call(name, request)
    kinds = [kind for kind, _ in desk.events]
    assert [value for kind, value in desk.events if kind == "charge"] == [rows]
    assert kinds[:2] == ["model", "charge"]
    assert "run" in kinds
    assert (record.model, record.version, record.rows) == ("toy", "2", 3)


@pytest.mark.parametrize("name", COMPUTE)
def test_without_quota_no_graph_runs(desk, name):
    with pytest.raises(QuotaExceeded):
        desk.call(name, COMPUTE[name][0], refuse=QuotaExceeded)
    assert desk.events == [("model", "toy")]


@pytest.mark.parametrize("name", [*COMPUTE, *DESCRIBE])
def test_a_model_that_is_not_for_this_caller_is_refused_before_anything_happens(desk, name):
    request = COMPUTE[name][0] if name in COMPUTE else DESCRIBE[name]
    with pytest.raises(PermissionDenied):
        desk.call(name, request, refuse=PermissionDenied)
    assert desk.events == []


@pytest.mark.parametrize("name", DESCRIBE)
def test_describing_a_model_costs_no_rows(desk, name):
    desk.call(name, DESCRIBE[name])
    assert [kind for kind, _ in desk.events] == ["model"]
