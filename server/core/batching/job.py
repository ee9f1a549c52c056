"""A job: the rows of one call that wait for one graph; and the batches that carry jobs or parts of them."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from server.core.arrays import Floats
from server.core.batching.ticket import Ticket
from server.core.call import Call, GraphTiming, Priority
from server.core.events import Reason
from server.core.noise import Rows


@dataclass(eq=False, slots=True)
class Job:
    """The rows of one call for one graph, and their progress."""

    rows: Rows
    call: Call
    submitted: float  # clock, seconds
    ticket: Ticket[tuple[Floats, ...]] = field(init=False)  # set by the batcher on submission
    priority: Priority = "interactive"  # set when queued
    taken: int = 0  # rows handed to batches
    finished: int = 0  # rows whose outputs are in
    first_taken: float | None = None
    run_seconds: float = 0.0
    batch_rows: int = 0
    outputs: tuple[Floats, ...] | None = None  # filled part by part if the job was split

    @property
    def waiting(self) -> int:
        return len(self.rows) - self.taken

    def put(self, part: "Part", outputs: tuple[Floats, ...]) -> tuple[Floats, ...] | None:
        """Store the outputs of one part. Returns the whole job's outputs once all parts are in, else None."""
        if part.size == len(self.rows):
            self.finished = part.size
            return outputs
        if self.outputs is None:
            self.outputs = tuple(np.empty((len(self.rows), *o.shape[1:]), o.dtype) for o in outputs)
        for whole, piece in zip(self.outputs, outputs, strict=True):
            whole[part.start : part.stop] = piece
        self.finished += part.size
        return self.outputs if self.finished == len(self.rows) else None

    @property
    def queue_seconds(self) -> float:
        """From submission to the first batch that held one of its rows."""
        return 0.0 if self.first_taken is None else self.first_taken - self.submitted

    def timing(self, graph: str, *, now: float) -> GraphTiming:
        """The job's timing until `now`, also if it never ran."""
        queue_seconds = now - self.submitted if self.first_taken is None else self.queue_seconds
        return GraphTiming(queue_seconds, self.run_seconds, self.batch_rows, graph, self.submitted, now)


@dataclass(slots=True)
class Part:
    """Rows start..stop of a job, as part of a batch."""

    job: Final[Job]
    start: Final[int]
    stop: Final[int]

    @property
    def size(self) -> int:
        """The number of rows."""
        return self.stop - self.start

    @property
    def rows(self) -> Rows:
        whole = self.job.rows
        return whole if self.size == len(whole) else whole[self.start : self.stop]


@dataclass(slots=True)
class Batch:
    """The parts that one run of the graph computes."""

    parts: Final[tuple[Part, ...]]
    rows: Final[int]  # of all parts
    reason: Final[Reason]
