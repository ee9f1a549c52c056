"""Events that batchers and the boundary report. `server.app` turns them into metrics and logs."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from server.core.arrays import Floats
from server.core.call import CallRecord, Trace
from server.core.spec import LatentMode

# Why a batch ran: it was full, or an executor was idle.
Reason: TypeAlias = Literal["full", "idle"]


@dataclass(slots=True)
class BatchDone:
    """A batch ran, in one run or, after a failure, in several."""

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
    """Rows whose caller no longer waits: removed from the queue, or run in vain."""

    rows: int
    stage: Literal["queued", "running"]
    cause: Literal["cancelled", "expired"]


@dataclass(frozen=True, slots=True)
class GraphFailed:
    """One run of the graph raised an error. Its rows run again in halves, down to one job."""

    rows: int
    error: Exception


@dataclass(frozen=True, slots=True)
class NotFinite:
    """A graph returned NaN or infinity in some rows of one run."""

    rows: int


@dataclass(frozen=True, slots=True)
class ExecutorDied:
    """An executor thread ended by a bug. The batcher is closed, its jobs have failed, the process should restart."""

    error: BaseException


Event: TypeAlias = BatchDone | JobRefused | RowsDropped | GraphFailed | NotFinite | ExecutorDied


@dataclass(frozen=True, slots=True, eq=False)
class RowsScored:
    """A model scored the rows of a call; drift is measured from these scores."""

    model: str
    version: str
    latent: LatentMode
    nll: Floats  # [rows], nats
    kl: Floats  # [rows], nats
    elbo_percentile: Floats  # [rows], among held-out rows, 0..100


@dataclass(frozen=True, slots=True, eq=False)
class Rpc:
    """A remote procedure's names. There is one object for each procedure, shared by all its events."""

    grpc_type: Literal["unary", "server_stream", "bidi_stream"]
    service: str
    method: str


@dataclass(slots=True)
class CallStarted:
    """A call began."""

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
    """A call was refused because of who made it, or what that tenant may use."""

    reason: Literal["unauthenticated", "permission", "quota", "concurrency"]
    tenant: str  # empty if unknown


@dataclass(frozen=True, slots=True)
class RowsCharged:
    """Rows were charged to a tenant."""

    tenant: str
    rows: int


AccessEvent: TypeAlias = CallTurnedAway | RowsCharged
