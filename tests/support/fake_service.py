"""A VaeService in this process, whose rows are recognisable: row i of seed s holds s + i in every pixel."""
# ruff: noqa: N802 - gRPC names a servicer's methods as the proto does

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from vaeserve.v1 import vaeserve_pb2 as pb
from vaeserve.v1 import vaeserve_pb2_grpc

REF = pb.ModelRef(name="toy", version="3", digest="d1935")
SEED = 40  # what the server picks
TRAILERS = (("vae-queue-seconds", "0.000250"), ("vae-run-seconds", "0.001500"), ("vae-batch-rows", "64"))


@dataclass(frozen=True)
class Failure:
    """A status to end a call with."""

    code: grpc.StatusCode
    message: str = ""
    details: tuple[Message, ...] = ()
    trailers: tuple[tuple[str, str], ...] = ()

    def end(self, context: grpc.ServicerContext) -> None:
        packed = [Packed() for _ in self.details]
        for place, detail in zip(packed, self.details, strict=True):
            place.Pack(detail)
        status = status_pb2.Status(code=self.code.value[0], message=self.message, details=packed)
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()), *self.trailers))
        context.abort(self.code, self.message)


EXECUTION = pb.GraphExecution(
    provider="CPU",
    max_batch_rows=8,
    executors=2,
    helpers=1,
    threads=1,
    source=pb.EXECUTION_SOURCE_CACHED,
    rates=[pb.GraphRate(rows=8, executors=2, threads=1, rows_per_second=5000.0)],
)


