"""A call: its deadline, tenant, priority and allowance; and the record of what became of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol, TypeAlias

# Bulk work gets the rows that interactive calls leave free, and a ninth while both wait (fair_queue.WEIGHTS).
Priority: TypeAlias = Literal["interactive", "bulk"]


@dataclass(slots=True)
class GraphTiming:
    """How long one graph took for a call."""

    queue_seconds: Final[float]  # from submission to the first batch that held one of its rows
    run_seconds: Final[float]  # in batches that held its rows
    batch_rows: Final[int]  # the largest of those batches; 0 if there was none
    graph: Final[str] = ""  # the name of its batcher; empty in a sum over several graphs
    submitted: Final[float] = 0.0  # on the server's monotonic clock, seconds
    settled: Final[float] = 0.0  # on the same clock


class Trace(Protocol):
    """The distributed trace that a call belongs to."""

    @property
    def id(self) -> str:
        """The trace's id: 32 hexadecimal digits."""

    @property
    def sampled(self) -> bool:
        """Whether the trace is recorded, so that it can be looked up."""


class Allowance(Protocol):
    """What a call may still use: rows and models."""

    @property
    def rows_at_once(self) -> int | None:
        """The largest charge that can ever be granted; None: no limit."""

    def charge(self, rows: int, *, field: str) -> None:
        """Deduct rows. Raises QuotaExceeded, or InvalidInput for more rows than `rows_at_once`."""

    def may_use(self, model: str) -> bool:
        """Whether this caller may use a model."""

    def check_model(self, name: str) -> None:
        """Raises PermissionDenied if this caller may not use a model."""


class Unlimited:
    """The allowance of callers without an account: everything."""

    rows_at_once = None

    def charge(self, rows: int, *, field: str) -> None:
        pass

    def may_use(self, model: str) -> bool:  # noqa: ARG002
        return True

    def check_model(self, name: str) -> None:
        pass


UNLIMITED = Unlimited()


def _ignore(_: GraphTiming) -> None:
    pass


@dataclass(slots=True)
class Call:
    """One call. It never changes; `observe` receives what becomes of it."""

    deadline: Final[float]  # on the server's monotonic clock, seconds
    tenant: Final[str] = ""  # empty without a tenants file
    weight: Final[int] = 1  # the tenant's share, relative to tenants of the same priority
    priority: Final[Priority] = "interactive"
    is_probe: Final[bool] = False  # a health check's one row: admitted even if the queue is full
    allowance: Final[Allowance] = UNLIMITED
    trace: Final[Trace | None] = None
    observe: Final[Callable[[GraphTiming], None]] = _ignore  # receives the timing of every graph that it runs

    def in_bulk(self) -> "Call":
        """The same call as bulk work."""
        return replace(self, priority="bulk")


@dataclass(slots=True)
class CallRecord:
    """What became of a call. The boundary owns it and reports it to metrics, access log and traces."""

    tenant: str = ""  # empty until the caller is known
    model: str = ""  # empty until the model is known
    version: str = ""
    rows: int = 0  # requested, as far as the request could be read
    timings: list[GraphTiming] = field(default_factory=list)

    def total(self) -> GraphTiming:
        """The sum over all graphs; `batch_rows` is the greatest."""
        if len(self.timings) == 1:
            return self.timings[0]
        return GraphTiming(
            queue_seconds=sum(timing.queue_seconds for timing in self.timings),
            run_seconds=sum(timing.run_seconds for timing in self.timings),
            batch_rows=max((timing.batch_rows for timing in self.timings), default=0),
        )

    def sum_timings(self) -> None:
        """Replace the timings by their sum, so that a long stream's list does not grow."""
        self.timings[:] = [self.total()]
