"""Who waits for rows, until when, and what the waiting has cost so far."""

from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, TypeAlias

from server.core.values import value

# Bulk work takes the rows that interactive callers leave, and a ninth of them otherwise (fair_queue.WEIGHTS).
Priority: TypeAlias = Literal["interactive", "bulk"]


@value
class Served:
    """What serving one ticket took."""

    queue_seconds: float  # from submission to the first batch that held one of its rows
    run_seconds: float  # in batches that held its rows
    batch_rows: int  # the largest of those batches; 0 if there was none
    graph: str = ""  # as its batcher is called
    submitted: float = 0.0  # on the server's monotonic clock, seconds
    settled: float = 0.0  # likewise


@dataclass(slots=True)
class Asked:
    """What a call turned out to ask for, as far as it was understood, and on whose behalf, once it was admitted."""

    model: str = ""
    version: str = ""
    rows: int = 0
    tenant: str = ""


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


@value
class Caller:
    """One call on behalf of somebody."""

    deadline: float  # on the server's monotonic clock, seconds
    tenant: str = ""  # on whose account
    priority: Priority = "interactive"
    is_probe: bool = False  # one row that asks whether the queue moves: a full one must take it
    served: list[Served] = field(default_factory=list)
    weight: int = 1  # the tenant's share beside other tenants' of the same priority
    allowance: Allowance = UNLIMITED
    asked: Asked = field(default_factory=Asked)
    trace: Trace | None = None

    def total(self) -> Served:
        """Everything this call took, over all graphs it went through."""
        if len(self.served) == 1:
            return self.served[0]
        return Served(
            queue_seconds=sum(s.queue_seconds for s in self.served),
            run_seconds=sum(s.run_seconds for s in self.served),
            batch_rows=max((s.batch_rows for s in self.served), default=0),
        )

    def in_bulk(self) -> "Caller":
        """The same call, for work that interactive callers go before."""
        return replace(self, priority="bulk")

    def for_a_part(self) -> "Caller":
        """The same call, for a part of its work; tell `took` when it is done."""
        return replace(self, served=[])

    def took(self, part: "Caller") -> None:
        """A part is done: kept as one sum, as there may be any number of them."""
        self.served.extend(part.served)
        self.served[:] = [self.total()]