@dataclass
class FakeService(vaeserve_pb2_grpc.VaeServiceServicer, health_pb2_grpc.HealthServicer):
    """Answers, or fails: each attempt uses up one of `failures`."""

    failures: list[Failure] = field(default_factory=list)
    requests: list[Any] = field(default_factory=list)
    callers: list[str] = field(default_factory=list)  # the address that each request came from
    breaks: list[int] = field(default_factory=list)  # rows after which streams break off, with a failure each
    ref: pb.ModelRef = field(default_factory=lambda: REF)  # which model streams
    item_shape: tuple[int, ...] = (1, 2, 3)
    value_range: tuple[float, float] | None = (0.0, 255.0)
    max_request_rows: int = 4096
    trailers: tuple[tuple[str, str], ...] = TRAILERS
    health: int = health_pb2.HealthCheckResponse.SERVING
    holds_calls: bool = False  # until their callers give up
    entered: threading.Event = field(default_factory=threading.Event)  # a call has arrived
    gone: threading.Event = field(default_factory=threading.Event)  # a held call's caller gave up

    def Sample(self, request: pb.SampleRequest, context: grpc.ServicerContext) -> pb.SampleResponse:
        self._enter(request, context)
        seed = request.seed if request.HasField("seed") else SEED
        rows = request.first_row + np.arange(request.count)
        return pb.SampleResponse(
            items=self._items(seed + rows, request.encoding),
            seed=seed,
            latents=floats(np.stack([rows * 10, rows * 10], axis=1)) if request.want_latents else None,
            model=REF,
        )

    def SampleStream(
        self, request: pb.SampleStreamRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.SampleStreamResponse]:
        """Breaks off after each of `breaks`, a number of rows, with the next of the failures."""
        self.requests.append(request)
        self.entered.set()
        context.add_callback(self.gone.set)
        if self.failures and not self.breaks:
            self.failures.pop(0).end(context)
        left = min([request.count, *self.breaks[:1]])
        seed = request.seed if request.HasField("seed") else SEED
        for start in range(0, left, request.chunk_rows or 2):
            rows = request.first_row + np.arange(start, min(start + (request.chunk_rows or 2), left))
            yield pb.SampleStreamResponse(
                items=self._items(seed + rows, request.encoding),
                latents=floats(np.stack([rows * 10, rows * 10], axis=1)) if request.want_latents else None,
                first_row=int(rows[0]),
                seed=seed,
                model=self.ref,
            )
        if self.breaks:
            self.breaks.pop(0)
            self.failures.pop(0).end(context)

    def Score(self, request: pb.ScoreRequest, context: grpc.ServicerContext) -> pb.ScoreResponse:
        self._enter(request, context)
        rows = request.first_row + np.arange(request.items.shape[0])
        return pb.ScoreResponse(
            log_evidence=floats(rows + 1),
            elbo=floats(rows + 2),
            elbo_percentile=floats(rows + 3),
            effective_samples=floats(rows + 4),
            seed=request.seed if request.HasField("seed") else SEED,
            model=REF,
        )

    def Encode(self, request: pb.EncodeRequest, context: grpc.ServicerContext) -> pb.EncodeResponse:
        self._enter(request, context)
        if request.expect_embedding_space not in ("", "space"):
            Failure(grpc.StatusCode.FAILED_PRECONDITION, "another space").end(context)
        rows = request.first_row + np.arange(request.items.shape[0])
        mean = np.stack([rows, rows], axis=1)
        return pb.EncodeResponse(
            mean=floats(mean),
            log_var=floats(-mean),
            draws=floats(np.stack([mean] * request.draws, axis=1)) if request.draws else None,
            kl=floats(rows / 2) if request.want_kl else None,
            embedding_space="space",
            seed=request.seed if request.HasField("seed") else SEED,
            model=REF,
        )

    def Reconstruct(self, request: pb.ReconstructRequest, context: grpc.ServicerContext) -> pb.ReconstructResponse:
        self._enter(request, context)
        rows = request.first_row + np.arange(request.items.shape[0])
        return pb.ReconstructResponse(
            items=request.items,
            reconstruction_nll=floats(rows + 1),
            kl=floats(rows + 2),
            elbo=floats(rows + 3),
            elbo_percentile=floats(rows + 4),
            seed=request.seed if request.HasField("seed") else SEED,
            model=REF,
        )

    def Decode(self, request: pb.DecodeRequest, context: grpc.ServicerContext) -> pb.DecodeResponse:
        self._enter(request, context)
        latents = np.frombuffer(request.latents.data, "<f4").reshape(tuple(request.latents.shape))
        return pb.DecodeResponse(items=self._items(latents[:, 0], request.encoding), seed=SEED, model=REF)

    def ListModels(self, request: pb.ListModelsRequest, context: grpc.ServicerContext) -> pb.ListModelsResponse:
        self._enter(request, context)
        failed = pb.ModelRef(name="toy", version="4")
        return pb.ListModelsResponse(
            models=[
                pb.ModelSummary(model=failed, state=pb.MODEL_STATE_FAILED, reason="decoder.onnx: wrong digest"),
                pb.ModelSummary(model=REF, state=pb.MODEL_STATE_READY, is_default=True),
            ]
        )

    def GetModel(self, request: pb.GetModelRequest, context: grpc.ServicerContext) -> pb.GetModelResponse:
        self._enter(request, context)
        if request.model.name not in ("", "toy"):
            Failure(grpc.StatusCode.NOT_FOUND, f"no model {request.model.name!r}").end(context)
        low, high = self.value_range or (None, None)
        return pb.GetModelResponse(
            summary=pb.ModelSummary(model=REF, state=pb.MODEL_STATE_READY, is_default=True),
            item_shape=self.item_shape,
            value_min=low,
            value_max=high,
            latent_size=2,
            likelihood="gaussian",
            sigma=0.5,
            embedding_space="space",
            sampling_version=1,
            metrics={"elbo": -90.5},
            graphs={"decoder": EXECUTION},
            max_request_rows=self.max_request_rows,
        )

    def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        self._enter(request, context)
        if request.service:
            Failure(grpc.StatusCode.NOT_FOUND, "no such service").end(context)
        return health_pb2.HealthCheckResponse(status=self.health)

    def _enter(self, request: Message, context: grpc.ServicerContext) -> None:
        self.requests.append(request)
        self.callers.append(context.peer())
        self.entered.set()
        if self.holds_calls:
            context.add_callback(self.gone.set)
            self.gone.wait()
        if self.failures:
            self.failures.pop(0).end(context)
        context.set_trailing_metadata(self.trailers)

    def _items(self, values: np.ndarray, encoding: int) -> pb.Tensor:
        items = np.empty((len(values), *self.item_shape), np.float32)
        items[:] = values.reshape(-1, *(1 for _ in self.item_shape))
        if encoding == pb.ENCODING_UINT8:
            return pb.Tensor(dtype=pb.DATA_TYPE_UINT8, shape=items.shape, data=items.astype(np.uint8).tobytes())
        return floats(items)


def floats(values: np.ndarray) -> pb.Tensor:
    return pb.Tensor(dtype=pb.DATA_TYPE_FLOAT32, shape=values.shape, data=values.astype("<f4").tobytes())


@contextmanager
def serving(service: FakeService) -> Iterator[str]:
    """The service on a port of its own; yields HOST:PORT."""
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
        vaeserve_pb2_grpc.add_VaeServiceServicer_to_server(service, server)
        health_pb2_grpc.add_HealthServicer_to_server(service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            service.gone.set()
            server.stop(0).wait()
