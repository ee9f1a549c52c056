"""What batchers and the boundary report; server.app plugs metrics and logs in. Neither measures for itself."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from server.core.arrays import Floats
from server.core.call import CallRecord, Trace
from server.core.spec import LatentMode

# Why a batch left: it could hold no more, or an executor had nothing else to do.
Reason: TypeAlias = Literal["full", "idle"]


@dataclass(slots=True)
class BatchDone:
    """A batch ran, in one piece or, after a failure, in several."""

    rows: Final[int]
    failed_rows: Final[int]
    reason: Final[Reason]
    run_seconds: Final[float]
    queue_seconds: Final[tuple[float, ...]]  # one for each job whose first rows were in the batch


@dataclass(frozen=True, slots=True)
class JobRefused:
    """A job was not admitted."""

    rows: int
    reason: Literal["rows", "bytes", "deadline"]


@dataclass(frozen=True, slots=True)
class RowsDropped:
    """Rows nobody waits for any more were not run, or ran for nothing."""

    rows: int
    stage: Literal["queued", "running"]
    cause: Literal["cancelled", "expired"]


@dataclass(frozen=True, slots=True)
class GraphFailed:
    """One run of the graph raised; its rows are tried again in halves, down to one job."""

    rows: int
    error: Exception


@dataclass(frozen=True, slots=True)
class NotFinite:
    """A graph gave NaN or infinity for so many rows of one run."""

    rows: int


@dataclass(frozen=True, slots=True)
class ExecutorDied:
    """A bug in this file: the batcher is closed, every waiting caller was told, and the process should restart."""

    error: BaseException


Event: TypeAlias = BatchDone | JobRefused | RowsDropped | GraphFailed | NotFinite | ExecutorDied


@dataclass(frozen=True, slots=True, eq=False)
class RowsScored:
    """A model said how well it explains a caller's rows: what drift is seen by."""

    model: str
    version: str
    latent: LatentMode
    nll: Floats  # [rows], nats
    kl: Floats  # [rows], nats
    elbo_percentile: Floats  # [rows], among held-out rows, 0..100


@dataclass(frozen=True, slots=True, eq=False)
class Rpc:
    """A remote procedure by its names. There is one object for each, which every event of it holds."""

    grpc_type: Literal["unary", "server_stream", "bidi_stream"]
    service: str
    method: str


@dataclass(slots=True)
class CallStarted:
    """A call came."""

    rpc: Final[Rpc]


@dataclass(slots=True)
class CallHandled:
    """A call ended."""

    rpc: Final[Rpc]
    code: Final[str]  # OK, INVALID_ARGUMENT ...
    seconds: Final[float]
    record: Final[CallRecord]
    trace: Final[Trace | None]


CallEvent: TypeAlias = CallStarted | CallHandled


@dataclass(frozen=True, slots=True)
class CallTurnedAway:
    """A call was refused on account of who made it."""

    reason: Literal["unauthenticated", "permission", "quota", "concurrency"]
    tenant: str  # empty if nobody knows who it was


@dataclass(frozen=True, slots=True)
class RowsCharged:
    """Rows went onto a tenant's account."""

    tenant: str
    rows: int


AccessEvent: TypeAlias = CallTurnedAway | RowsCharged
