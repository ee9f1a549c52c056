"""Jobs: the rows that one call waits for at one graph; and the batches that jobs, or parts of them, run in."""

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
    """Rows that one caller waits for, and what has become of them."""

    rows: Rows
    call: Call
    submitted: float  # clock, seconds
    ticket: Ticket[tuple[Floats, ...]] = field(init=False)  # its batcher's promise
    priority: Priority = "interactive"  # decided when queued
    taken: int = 0  # rows handed to batches
    finished: int = 0  # rows that came back
    first_taken: float | None = None
    run_seconds: float = 0.0
    batch_rows: int = 0
    outputs: tuple[Floats, ...] | None = None  # filled part by part if the job was split

    @property
    def waiting(self) -> int:
        return len(self.rows) - self.taken

    def put(self, part: "Part", outputs: tuple[Floats, ...]) -> tuple[Floats, ...] | None:
        """Take in the outputs of one part; the whole job's outputs once all parts are in."""
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
        """What it took until now, also if it never ran."""
        queue_seconds = now - self.submitted if self.first_taken is None else self.queue_seconds
        return GraphTiming(queue_seconds, self.run_seconds, self.batch_rows, graph, self.submitted, now)


@dataclass(slots=True)
class Part:
    """Rows start..stop of a job, inside a batch."""

    job: Final[Job]
    start: Final[int]
    stop: Final[int]

    @property
    def size(self) -> int:
        """How many rows."""
        return self.stop - self.start

    @property
    def rows(self) -> Rows:
        whole = self.job.rows
        return whole if self.size == len(whole) else whole[self.start : self.stop]


@dataclass(slots=True)
class Batch:
    """What one run of the graph shall compute."""

    parts: Final[tuple[Part, ...]]
    rows: Final[int]  # of all parts
    reason: Final[Reason]
