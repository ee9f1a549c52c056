"""gRPC statuses without the grpc package: code, message and trailers."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

Trailers: TypeAlias = tuple[tuple[str, str | bytes], ...]


class Code(IntEnum):
    """The values of google.rpc.Code that this server uses."""

    OK = 0  # the call ended well
    CANCELLED = 1
    UNKNOWN = 2  # not sent by this server
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12  # no such method
    INTERNAL = 13  # the model failed on these rows, or a bug; the message has an id that the log has too
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


@dataclass(slots=True)
class Status:
    """How a call ended."""

    code: Final[Code] = Code.OK
    message: Final[str] = ""
    trailers: Final[Trailers] = ()


class RefusedCall(Exception):
    """A transport cannot read the call, which ends with this status."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.message)
        self.status = status
