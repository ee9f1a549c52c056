"""The client's exceptions, one class for each remedy, made from the status of a gRPC call."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

# The trailing metadata of a gRPC call: pairs of a key and text, or bytes where the key ends in "-bin".
Trailers: TypeAlias = Iterable[tuple[str, str | bytes]]


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One wrong field of a request."""

    field: str  # the field's name in the API, e.g. "items.shape"
    description: str  # what was got and what is allowed


class VaeServeError(Exception):
    """A call failed. `str()` gives the server's message, which is meant to be shown.

    code         the gRPC status by name, e.g. "INVALID_ARGUMENT"
    violations   the wrong fields, if the server named them
    retry_after  seconds after which the server asks for a retry, or None
    """

    code = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        violations: tuple[FieldViolation, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.violations = violations
        self.retry_after = retry_after


class InvalidInput(VaeServeError, ValueError):
    """An argument is wrong: correct what `violations` names. The client raises it too, for what it cannot send."""

    code = "INVALID_ARGUMENT"

    @classmethod
    def field(cls, field: str, problem: str) -> "InvalidInput":
        """The error of one field: "count" and "must be an integer, got 1.5"."""
        return cls(f"{field} {problem}", violations=(FieldViolation(field, problem),))


class NotFound(VaeServeError):
    """No such model, version or health service: `list_models` has those that there are."""

    code = "NOT_FOUND"


class FailedPrecondition(VaeServeError):
    """A condition that the caller relies on does not hold: the embedding space, or the model of a resumed stream."""

    code = "FAILED_PRECONDITION"


class EmbeddingSpaceMismatch(FailedPrecondition):
    """The model's embedding space is not the pinned one: name the old version, or encode everything again."""


class ResourceExhausted(VaeServeError):
    """The server cannot or may not do that much work."""

    code = "RESOURCE_EXHAUSTED"


class QueueFull(ResourceExhausted):
    """The server is busy: call again after `retry_after` seconds."""


class QuotaExceeded(ResourceExhausted):
    """The tenant has used up its rows or calls: call again after `retry_after` seconds."""


class DeadlineExceeded(VaeServeError):
    """No answer within the client's timeout or the server's limit: wait longer, or ask for fewer rows."""

    code = "DEADLINE_EXCEEDED"


class Unavailable(VaeServeError):
    """No server answers, or it is loading or draining. Another replica, or the same one later, may answer."""

    code = "UNAVAILABLE"


class Unauthenticated(VaeServeError):
    """The server does not know who is calling: show an API key or a certificate."""

    code = "UNAUTHENTICATED"


class PermissionDenied(VaeServeError):
    """The server knows who is calling and refuses: ask its operator."""

    code = "PERMISSION_DENIED"


class Cancelled(VaeServeError):
    """The call was cancelled, by this side or on the way."""

    code = "CANCELLED"


class Internal(VaeServeError):
    """The server failed: report the id in the message, under which its log has the cause."""

    code = "INTERNAL"


def from_status(code: str, message: str | None, trailers: Trailers) -> VaeServeError:
    """The exception for a call that ended with status `code`, e.g. "NOT_FOUND"."""
    violations, retry_after, over_quota = _details(trailers)
    kind = _KINDS.get(code, VaeServeError)
    if kind is ResourceExhausted and retry_after is not None:
        kind = QuotaExceeded if over_quota else QueueFull
    return kind(message or code, code=code, violations=violations, retry_after=retry_after)


_KINDS: dict[str, type[VaeServeError]] = {
    kind.code: kind
    for kind in (
        InvalidInput,
        NotFound,
        EmbeddingSpaceMismatch,
        ResourceExhausted,
        DeadlineExceeded,
        Unavailable,
        Unauthenticated,
        PermissionDenied,
        Cancelled,
        Internal,
    )
}


def _details(trailers: Trailers) -> tuple[tuple[FieldViolation, ...], float | None, bool]:
    """Field violations, seconds to wait, and whether a quota is the reason, from the trailers' google.rpc.Status."""
    violations: tuple[FieldViolation, ...] = ()
    retry_after, over_quota = None, False
    for detail in _status(trailers).details:
        if detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad_request = error_details_pb2.BadRequest.FromString(detail.value)
            violations = tuple(FieldViolation(v.field, v.description) for v in bad_request.field_violations)
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            delay = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay
            retry_after = delay.seconds + delay.nanos / 1e9
        elif detail.Is(error_details_pb2.QuotaFailure.DESCRIPTOR):
            over_quota = True
    return violations, retry_after, over_quota


def _status(trailers: Trailers) -> status_pb2.Status:
    """The google.rpc.Status in the trailers; an empty one if it is missing or damaged."""
    packed = next((value for key, value in trailers if key == "grpc-status-details-bin"), b"")
    try:
        return status_pb2.Status.FromString(packed)
    except DecodeError:
        return status_pb2.Status()
