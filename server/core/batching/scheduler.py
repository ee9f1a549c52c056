"""Decides which waiting rows run next. Pure: no thread, no event loop, and the time is an argument.

The unit is the row. A job is the rows of one call. A batch may hold parts of many jobs, and a job may be spread over
many batches. The order among waiting jobs is decided in fair_queue.
"""

from typing import Literal

from server.core.batching.fair_queue import FairQueue
from server.core.batching.job import Batch, Job, Part
from server.errors import DeadlineExceeded, QueueFull

SMALLEST_SHARE = 8  # idle executors share waiting rows, but never in parts below 1/8 of a full batch
BULK_BATCHES = 4  # a job that fills more batches than this is bulk, whatever its call's priority


class Scheduler:
    """A bounded queue of rows. Not thread-safe: the batcher holds its lock around every call."""

    def __init__(self, *, max_batch_rows: int, max_queued_rows: int, max_queued_bytes: int) -> None:
        self.max_batch_rows = max_batch_rows
        self.max_queued_rows = max_queued_rows
        self.max_queued_bytes = max_queued_bytes
        self.queued_rows = 0
        self.queued_bytes = 0
        self._queue = FairQueue()
        self._seconds_per_row = 1e-4  # a first guess; every batch updates it

    def admit(self, job: Job, *, now: float) -> list[Job]:
        """Queue a job. Returns the expired jobs that were removed to make room; the batcher must fail their tickets.

        Raises DeadlineExceeded if the job's deadline has passed, QueueFull if its rows or bytes do not fit.
        """
        if job.call.deadline <= now:
            raise DeadlineExceeded("the deadline passed before the request was queued")
        expired: list[Job] = []
        reason = self._no_room(job)
        if reason is not None:
            expired = [waiting for waiting in self._queue if waiting.call.deadline <= now]
            for waiting in expired:
                self.withdraw(waiting)
            reason = self._no_room(job)
        if reason is not None:
            raise QueueFull(
                f"the queue is full: {self.queued_rows} rows ({self.queued_bytes} bytes) wait, "
                f"{len(job.rows)} more do not fit",
                reason=reason,
                retry_after=min(max(self.queued_rows * self._seconds_per_row, 0.001), 10.0),
            )
        job.priority = "bulk" if len(job.rows) > BULK_BATCHES * self.max_batch_rows else job.call.priority
        self._queue.add(job)
        self.queued_rows += len(job.rows)
        self.queued_bytes += job.rows.nbytes
        return expired

    def take(self, *, now: float, idle: int = 0) -> tuple[Batch | None, list[Job]]:
        """The next batch, or None if no row waits; and the expired jobs, whose tickets the batcher must fail.

        `idle` is the number of other executors without work: the waiting rows are shared evenly with them.
        """
        expired: list[Job] = []
        firsts: dict[Job, int] = {}  # each job's first row in this batch, in order of turns
        limit = room = self._fair_rows(1 + idle)
        while room and self._queue:
            job, quantum = self._queue.next()
            if job.call.deadline <= now:
                self.withdraw(job)
                expired.append(job)
                continue
            if job.first_taken is None:
                job.first_taken = now
            firsts.setdefault(job, job.taken)
            rows = min(quantum, room, job.waiting)
            job.taken += rows
            room -= rows
            self._uncount(job, rows)
            self._queue.took(job, rows)
            if not job.waiting:
                self._queue.remove(job)
        if not firsts:
            return None, expired
        parts = tuple(Part(job, first, job.taken) for job, first in firsts.items())
        rows = limit - room
        return Batch(parts, rows, "full" if rows == self.max_batch_rows else "idle"), expired

    def _fair_rows(self, executors: int) -> int:
        """The most rows of a batch if `executors` share the waiting rows."""
        share = -(-self.queued_rows // executors)
        return min(self.max_batch_rows, max(share, self.max_batch_rows // SMALLEST_SHARE))

    def withdraw(self, job: Job) -> int:
        """Remove a job's waiting rows from the queue. Returns their number."""
        if job not in self._queue:
            return 0
        self._queue.remove(job)
        waiting = job.waiting
        self._uncount(job, waiting)
        return waiting

    def withdraw_all(self) -> list[Job]:
        jobs = list(self._queue)
        for job in jobs:
            self.withdraw(job)
        return jobs

    def learn(self, *, rows: int, seconds: float) -> None:
        """Note how long a batch took. This estimates when a refused caller may try again."""
        self._seconds_per_row += 0.1 * (seconds / rows - self._seconds_per_row)

    def _no_room(self, job: Job) -> Literal["rows", "bytes"] | None:
        if job.call.is_probe:
            return None
        if self.queued_rows + len(job.rows) > self.max_queued_rows:
            return "rows"
        if self.queued_bytes + job.rows.nbytes > self.max_queued_bytes:
            return "bytes"
        return None

    def _uncount(self, job: Job, rows: int) -> None:
        self.queued_rows -= rows
        self.queued_bytes -= rows * (job.rows.nbytes // len(job.rows))
