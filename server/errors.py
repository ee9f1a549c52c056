"""Everything that can go wrong for a caller, in the words of the domain; only edge.boundary knows gRPC codes."""


class VaeError(Exception):
    """A failure whose message may be shown to the caller."""


class InvalidInput(VaeError):
    """The caller's mistake: which field, what was got, what is allowed."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


class NotFound(VaeError):
    """No such model, version or method."""


class EmbeddingSpaceMismatch(VaeError):
    """The caller pinned another embedding space than the model's."""


class QueueFull(VaeError):
    """The queue cannot keep what it would accept; come back later."""

    def __init__(self, message: str, *, reason: str, retry_after: float) -> None:
        super().__init__(message)
        self.reason = reason  # "rows" or "bytes": which bound was met
        self.retry_after = retry_after  # seconds


class Unauthenticated(VaeError):
    """Nobody knows who is calling."""


class PermissionDenied(VaeError):
    """It is known who is calling, and that is not allowed."""


class QuotaExceeded(VaeError):
    """The caller's tenant has used up what it may have; come back later."""

    def __init__(self, message: str, *, tenant: str, reason: str, retry_after: float) -> None:
        super().__init__(message)
        self.tenant = tenant
        self.reason = reason  # "quota" or "concurrency": which limit was met
        self.retry_after = retry_after  # seconds


class DeadlineExceeded(VaeError):
    """The caller's time, or the server's own limit, ran out."""


class Cancelled(VaeError):
    """The caller went away."""


class Unavailable(VaeError):
    """Loading, draining or gone: another replica, or a moment later, may answer."""


class EngineFailure(VaeError):
    """A graph could not be run on these rows; the cause is logged and stays inside."""


class ArtifactError(Exception):
    """An artifact that must not be served: which file, what was found, what is required."""


class StartFailed(Exception):
    """The server cannot start; the message is one line that says why."""
