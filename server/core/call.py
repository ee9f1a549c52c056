"""A call: for whom rows are computed, and until when; and the record of what became of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol, TypeAlias

# Bulk work takes the rows that interactive calls leave, and a ninth of them otherwise (fair_queue.WEIGHTS).
Priority: TypeAlias = Literal["interactive", "bulk"]


@dataclass(slots=True)
class GraphTiming:
    """What one graph took for a call."""

    queue_seconds: Final[float]  # from submission to the first batch that held one of its rows
    run_seconds: Final[float]  # in batches that held its rows
    batch_rows: Final[int]  # the largest of those batches; 0 if there was none
    graph: Final[str] = ""  # as its batcher is called; empty in a sum over several
    submitted: Final[float] = 0.0  # on the server's monotonic clock, seconds
    settled: Final[float] = 0.0  # likewise


class Trace(Protocol):
    """The call's place in a trace over many services."""

    @property
    def id(self) -> str:
        """32 hexadecimal digits."""

    @property
    def sampled(self) -> bool:
        """Whether anybody will be able to look it up."""


class Allowance(Protocol):
    """What one call may still have."""

    @property
    def rows_at_once(self) -> int | None:
        """The most that one charge can ever be; None: any number."""

    def charge(self, rows: int, *, field: str) -> None:
        """Take rows off it. Raises QuotaExceeded, or InvalidInput for more than there can ever be."""

    def may_use(self, model: str) -> bool:
        """Whether a model is for this caller."""

    def check_model(self, name: str) -> None:
        """Raises PermissionDenied for a model that is not for this caller."""


class Unlimited:
    """The allowance of those who have no account."""

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
    """One call on somebody's behalf. It never changes: what becomes of it is told to `observe`."""

    deadline: Final[float]  # on the server's monotonic clock, seconds
    tenant: Final[str] = ""  # whose it is
    weight: Final[int] = 1  # the tenant's share beside other tenants' of the same priority
    priority: Final[Priority] = "interactive"
    is_probe: Final[bool] = False  # one row that asks whether the queue moves: a full one must take it
    allowance: Final[Allowance] = UNLIMITED
    trace: Final[Trace | None] = None
    observe: Final[Callable[[GraphTiming], None]] = _ignore  # hears what every graph took for it

    def in_bulk(self) -> "Call":
        """The same call, for work that interactive calls go before."""
        return replace(self, priority="bulk")


@dataclass(slots=True)
class CallRecord:
    """What became of a call: kept by whoever opened it, for metrics, the access log and traces."""

    tenant: str = ""  # once it is known whose the call is
    model: str = ""  # once the model is known
    version: str = ""
    rows: int = 0  # that it asks for, as far as the request was understood
    timings: list[GraphTiming] = field(default_factory=list)

    def total(self) -> GraphTiming:
        """What all graphs together took."""
        if len(self.timings) == 1:
            return self.timings[0]
        return GraphTiming(
            queue_seconds=sum(timing.queue_seconds for timing in self.timings),
            run_seconds=sum(timing.run_seconds for timing in self.timings),
            batch_rows=max((timing.batch_rows for timing in self.timings), default=0),
        )

    def sum_timings(self) -> None:
        """Keep nothing but the sum: a stream runs any number of graphs."""
        self.timings[:] = [self.total()]
