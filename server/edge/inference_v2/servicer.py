"""inference.GRPCInferenceService: the RPCs, over the same models, batchers and checks as VaeService."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import version as installed

from google.protobuf.message import Message

from server.core.batching.offload import Offload
from server.core.call import Call, CallRecord
from server.core.events import RowsScored
from server.core.model import Models, State
from server.edge.inference_v2 import description, parameters, tensors
from server.edge.inference_v2 import open_inference_pb2 as pb
from server.edge.inference_v2.repository import LeasedView, Repository
from server.edge.inference_v2.statistics import Requests, Statistics
from server.edge.inference_v2.views import Request
from server.edge.methods import Method, Unary
from server.errors import DeadlineExceeded, InvalidInput, NotFound, Unavailable

SERVICE = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
EXTENSIONS = ("model_configuration", "schedule_policy", "statistics")
_STATES: dict[State, str] = {
    "loading": "LOADING",
    "ready": "READY",
    "failed": "UNAVAILABLE",
    "unloaded": "UNAVAILABLE",
}


class InferenceServicer:
    """The handlers of GRPCInferenceService over a catalog of models."""

    def __init__(
        self,
        models: Models,
        *,
        offload: Offload,
        max_rows: int,
        pick_seed: Callable[[], int],
        ready: Callable[[], bool],
        statistics: Statistics,
        observe: Callable[[RowsScored], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`offload` reads and writes typed tensors. `max_rows` limits one request. `pick_seed` gives a seed 0..2^63 - 1
        to requests without one. `ready` says whether the server takes traffic. `observe` gets the scores of
        reconstructed rows. `clock` is the clock of the calls' deadlines.
        """
        self._repository = Repository(models)
        self._offload = offload
        self._max_rows = max_rows
        self._pick_seed = pick_seed
        self._ready = ready
        self._statistics = statistics
        self._observe = observe
        self._clock = clock

    def methods(self) -> tuple[Method, ...]:
        return (
            Unary(f"/{SERVICE}/ServerLive", pb.ServerLiveRequest, self.server_live, public=True),
            Unary(f"/{SERVICE}/ServerReady", pb.ServerReadyRequest, self.server_ready, public=True),
            Unary(f"/{SERVICE}/ModelReady", pb.ModelReadyRequest, self.model_ready),
            Unary(f"/{SERVICE}/ServerMetadata", pb.ServerMetadataRequest, self.server_metadata),
            Unary(f"/{SERVICE}/ModelMetadata", pb.ModelMetadataRequest, self.model_metadata),
            Unary(f"/{SERVICE}/ModelInfer", pb.ModelInferRequest, self.model_infer),
            Unary(f"/{SERVICE}/ModelConfig", pb.ModelConfigRequest, self.model_config),
            Unary(f"/{SERVICE}/ModelStatistics", pb.ModelStatisticsRequest, self.model_statistics),
            Unary(f"/{SERVICE}/RepositoryIndex", pb.RepositoryIndexRequest, self.repository_index),
        )

    async def server_live(self, _request: pb.ServerLiveRequest, _call: Call, _record: CallRecord) -> Message:
        return pb.ServerLiveResponse(live=True)

    async def server_ready(self, _request: pb.ServerReadyRequest, _call: Call, _record: CallRecord) -> Message:
        return pb.ServerReadyResponse(ready=self._ready())

    async def model_ready(self, request: pb.ModelReadyRequest, call: Call, record: CallRecord) -> Message:
        try:
            with self._repository.admitted(request.name, request.version, call, record):
                return pb.ModelReadyResponse(ready=self._ready())
        except (NotFound, Unavailable):
            return pb.ModelReadyResponse(ready=False)

    async def server_metadata(self, _request: pb.ServerMetadataRequest, _call: Call, _record: CallRecord) -> Message:
        return pb.ServerMetadataResponse(name="vaeserve", version=installed("vaeserve"), extensions=EXTENSIONS)

    async def model_metadata(self, request: pb.ModelMetadataRequest, call: Call, record: CallRecord) -> Message:
        with self._repository.admitted(request.name, request.version, call, record) as found:
            ready = [listed.entry.version for listed in self._repository.listed(request.name) if listed.entry.model]
            return description.metadata(found, versions=ready)

    async def model_config(self, request: pb.ModelConfigRequest, call: Call, record: CallRecord) -> Message:
        with self._repository.admitted(request.name, request.version, call, record) as found:
            return pb.ModelConfigResponse(config=description.configuration(found, max_rows=self._max_rows))

    async def model_statistics(self, request: pb.ModelStatisticsRequest, call: Call, record: CallRecord) -> Message:
        if request.name and request.version:
            with self._repository.admitted(request.name, request.version, call, record):
                pass  # raises if the version is unknown or the caller may not use it
        response = pb.ModelStatisticsResponse()
        for listed in self._repository.listed(request.name, request.version):
            if listed.entry.model and call.allowance.may_use(listed.entry.name):
                statistics = self._statistics.message(
                    name=listed.name,
                    model=listed.entry.name,
                    version=listed.entry.version,
                    graph=listed.view.graph,
                )
                response.model_stats.append(statistics)
        return response

    async def repository_index(self, request: pb.RepositoryIndexRequest, _call: Call, _record: CallRecord) -> Message:
        if request.repository_name:
            raise InvalidInput(
                "repository_name",
                f"must be empty, as there is one repository, got {parameters.quoted(request.repository_name)}",
            )
        response = pb.RepositoryIndexResponse()
        for listed in self._repository.listed():
            entry = listed.entry
            if entry.model or not request.ready:
                response.models.add(
                    name=listed.name, version=entry.version, state=_STATES[entry.state], reason=entry.reason
                )
        return response

    async def model_infer(self, request: pb.ModelInferRequest, call: Call, record: CallRecord) -> Message:
        began = self._clock()
        with self._repository.admitted(request.model_name, request.model_version, call, record) as found:
            requests = self._statistics.requests(name=found.name, version=found.model.version)
            try:
                return await self._infer(request, found, call, record, requests, began=began)
            except Exception:
                requests.fail.add(self._clock() - began)
                raise

    async def _infer(
        self,
        request: pb.ModelInferRequest,
        found: LeasedView,
        call: Call,
        record: CallRecord,
        requests: Requests,
        *,
        began: float,
    ) -> Message:
        options = parameters.options(request.parameters)
        if options.timeout_seconds is not None:
            call = replace(call, deadline=min(call.deadline, began + options.timeout_seconds))
        if options.bulk:
            call = call.in_bulk()
        view, model = found.view, found.model
        expected = view.inputs(model.spec)
        inputs = tensors.Inputs(request, expected, offload=self._offload, max_rows=self._max_rows, clock=self._clock)
        wanted = tensors.wanted(request.outputs, view.outputs(model.spec))
        answer = await view.infer(
            Request(
                inputs, found.admitted, call, max_rows=self._max_rows, pick_seed=self._pick_seed, observe=self._observe
            )
        )
        computed = self._clock()
        response = pb.ModelInferResponse(model_name=found.name, model_version=model.version, id=request.id)
        write = partial(tensors.write, response, {name: answer.outputs[name] for name in wanted}, raw=inputs.raw)
        if inputs.raw:
            write()
        else:
            await self._offload.run(write)
        now = self._clock()
        if now > call.deadline:
            raise DeadlineExceeded("the timeout passed before the response was sent")
        requests.answered(
            rows=answer.rows,
            total=now - began,
            reading=inputs.seconds,
            writing=now - computed,
            timing=record.total(),
        )
        return response
