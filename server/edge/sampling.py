"""Sample and SampleStream: checks their requests, fills their responses, and makes the chunks of a stream."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from google.protobuf.message import Message

from server.core.arrays import Floats
from server.core.batching.offload import Offload
from server.core.batching.ticket import Ticket, drive
from server.core.call import Call, CallRecord
from server.core.model import Model
from server.core.spec import Spec
from server.core.vae.vae import Vae
from server.edge import wire
from server.edge.admission import AdmittedModel
from vaeserve.v1 import vaeserve_pb2 as pb

Request: TypeAlias = pb.SampleRequest | pb.SampleStreamRequest
Response: TypeAlias = pb.SampleResponse | pb.SampleStreamResponse
CHUNK_ROWS, CHUNK_BYTES = 256, 1 << 20  # bytes of float32 items; gRPC clients accept 4 MiB by default


@dataclass(slots=True)
class Sampling:
    """A checked request for rows of a model."""

    model: Final[Model]
    rows: Final[int]
    first_row: Final[int]
    seed: Final[int]
    temperature: Final[float]
    output: Final[int]  # pb.OutputMode
    encoding: Final[int]  # pb.Encoding
    want_latents: Final[bool]

    async def fill(
        self, response: Response, vae: Vae, *, first_row: int, rows: int, call: Call, offload: Offload
    ) -> None:
        """Draw these rows into a response."""
        seed = self.seed
        sampled = await vae.sample(rows=rows, seed=seed, first_row=first_row, temperature=self.temperature, call=call)
        response.seed = seed
        response.model.CopyFrom(ref(self.model))
        await put_items(
            response,
            sampled.decoded.mean,
            self.model.spec,
            output=self.output,
            encoding=self.encoding,
            seed=seed,
            first_row=first_row,
            offload=offload,
        )
        if self.want_latents:
            wire.put(response.latents, sampled.latents())


def check(request: Request, model: Model, *, most_rows: int, seed: Callable[[Request], int]) -> Sampling:
    """Check a request. Raises InvalidInput."""
    rows = wire.integer("count", request.count, least=1, most=most_rows)
    return Sampling(
        model=model,
        rows=rows,
        first_row=wire.rows_at(request.first_row, rows=rows),
        temperature=wire.temperature(request),
        output=wire.choice("output", request.output, pb.OutputMode, default=pb.OUTPUT_MODE_MEAN),
        encoding=wire.encoding(request.encoding, model.spec),
        seed=seed(request),
        want_latents=request.want_latents,
    )


def chunk_rows(asked: int, spec: Spec, *, max_rows: int, rows_at_once: int | None) -> int:
    """The rows in each response of a stream; if 0 is asked, the server's choice within `rows_at_once`.

    Raises InvalidInput.
    """
    if asked == 0:
        most = max_rows if rows_at_once is None else min(max_rows, rows_at_once)
        return max(1, min(CHUNK_ROWS, most, CHUNK_BYTES // (4 * spec.item_size)))
    return wire.integer("chunk_rows", asked, least=0, most=max_rows)


class Chunks:
    """The responses of one stream, in row order. An implementation of methods.Messages.

    One chunk is made ahead while the one before it is sent, so that no more than one piles up for a slow reader. Each
    chunk is charged when it begins, so that a caller who leaves early pays only for what was made.
    """

    def __init__(
        self,
        sampling: Sampling,
        model: AdmittedModel,
        call: Call,
        record: CallRecord,
        *,
        chunk_rows: int,
        offload: Offload,
        end_lease: Callable[[], object],
    ) -> None:
        """`end_lease` releases the model when the stream is closed; it may be called again."""
        self._sampling, self._model, self._call, self._record = sampling, model, call, record
        self._chunk_rows = chunk_rows
        self._offload = offload
        self._end_lease = end_lease
        self._begun = 0  # rows
        self._ahead: Ticket[Message] | None = None

    async def next(self) -> Message | None:
        if self._ahead is None:
            self._begin()
        if self._ahead is None:
            return None
        chunk: Message = await self._ahead
        self._ahead = None
        self._begin()
        return chunk

    def close(self) -> None:
        if self._ahead is not None:
            self._ahead.cancel()
        self._end_lease()

    def _begin(self) -> None:
        """Start the next chunk, if there is one."""
        start, self._begun = self._begun, min(self._begun + self._chunk_rows, self._sampling.rows)
        if start < self._begun:
            self._ahead = drive(self._chunk(self._sampling.first_row + start, self._begun - start))

    async def _chunk(self, first_row: int, rows: int) -> Message:
        response = pb.SampleStreamResponse(first_row=first_row)
        vae = self._model.charge(rows, field="chunk_rows")
        await self._sampling.fill(response, vae, first_row=first_row, rows=rows, call=self._call, offload=self._offload)
        self._record.sum_timings()
        return response


async def put_items(
    response: Message,
    mean: Floats,
    spec: Spec,
    *,
    output: int,
    encoding: int,
    seed: int,
    first_row: int,
    offload: Offload,
) -> None:
    """Set a response's items from the means of p(x | z), [rows, *item]: to the means, or to a draw from each p(x | z).

    Draws, and encodings other than float32, are computed on the threads of `offload`.
    """
    if output == pb.OUTPUT_MODE_MEAN and encoding == pb.ENCODING_FLOAT32:
        wire.put_items(response, mean, spec, chosen=encoding)
        return

    def draw_and_write() -> None:
        is_mean = output == pb.OUTPUT_MODE_MEAN
        values = mean if is_mean else spec.likelihood.draw(mean, seed=seed, first_row=first_row)
        wire.put_items(response, values, spec, chosen=encoding)

    await offload.run(draw_and_write)


def ref(model: Model) -> pb.ModelRef:
    """The model version that answers. Callers share this message: copy it, never change it."""
    return _ref(model.name, model.version, model.spec.digest)


@lru_cache(maxsize=64)
def _ref(name: str, version: str, digest: str) -> pb.ModelRef:
    return pb.ModelRef(name=name, version=version, digest=digest)
