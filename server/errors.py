"""The errors that callers and operators see, in domain terms; only edge.boundary knows gRPC status codes."""


class VaeError(Exception):
    """A failure whose message may be shown to the caller."""


class InvalidInput(VaeError):
    """A mistake of the caller. `problem` says what was got and what is allowed."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


class NotFound(VaeError):
    """No such model, version or method."""


class EmbeddingSpaceMismatch(VaeError):
    """The caller pinned an embedding space that is not the model's."""


class QueueFull(VaeError):
    """The queue has no room for these rows; the caller may try again later."""

    def __init__(self, message: str, *, reason: str, retry_after: float) -> None:
        super().__init__(message)
        self.reason = reason  # "rows" or "bytes": the limit that was reached
        self.retry_after = retry_after  # seconds


class Unauthenticated(VaeError):
    """The caller is unknown: its key or certificate is missing or not valid."""


class PermissionDenied(VaeError):
    """The caller is known but may not do this."""


class QuotaExceeded(VaeError):
    """The caller's tenant has used up its quota; the caller may try again later."""

    def __init__(self, message: str, *, tenant: str, reason: str, retry_after: float) -> None:
        super().__init__(message)
        self.tenant = tenant
        self.reason = reason  # "quota" or "concurrency": the limit that was reached
        self.retry_after = retry_after  # seconds


class DeadlineExceeded(VaeError):
    """The call's deadline, or the server's own time limit, has passed."""


class Cancelled(VaeError):
    """The caller cancelled or disconnected."""


class Unavailable(VaeError):
    """The model or server is loading, draining or closed; another replica or a later call may succeed."""


class EngineFailure(VaeError):
    """A graph failed on these rows. The cause is logged and not sent to the caller."""


class ArtifactError(Exception):
    """An artifact is not valid. The message names the file, what was found and what is required."""


class StartFailed(Exception):
    """The server cannot start; the message is one line that says why."""
