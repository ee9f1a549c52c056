"""Statistics since the process started: requests of every view and batches of every graph, as counts and sums."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from server.core.call import GraphTiming
from server.core.events import BatchDone, Event
from server.edge.inference_v2 import open_inference_pb2 as pb


@dataclass(slots=True)
class Duration:
    """A count and a total time in seconds."""

    count: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.seconds += seconds

    def message(self) -> pb.StatisticDuration:
        return pb.StatisticDuration(count=self.count, ns=round(self.seconds * 1e9))


@dataclass(slots=True)
class Requests:
    """The ModelInfer requests of one view of one version. Lives on the callers' thread."""

    rows: int = 0
    answered_at: float = 0.0  # seconds since the epoch
    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    queue: Duration = field(default_factory=Duration)
    reading: Duration = field(default_factory=Duration)
    running: Duration = field(default_factory=Duration)
    writing: Duration = field(default_factory=Duration)

    def answered(self, *, rows: int, total: float, reading: float, writing: float, timing: GraphTiming) -> None:
        """Count one answered request of this many rows; times in seconds."""
        self.rows += rows
        self.answered_at = time.time()
        self.success.add(total)
        self.queue.add(timing.queue_seconds)
        self.reading.add(reading)
        self.running.add(timing.run_seconds)
        self.writing.add(writing)


class Statistics:
    """Requests by view and version, and batches by graph."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # each executor reports its batches on its own thread
        self._batches: dict[tuple[str, str, str], dict[int, Duration]] = {}
        self._requests: dict[tuple[str, str], Requests] = {}

    def batches(self, *, model: str, version: str, graph: str) -> Callable[[Event], None]:
        """The observer of one graph's batcher."""
        by_rows = self._batches.setdefault((model, version, graph), {})

        def observe(event: Event) -> None:
            if isinstance(event, BatchDone):
                with self._lock:
                    by_rows.setdefault(event.rows, Duration()).add(event.run_seconds)

        return observe

    def requests(self, *, name: str, version: str) -> Requests:
        """The statistics of one view's requests."""
        requests = self._requests.get((name, version))
        if requests is None:
            requests = self._requests[name, version] = Requests()
        return requests

    def message(self, *, name: str, model: str, version: str, graph: str) -> pb.ModelStatistics:
        """The statistics of view `name` as a message, with the batches of its model's `graph`."""
        requests = self.requests(name=name, version=version)
        with self._lock:
            batches = sorted(self._batches.get((model, version, graph), {}).items())
            sizes = [pb.InferBatchStatistics(batch_size=rows, compute_infer=ran.message()) for rows, ran in batches]
        return pb.ModelStatistics(
            name=name,
            version=version,
            last_inference=round(requests.answered_at * 1000),
            inference_count=requests.rows,
            execution_count=sum(size.compute_infer.count for size in sizes),
            inference_stats=pb.InferStatistics(
                success=requests.success.message(),
                fail=requests.fail.message(),
                queue=requests.queue.message(),
                compute_input=requests.reading.message(),
                compute_infer=requests.running.message(),
                compute_output=requests.writing.message(),
            ),
            batch_stats=sizes,
        )
