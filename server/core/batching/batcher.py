"""Runs a graph in batches: executor threads take batches from a scheduler, run them and settle the jobs' tickets.

It is work-conserving: an idle executor takes whatever waits, and jobs gather only while all executors are busy. A
helper is an extra executor thread on the core the transport uses. It only takes full batches: running those early
cannot reduce batching.
"""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from server.core.arrays import Floats, RunGraph
from server.core.batching.bisection import run_parts
from server.core.batching.burst import Burst
from server.core.batching.job import Batch, Job
from server.core.batching.scheduler import Scheduler
from server.core.batching.ticket import Deliver, Ticket
from server.core.call import Call, GraphTiming
from server.core.events import BatchDone, Event, ExecutorDied, JobRefused, RowsDropped
from server.core.noise import Rows
from server.errors import DeadlineExceeded, EngineFailure, QueueFull, Unavailable


class Batcher:
    """Runs the rows of many calls through one graph in shared batches.

    The ticket of every admitted job settles exactly once, whatever happens to the jobs it shares a batch with.
    """

    def __init__(
        self,
        run: RunGraph,
        *,
        scheduler: Scheduler,
        executors: int = 1,
        helpers: int = 0,
        name: str = "graph",
        observe: Callable[[Event], None] = lambda _: None,
        deliver: Deliver = lambda work: work(),
        soon: Deliver = lambda work: work(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the threads: `executors`, and `helpers` that take full batches only.

        `deliver` runs a function on the callers' thread: it settles all jobs of a batch. `soon` runs a function in the
        submitting thread's next turn, e.g. loop.call_soon. Executors take rows once a turn has brought no more, so
        that requests which arrive together run together (see burst). `observe` is called on any thread.
        """
        self._run = run
        self._name = name
        self._scheduler = scheduler
        self._observe = observe
        self._deliver = deliver
        self._soon = soon
        self._clock = clock
        self._lock = threading.Lock()
        self._work_or_close = threading.Condition(self._lock)
        self._full_batch_or_close = threading.Condition(self._lock)
        self._closed = False
        self._running_rows = 0
        self._idle_executors = 0
        self._burst = Burst()
        sources = [self._next_batch] * executors + [self._next_full_batch] * helpers
        self._threads = [
            threading.Thread(target=self._execute, args=(next_batch,), name=f"{name}-{i}", daemon=True)
            for i, next_batch in enumerate(sources)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    @property
    def queued_rows(self) -> int:
        return self._scheduler.queued_rows

    @property
    def queued_bytes(self) -> int:
        return self._scheduler.queued_bytes

    @property
    def running_rows(self) -> int:
        return self._running_rows

    def submit(self, rows: Rows, call: Call) -> Ticket[tuple[Floats, ...]]:
        """Queue rows [rows, ...], or noise to draw. The ticket gives one array [rows, ...] for each output.

        Raises QueueFull, DeadlineExceeded or Unavailable if the job is not admitted. The ticket fails with
        DeadlineExceeded, Cancelled or EngineFailure.
        """
        job = Job(rows, call, submitted=self._clock())
        job.ticket = Ticket(on_cancel=lambda: self._withdraw(job))
        try:
            with self._lock:
                if self._closed:
                    raise Unavailable("the model is being shut down")
                expired = self._scheduler.admit(job, now=job.submitted)
                burst_begins = self._idle_executors > 0 and not self._burst.arriving
                if burst_begins:
                    self._burst.begin(now=job.submitted, queued_rows=self._scheduler.queued_rows)
                if self._full:
                    self._full_batch_or_close.notify()
        except QueueFull as full:
            self._observe(JobRefused(len(rows), "rows" if full.reason == "rows" else "bytes"))
            raise
        except DeadlineExceeded:
            self._observe(JobRefused(len(rows), "deadline"))
            raise
        if burst_begins:
            self._soon(self._end_of_turn)
        self._fail_expired(expired)
        return job.ticket

    def close(self) -> None:
        """Admit no more jobs, finish those admitted, and stop the threads. Blocks."""
        with self._lock:
            self._close()
        for thread in self._threads:
            thread.join()

    def _end_of_turn(self) -> None:
        """Runs on the callers' thread: wake an executor if the burst is over, else check again after the next turn."""
        with self._lock:
            over = self._burst.end_turn(now=self._clock(), queued_rows=self._scheduler.queued_rows, full=self._full)
            if over:
                self._work_or_close.notify()
        if not over:
            self._soon(self._end_of_turn)

    @property
    def _full(self) -> bool:
        return self._scheduler.queued_rows >= self._scheduler.max_batch_rows

    def _close(self) -> None:
        self._closed = True
        self._work_or_close.notify_all()
        self._full_batch_or_close.notify_all()

    def _execute(self, next_batch: Callable[[], Batch | None]) -> None:
        batch: Batch | None = None
        try:
            while (batch := next_batch()) is not None:
                self._run_batch(batch)
        except BaseException as error:
            self._fail_all(error, batch)
            raise

    def _next_batch(self) -> Batch | None:
        while True:
            batch: Batch | None = None
            expired: list[Job] = []
            burst_begins = False
            with self._lock:
                now = self._clock()
                if self._full or self._burst.complete or self._closed:
                    batch, expired = self._take(now, idle=self._idle_executors)
                queued_rows = self._scheduler.queued_rows
                if batch is not None:
                    self._burst.take(left_rows=queued_rows)
                    if self._burst.complete:
                        self._work_or_close.notify()
                elif not expired:
                    self._burst.complete = False
                    if self._closed:
                        return None
                    burst_begins = queued_rows > 0 and not self._burst.arriving
                    if burst_begins:
                        self._burst.begin(now=now, queued_rows=queued_rows)
                    else:
                        self._idle_executors += 1
                        self._work_or_close.wait()
                        self._idle_executors -= 1
            if burst_begins:
                self._deliver(self._end_of_turn)
            self._deliver_expired(expired)
            if batch is not None:
                return batch

    def _next_full_batch(self) -> Batch | None:
        while True:
            with self._lock:
                while not self._full and not self._closed:
                    self._full_batch_or_close.wait()
                if self._closed:
                    return None  # the executors finish the queue
                batch, expired = self._take(self._clock(), idle=0)  # helpers share with none
            self._deliver_expired(expired)
            if batch is not None:
                return batch

    def _take(self, now: float, *, idle: int) -> tuple[Batch | None, list[Job]]:
        batch, expired = self._scheduler.take(now=now, idle=idle)
        if batch is not None:
            self._running_rows += batch.rows
        if self._full:
            self._full_batch_or_close.notify()
        return batch, expired

    def _run_batch(self, batch: Batch) -> None:
        started = self._clock()
        results = run_parts(batch.parts, self._run, self._observe)
        ended = self._clock()
        seconds = ended - started
        settlements: list[Callable[[], object]] = []
        failed = 0
        unwanted = sum(part.size for part in batch.parts if part.job.ticket.done)
        with self._lock:
            self._running_rows -= batch.rows
            self._scheduler.learn(rows=batch.rows, seconds=seconds)
            for part, result in results:
                job = part.job
                job.run_seconds += seconds
                job.batch_rows = max(job.batch_rows, batch.rows)
                if isinstance(result, EngineFailure):
                    failed += part.size
                    self._scheduler.withdraw(job)
                    settlements.append(_failure(job, job.timing(self._name, now=ended), result))
                elif (outputs := job.put(part, result)) is not None:
                    settlements.append(_success(job, job.timing(self._name, now=ended), outputs))
        self._deliver(partial(_call_all, settlements))
        self._observe(
            BatchDone(
                rows=batch.rows,
                failed_rows=failed,
                reason=batch.reason,
                run_seconds=seconds,
                queue_seconds=tuple(part.job.queue_seconds for part in batch.parts if part.start == 0),
            )
        )
        if unwanted:
            self._observe(RowsDropped(unwanted, "running", "cancelled"))

    def _withdraw(self, job: Job) -> None:
        with self._lock:
            rows = self._scheduler.withdraw(job)
        if rows:
            self._observe(RowsDropped(rows, "queued", "cancelled"))

    def _deliver_expired(self, expired: list[Job]) -> None:
        if expired:
            self._deliver(lambda: self._fail_expired(expired))

    def _fail_expired(self, expired: list[Job]) -> None:
        for job in expired:
            self._observe(RowsDropped(job.waiting, "queued", "expired"))
            job.call.observe(job.timing(self._name, now=self._clock()))
            job.ticket.fail(DeadlineExceeded("the deadline passed while the request was queued"))

    def _fail_all(self, error: BaseException, batch: Batch | None) -> None:
        with self._lock:
            self._close()
            jobs = self._scheduler.withdraw_all()
            jobs += [part.job for part in batch.parts] if batch else []
        failure = EngineFailure("the model's executor died")
        failure.__cause__ = error
        self._deliver(partial(_call_all, [partial(job.ticket.fail, failure) for job in jobs]))
        self._observe(ExecutorDied(error))


def _call_all(calls: Sequence[Callable[[], object]]) -> None:
    for call in calls:
        call()


def _success(job: Job, timing: GraphTiming, outputs: tuple[Floats, ...]) -> Callable[[], object]:
    def settle() -> None:
        job.call.observe(timing)
        job.ticket.succeed(outputs)

    return settle


def _failure(job: Job, timing: GraphTiming, failure: EngineFailure) -> Callable[[], object]:
    def settle() -> None:
        job.call.observe(timing)
        job.ticket.fail(failure)

    return settle
