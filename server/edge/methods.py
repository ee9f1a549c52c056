"""The method table: everything a transport must know to serve an RPC."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from google.protobuf.message import Message

from server.core.call import Call, CallRecord
from server.core.events import Rpc


class Messages(Protocol):
    """The answers of one streaming call, pulled one by one: whoever reads slowly makes nothing pile up."""

    async def next(self) -> Message | None:
        """The next message; None at the end."""

    def close(self) -> None:
        """The caller is gone or has had enough."""


# (request, call, record of it): coroutines of core.batching.ticket.drive.
UnaryHandler: TypeAlias = Callable[[Any, Call, CallRecord], Coroutine[Any, Any, Message]]
StreamHandler: TypeAlias = Callable[[Any, Call, CallRecord], Messages]


@dataclass(frozen=True, slots=True)
class Unary:
    """One request, one response."""

    path: str  # /package.Service/Method
    request: type[Message]
    handler: UnaryHandler
    public: bool = field(default=False, kw_only=True)  # whether it may be called by whoever reaches the port
    rpc: Rpc = field(init=False)
    ends_at_drain: ClassVar = True  # a server that drains refuses new calls of it
    drain_waits: ClassVar = True  # and waits for those that are open

    def __post_init__(self) -> None:
        object.__setattr__(self, "rpc", _rpc("unary", self.path))


@dataclass(frozen=True, slots=True)
class ServerStream:
    """One request, any number of responses, for as long as the caller likes."""

    path: str
    request: type[Message]
    handler: StreamHandler
    until: Literal["drain", "stop"] = "drain"  # where the server leaves: before its last calls are answered, or after
    public: bool = field(default=False, kw_only=True)
    rpc: Rpc = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rpc", _rpc("server_stream", self.path))

    @property
    def ends_at_drain(self) -> bool:
        """Whether a server that drains refuses new calls of it and ends those that are open."""
        return self.until == "drain"

    @property
    def drain_waits(self) -> bool:
        """Whether a server that drains waits for the end of those that are open."""
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
    drain_waits: ClassVar = False  # and cuts what is open: it is no work that was accepted

    def __post_init__(self) -> None:
        object.__setattr__(self, "rpc", _rpc("bidi_stream", self.path))


Method: TypeAlias = Unary | ServerStream | Dialogue
MethodTable: TypeAlias = dict[str, Method]


def table(*methods: Method) -> MethodTable:
    """Methods by path."""
    return {method.path: method for method in methods}


@cache  # one object for each, also for a method that is a copy of another
def _rpc(grpc_type: Literal["unary", "server_stream", "bidi_stream"], path: str) -> Rpc:
    service, _, name = path.strip("/").partition("/")
    return Rpc(grpc_type, service, name)
