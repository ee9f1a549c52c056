"""gRPC status without gRPC: codes, and what goes with them in trailers."""

from enum import IntEnum
from typing import NamedTuple, TypeAlias

Trailers: TypeAlias = tuple[tuple[str, str | bytes], ...]


class Code(IntEnum):
    """google.rpc.Code, as far as this server uses it."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class Status(NamedTuple):
    """How a call ended."""

    code: Code = Code.OK
    message: str = ""
    trailers: Trailers = ()


class RefusedCall(Exception):
    """The call ends here with this status: it cannot be read on."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.message)
        self.status = status
