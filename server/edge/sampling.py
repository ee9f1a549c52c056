"""Sample and SampleStream: one check of what was asked for, one way to fill a response, and the chunks of a stream."""

from collections.abc import Awaitable, Callable
from functools import lru_cache, partial
from typing import TypeAlias

from google.protobuf.message import Message

from server.core.arrays import Floats
from server.core.batching.ticket import Ticket, drive
from server.core.call import Caller
from server.core.likelihood import DecoderOutput
from server.core.model import Model
from server.core.spec import Spec
from server.core.values import value
from server.edge import wire
from vaeserve.v1 import vaeserve_pb2 as pb

Request: TypeAlias = pb.SampleRequest | pb.SampleStreamRequest
Response: TypeAlias = pb.SampleResponse | pb.SampleStreamResponse
# Sets a response's items: (response, its values, the model's, output mode, encoding).
PutItems: TypeAlias = Callable[[Message, Callable[[], Floats], Spec, int, int], Awaitable[None]]

CHUNK_ROWS, CHUNK_BYTES = 256, 1 << 20  # of float32 items: gRPC's clients take messages of 4 MiB unless told otherwise


@value
class Sampling:
    """A checked request for rows of a model."""

    model: Model
    rows: int
    first_row: int
    seed: int
    temperature: float
    output: int  # pb.OutputMode
    encoding: int  # pb.Encoding
    want_latents: bool

    async def fill(self, response: Response, *, first_row: int, rows: int, caller: Caller, put_items: PutItems) -> None:
        """Draw these rows into a response."""
        spec, seed = self.model.spec, self.seed
        sampled = await self.model.vae.sample(
            rows=rows, seed=seed, first_row=first_row, temperature=self.temperature, caller=caller
        )
        response.seed = seed
        response.model.CopyFrom(ref(self.model))
        values = partial(output_of, sampled.decoded, spec, output=self.output, seed=seed, first_row=first_row)
        await put_items(response, values, spec, self.output, self.encoding)
        if self.want_latents:
            wire.put(response.latents, sampled.latents())


def check(request: Request, model: Model, *, most_rows: int, seed: Callable[[Request], int]) -> Sampling:
    """What a request asks for. Raises InvalidInput."""
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
    """The rows of a stream's responses; 0: as the server likes, within `rows_at_once`. Raises InvalidInput."""
    if asked == 0:
        most = max_rows if rows_at_once is None else min(max_rows, rows_at_once)
        return max(1, min(CHUNK_ROWS, most, CHUNK_BYTES // (4 * spec.item_size)))
    return wire.integer("chunk_rows", asked, least=0, most=max_rows)


class Chunks:
    """The responses of one stream, in row order. Messages of a stream.

    One chunk is made while the one before it travels, and no more: that is all that a slow reader makes pile up. Each
    is charged when it is begun: a stream without end costs what it brings.
    """

    def __init__(
        self,
        sampling: Sampling,
        *,
        chunk_rows: int,
        caller: Caller,
        put_items: PutItems,
        let_go: Callable[[], object],
    ) -> None:
        """`let_go` ends the lease of the model, once the stream is closed; it may be called again."""
        self._sampling = sampling
        self._chunk_rows = chunk_rows
        self._caller = caller
        self._put_items = put_items
        self._let_go = let_go
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
        self._let_go()

    def _begin(self) -> None:
        """The next chunk, if there is one."""
        start, self._begun = self._begun, min(self._begun + self._chunk_rows, self._sampling.rows)
        if start < self._begun:
            self._ahead = drive(self._chunk(self._sampling.first_row + start, self._begun - start))

    async def _chunk(self, first_row: int, rows: int) -> Message:
        response = pb.SampleStreamResponse(first_row=first_row)
        part = self._caller.for_a_part()
        part.allowance.charge(rows, field="chunk_rows")
        await self._sampling.fill(response, first_row=first_row, rows=rows, caller=part, put_items=self._put_items)
        self._caller.took(part)
        return response


def output_of(decoded: DecoderOutput, spec: Spec, *, output: int, seed: int, first_row: int) -> Floats:
    """The mean of p(x | z), or a draw from it; [rows, *item]."""
    if output == pb.OUTPUT_MODE_MEAN:
        return decoded.mean
    return spec.likelihood.draw(decoded.mean, seed=seed, first_row=first_row)


def ref(model: Model) -> pb.ModelRef:
    """The model version that answers; for copying only, as it is made once."""
    return _ref(model.name, model.version, model.spec.digest)


@lru_cache(maxsize=64)
def _ref(name: str, version: str, digest: str) -> pb.ModelRef:
    return pb.ModelRef(name=name, version=version, digest=digest)
