"""Turns errors of the domain into gRPC statuses: the only file that knows which error has which code."""

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from server.edge.status import Code, Status, Trailers
from server.errors import (
    Cancelled,
    DeadlineExceeded,
    EmbeddingSpaceMismatch,
    InvalidInput,
    NotFound,
    PermissionDenied,
    QueueFull,
    QuotaExceeded,
    Unauthenticated,
    Unavailable,
    VaeError,
)

MAX_MESSAGE = 1024  # characters; clients refuse answers with more than about 8 KiB of headers
CODES: dict[type[Exception], Code] = {
    InvalidInput: Code.INVALID_ARGUMENT,
    NotFound: Code.NOT_FOUND,
    EmbeddingSpaceMismatch: Code.FAILED_PRECONDITION,
    Unauthenticated: Code.UNAUTHENTICATED,
    PermissionDenied: Code.PERMISSION_DENIED,
    QuotaExceeded: Code.RESOURCE_EXHAUSTED,
    QueueFull: Code.RESOURCE_EXHAUSTED,
    DeadlineExceeded: Code.DEADLINE_EXCEEDED,
    Cancelled: Code.CANCELLED,
    Unavailable: Code.UNAVAILABLE,
}


def is_internal(error: Exception) -> bool:
    """Whether the error is the server's fault, so that the caller must not see its text."""
    return type(error) not in CODES


def refusal(error: Exception) -> Status:
    """The status for an error whose text the caller may see."""
    code = CODES[type(error)]
    return Status(code, _shortened(str(error)), _details(code, error))


def internal(error: Exception, *, error_id: str) -> Status:
    """The status for any other error: its id in the log, and its text only if it is one of the domain's errors."""
    known = _shortened(str(error)) if isinstance(error, VaeError) else "internal error"
    return Status(Code.INTERNAL, f"{known}; the server's log has it under id {error_id}")


def _shortened(text: str) -> str:
    """Cut a message so that it fits into a header, as it may quote parts of the request."""
    return text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + "..."


def _details(code: Code, error: Exception) -> Trailers:
    """google.rpc.Status in `grpc-status-details-bin`, and gRPC's pushback for clients that retry automatically."""
    details: list[Message] = []
    pushback: Trailers = ()
    if isinstance(error, InvalidInput):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=_shortened(error.problem)
        )
        details = [error_details_pb2.BadRequest(field_violations=[violation])]
    elif isinstance(error, QueueFull | QuotaExceeded):
        delay = Duration()
        delay.FromMilliseconds(max(1, round(error.retry_after * 1000)))
        details = [error_details_pb2.RetryInfo(retry_delay=delay)]
        pushback = (("grpc-retry-pushback-ms", str(delay.ToMilliseconds())),)
        if isinstance(error, QuotaExceeded):
            exceeded = error_details_pb2.QuotaFailure.Violation(subject=error.tenant, description=str(error))
            details.append(error_details_pb2.QuotaFailure(violations=[exceeded]))
    else:
        return ()
    packed = [Any() for _ in details]
    for place, detail in zip(packed, details, strict=True):
        place.Pack(detail)
    status = status_pb2.Status(code=code, message=_shortened(str(error)), details=packed)
    return (("grpc-status-details-bin", status.SerializeToString()), *pushback)
