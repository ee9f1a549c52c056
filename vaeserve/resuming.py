"""One stream of rows over as many RPCs as it takes: where it broke off, and whether and when to ask for the rest.

gRPC retries a call until its answer begins; from then on it is up to us. Rows are replayable, so that the rest under
the same seed and of the same model version is what the first RPC would have brought.
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
PUSHBACK = "grpc-retry-pushback-ms"  # how long to wait; anything but a number of milliseconds forbids to come back
PAUSE_SECONDS = 0.1  # where the server does not say


class ResumableStream:
    """The progress of one stream."""

    def __init__(
        self,
        call: SampleStreamCall,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`jitter` gives numbers 0..1 that keep callers who broke off together from coming back together."""
        self.request = pb.SampleStreamRequest()  # for the rows that have not come yet
        self.request.CopyFrom(call.request)
        self._call = call
        self._clock = clock
        self._jitter = jitter
        self._ends = None if call.timeout is None else clock() + call.timeout
        self._model: ModelRef | None = None
        self._progress = False  # rows have come since the last break

    @property
    def seconds_left(self) -> float | None:
        return None if self._ends is None else max(self._ends - self._clock(), 0.0)

    @property
    def over(self) -> bool:
        """Whether every row has come."""
        return self._model is not None and self.request.count <= 0

    def take(self, answer: bytes) -> SampleChunk:
        """The next rows. Raises FailedPrecondition if they are another model's than the rows before."""
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
        """Seconds to wait before the rest is asked for. Raises the error where that would not help.

        An RPC that brought no rows has been retried by gRPC already.
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
