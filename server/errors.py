"""The errors that callers and operators see, in domain terms; only edge.boundary knows gRPC status codes."""


class VaeError(Exception):
    """A failure whose message may be shown to the caller."""


class InvalidInput(VaeError):
    """A field of the request is wrong; the message names it, what was got and what is allowed."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


class NotFound(VaeError):
    """No such model, version or label, or no such service in a health check."""


class EmbeddingSpaceMismatch(VaeError):
    """The caller pinned an embedding space that is not the model's."""


class QueueFull(VaeError):
    """The queue has no room for these rows; the answer says when to come back."""

    def __init__(self, message: str, *, reason: str, retry_after: float) -> None:
        super().__init__(message)
        self.reason = reason  # "rows" or "bytes": the limit that was reached
        self.retry_after = retry_after  # seconds


class Unauthenticated(VaeError):
    """No API key, or an unknown one."""


class PermissionDenied(VaeError):
    """A client certificate of no tenant, or a model that the tenant may not use."""


class QuotaExceeded(VaeError):
    """The tenant's rows per second or concurrent calls are used up; the answer says until when."""

    def __init__(self, message: str, *, tenant: str, reason: str, retry_after: float) -> None:
        super().__init__(message)
        self.tenant = tenant
        self.reason = reason  # "quota" or "concurrency": the limit that was reached
        self.retry_after = retry_after  # seconds


class DeadlineExceeded(VaeError):
    """The caller's deadline, or the server's own limit `--max-seconds`, has passed."""


class Cancelled(VaeError):
    """The caller cancelled or disconnected."""


class Unavailable(VaeError):
    """The server drains, or the version is not ready, failed or unloaded."""


class EngineFailure(VaeError):
    """A graph failed on these rows. The cause is logged and not sent to the caller."""


class ArtifactError(Exception):
    """An artifact is not valid. The message names the file, what was found and what is required."""


class StartFailed(Exception):
    """The server cannot start; the message is one line that says why."""
