"""Everything that can go wrong for a caller, in the words of the domain; only edge.boundary knows gRPC codes."""


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
    """The caller pinned another embedding space than the model's."""


class QueueFull(VaeError):
    """The queue has no room for these rows; the answer says when to come back."""

    def __init__(self, message: str, *, reason: str, retry_after: float) -> None:
        super().__init__(message)
        self.reason = reason  # "rows" or "bytes": which bound was met
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
        self.reason = reason  # "quota" or "concurrency": which limit was met
        self.retry_after = retry_after  # seconds


class DeadlineExceeded(VaeError):
    """The caller's deadline, or the server's own limit `--max-seconds`, has passed."""


class Cancelled(VaeError):
    """The caller left."""


class Unavailable(VaeError):
    """The server drains, or the version is not ready, failed or unloaded."""


class EngineFailure(VaeError):
    """A graph could not be run on these rows; the cause is logged and stays inside."""


class ArtifactError(Exception):
    """An artifact that must not be served: which file, what was found, what is required."""


class StartFailed(Exception):
    """The server cannot start; the message is one line that says why."""
