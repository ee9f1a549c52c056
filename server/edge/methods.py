"""The method table: everything that a transport must know to serve an RPC."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from google.protobuf.message import Message

from server.core.call import Call, CallRecord
from server.core.events import Rpc


class Messages(Protocol):
    """The messages of one streaming call, pulled one by one, so that nothing piles up for a slow reader."""

    async def next(self) -> Message | None:
        """Return the next message, or None at the end."""

    def close(self) -> None:
        """End the stream: it is complete, or the caller has left."""


# Arguments: request, call, record. The coroutines are run by core.batching.ticket.drive.
UnaryHandler: TypeAlias = Callable[[Any, Call, CallRecord], Coroutine[Any, Any, Message]]
StreamHandler: TypeAlias = Callable[[Any, Call, CallRecord], Messages]


@dataclass(frozen=True, slots=True)
class Unary:
    """One request, one response."""

    path: str  # /package.Service/Method
    request: type[Message]
    handler: UnaryHandler
    public: bool = field(default=False, kw_only=True)  # whether callers need no key or certificate
    rpc: Rpc = field(init=False)
    ends_at_drain: ClassVar = True  # a server that drains refuses new calls
    drain_waits: ClassVar = True  # and waits for the open ones

    def __post_init__(self) -> None:
        object.__setattr__(self, "rpc", _rpc("unary", self.path))


@dataclass(frozen=True, slots=True)
class ServerStream:
    """One request, any number of responses, without the server's limit of time."""

    path: str
    request: type[Message]
    handler: StreamHandler
    until: Literal["drain", "stop"] = "drain"  # when a shutdown ends the stream: in the drain, or at the stop
    public: bool = field(default=False, kw_only=True)
    rpc: Rpc = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rpc", _rpc("server_stream", self.path))

    @property
    def ends_at_drain(self) -> bool:
        """Whether a server that drains refuses new calls and ends the open ones."""
        return self.until == "drain"

    @property
    def drain_waits(self) -> bool:
        """Whether a server that drains waits for the end of open calls."""
        return self.until == "drain"


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A stream of requests, each with one response."""

    path: str
    request: type[Message]
    handler: UnaryHandler
    public: bool = field(default=False, kw_only=True)
    rpc: Rpc = field(init=False)
    ends_at_drain: ClassVar = True  # a server that drains refuses further requests
    drain_waits: ClassVar = False  # and cuts open dialogues, which hold no accepted work

    def __post_init__(self) -> None:
        object.__setattr__(self, "rpc", _rpc("bidi_stream", self.path))


Method: TypeAlias = Unary | ServerStream | Dialogue
MethodTable: TypeAlias = dict[str, Method]


def table(*methods: Method) -> MethodTable:
    """Methods by path."""
    return {method.path: method for method in methods}


@cache  # a copy of a method shares its Rpc object
def _rpc(grpc_type: Literal["unary", "server_stream", "bidi_stream"], path: str) -> Rpc:
    service, _, name = path.strip("/").partition("/")
    return Rpc(grpc_type, service, name)
