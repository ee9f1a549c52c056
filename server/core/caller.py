"""Who waits for rows, until when, and what the waiting has cost so far."""

from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

# Bulk work takes the rows that interactive callers leave, and a ninth of them otherwise (waiting.WEIGHTS).
Priority: TypeAlias = Literal["interactive", "bulk"]


@dataclass(frozen=True, slots=True)
class Served:
    """What serving one ticket took."""

    queue_seconds: float  # from submission to the first batch that held one of its rows
    run_seconds: float  # in batches that held its rows
    batch_rows: int  # the largest of those batches


class Allowance(Protocol):
    """What one call may still have."""

    def charge(self, rows: int, *, field: str) -> None:
        """Take rows off it. Raises QuotaExceeded, or InvalidInput for more than there can ever be."""

    def check_model(self, name: str) -> None:
        """Raises PermissionDenied for a model that is not for this caller."""


class Unlimited:
    """The allowance of those who have no account."""

    def charge(self, rows: int, *, field: str) -> None:
        pass

    def check_model(self, name: str) -> None:
        pass


UNLIMITED = Unlimited()


@dataclass(frozen=True, slots=True)
class Caller:
    """One call on behalf of somebody."""

    deadline: float  # on the server's monotonic clock, seconds
    tenant: str = ""  # on whose account
    priority: Priority = "interactive"
    served: list[Served] = field(default_factory=list)
    weight: int = 1  # the tenant's share beside other tenants' of the same priority
    allowance: Allowance = UNLIMITED

    def total(self) -> Served:
        """Everything this call took, over all graphs it went through."""
        if len(self.served) == 1:
            return self.served[0]
        return Served(
            queue_seconds=sum(s.queue_seconds for s in self.served),
            run_seconds=sum(s.run_seconds for s in self.served),
            batch_rows=max((s.batch_rows for s in self.served), default=0),
        )
