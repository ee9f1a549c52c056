"""The method table: everything a transport must know to serve an RPC."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from google.protobuf.message import Message

from server.core.caller import Caller
from server.core.events import Rpc
from server.core.ticket import Steps


class Messages(Protocol):
    """The answers of one streaming call, pulled one by one: whoever reads slowly makes nothing pile up."""

    def next(self) -> Steps[Message | None]:
        """The next message; None at the end."""

    def close(self) -> None:
        """The caller is gone or has had enough."""


UnaryHandler: TypeAlias = Callable[[Any, Caller], Steps[Message]]
StreamHandler: TypeAlias = Callable[[Any, Caller], Messages]


@dataclass(frozen=True, slots=True)
class Unary:
    """One request, one response."""

    path: str  # /package.Service/Method
    request: type[Message]
    handler: UnaryHandler

    @property
    def rpc(self) -> Rpc:
        return Rpc("unary", *_names(self.path))


@dataclass(frozen=True, slots=True)
class ServerStream:
    """One request, any number of responses, for as long as the caller likes."""

    path: str
    request: type[Message]
    handler: StreamHandler

    @property
    def rpc(self) -> Rpc:
        return Rpc("server_stream", *_names(self.path))


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A stream of requests, each with one response."""

    path: str
    request: type[Message]
    handler: UnaryHandler

    @property
    def rpc(self) -> Rpc:
        return Rpc("bidi_stream", *_names(self.path))


Method: TypeAlias = Unary | ServerStream | Dialogue
MethodTable: TypeAlias = dict[str, Method]


def table(*methods: Method) -> MethodTable:
    """Methods by path."""
    return {method.path: method for method in methods}


def _names(path: str) -> tuple[str, str]:
    service, _, name = path.strip("/").partition("/")
    return service, name
