"""A stream of rows that goes on after it breaks off: whether, when and how to ask for the rest.

gRPC retries a call only until its response begins; from then on the client must. Rows are replayable: under the same
seed and model version, the rest equals what the first RPC would have sent.
"""

import random
import time
from collections.abc import Callable

from vaeserve import errors
from vaeserve.calls import SampleStreamCall
from vaeserve.errors import FailedPrecondition, Trailers
from vaeserve.results import ModelRef, SampleChunk
from vaeserve.v1 import vaeserve_pb2 as pb

RESUMABLE = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")
PUSHBACK = "grpc-retry-pushback-ms"  # milliseconds to wait before a retry; any other value forbids it
PAUSE_SECONDS = 0.1  # if the server does not say


class ResumableStream:
    """The progress of one stream over one or more RPCs."""

    def __init__(
        self,
        call: SampleStreamCall,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`jitter` returns numbers 0..1; they spread out clients whose streams broke off at the same time."""
        self.request = pb.SampleStreamRequest()  # for the rows that are still missing
        self.request.CopyFrom(call.request)
        self._call = call
        self._clock = clock
        self._jitter = jitter
        self._ends = None if call.timeout is None else clock() + call.timeout
        self._model: ModelRef | None = None
        self._progress = False  # rows have arrived since the last break

    @property
    def seconds_left(self) -> float | None:
        """Until the stream's timeout; None: no limit."""
        return None if self._ends is None else max(self._ends - self._clock(), 0.0)

    @property
    def over(self) -> bool:
        """Whether every row has arrived."""
        return self._model is not None and self.request.count <= 0

    def take(self, answer: bytes) -> SampleChunk:
        """The next rows. Raises FailedPrecondition if they come from another model than the rows before."""
        chunk = self._call.read(answer)
        if self._model is None:
            self._model = chunk.model
            self.request.seed = chunk.seed
            self.request.model.name, self.request.model.version = chunk.model.name, chunk.model.version
        elif chunk.model != self._model:
            raise FailedPrecondition(
                f"the stream began with {self._model} of digest {self._model.digest[:12]} and goes on with "
                f"{chunk.model} of digest {chunk.model.digest[:12]}: its rows would not belong together"
            )
        rows = len(chunk.items)
        self.request.first_row = chunk.first_row + rows
        self.request.count -= rows
        self._progress = True
        return chunk

    def pause(self, code: str, message: str | None, trailers: Trailers) -> float:
        """Seconds to wait before asking for the rest. Raises the RPC's error if asking again would not help.

        If the RPC brought no rows, gRPC has retried it already.
        """
        if self.over:
            return 0.0
        trailers = tuple(trailers)
        error = errors.from_status(code, message, trailers)
        if code not in RESUMABLE or not self._progress:
            raise error
        self._progress = False
        asked = dict(trailers).get(PUSHBACK)
        if asked is None:
            seconds = error.retry_after or PAUSE_SECONDS
        elif isinstance(asked, str) and asked.isdecimal():
            seconds = int(asked) / 1000
        else:
            raise error
        seconds *= 1 + 0.2 * self._jitter()
        if self._ends is not None and self._clock() + seconds >= self._ends:
            raise error
        return seconds
