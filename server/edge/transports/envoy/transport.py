"""The transport inside Envoy: the ASGI application that pyvoy calls for every request."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

from server.edge.boundary import Boundary
from server.edge.methods import Method, MethodTable, ServerStream, Unary
from server.edge.status import Code, RefusedCall, Status
from server.edge.transports.envoy import calls, response
from server.edge.transports.envoy.calls import Exchange, Hangup
from server.edge.transports.envoy.hangups import REQUEST_ID, Hangups, OpenCall
from server.edge.transports.envoy.listener import Listener
from server.edge.transports.envoy.request import speaks_grpc, takes_trailers
from server.edge.transports.envoy.response import Event
from server.edge.web.app import WebApp

_Carry: TypeAlias = Callable[[Exchange], Awaitable[None]]
_ORIGIN = b"origin"  # set by browsers, whose pages speak gRPC-Web
_NO_TRAILERS = Status(Code.INTERNAL, "the request header te: trailers is missing: does a proxy drop it?")


class EnvoyTransport:
    """The transport of a server inside Envoy. Lives on one event loop."""

    def __init__(
        self,
        methods: MethodTable,
        boundary: Boundary,
        *,
        max_request_bytes: int,
        listener: Listener,
        hangups: Hangups,
        web_app: WebApp | None = None,
    ) -> None:
        """Without a web app, requests that are not gRPC are refused.

        `server.envoy_process.launch` has configured keepalive, age and TLS of the connections in Envoy.
        """
        self._web_app = web_app
        self._listener = listener
        self._hangups = hangups
        self._open_calls = hangups.open_calls
        self._carriers = {path: _carrier(method, boundary, max_request_bytes) for path, method in methods.items()}

    async def start(self, host: str, port: int) -> int:
        """Let Envoy listen and return the port, which the system chooses if `port` is 0. Raises OSError."""
        self._hangups.listen()
        return await self._listener.open(host, port)

    async def stop(self, *, seconds: float) -> None:
        """Close the port and wait, at most `seconds`, until Envoy has sent all answers."""
        await self._listener.close(seconds=seconds)

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[Event]],
        send: Callable[[Event], Awaitable[None]],
    ) -> None:
        """Answer one HTTP request."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if not speaks_grpc(headers.get(b"content-type", b"")):
            if self._web_app is not None:
                await self._browse(self._web_app, scope, headers[REQUEST_ID], receive, send)
                return
            _refuse(send, 415, (b"accept-post", b"application/grpc"))
            return
        if scope["method"] != "POST":
            _refuse(send, 405, (b"allow", b"POST"))
            return
        if self._web_app is not None and _ORIGIN in headers and self._web_app.refuses(headers):
            _refuse(send, 403, (b"accept-post", b"application/grpc"))
            return
        call, call_id = OpenCall(), headers[REQUEST_ID]
        self._open_calls[call_id] = call
        exchange = Exchange(headers, receive, send, call, self._open_calls, call_id)
        try:
            carry = self._carriers.get(scope["path"])
            if carry is None:
                raise RefusedCall(Status(Code.UNIMPLEMENTED, "no such method"))
            if not takes_trailers(headers):
                raise RefusedCall(_NO_TRAILERS)
            await carry(exchange)
        except Hangup:
            exchange.close()
        except RefusedCall as refusal:
            exchange.close()
            exchange.end(refusal.status)
        except BaseException:
            exchange.close()
            raise

    async def _browse(
        self,
        web_app: WebApp,
        scope: Mapping[str, Any],
        call_id: bytes,
        receive: Callable[[], Awaitable[Event]],
        send: Callable[[Event], Awaitable[None]],
    ) -> None:
        """Answer a request that is not gRPC."""
        call = self._open_calls[call_id] = OpenCall()

        async def send_unless_gone(event: Event) -> None:
            if not call.gone:
                send(event)

        try:
            await web_app(scope, receive, send_unless_gone, wait_for=call.wait_for)
        finally:
            self._open_calls.pop(call_id, None)


def _refuse(send: Callable[[Event], Awaitable[None]], status: int, header: tuple[bytes, bytes]) -> None:
    send(response.http_error(status, header))
    send(response.LAST)


def _carrier(method: Method, boundary: Boundary, max_bytes: int) -> _Carry:
    if isinstance(method, Unary):
        return partial(calls.unary, method, boundary, max_bytes=max_bytes)
    if isinstance(method, ServerStream):
        return partial(calls.server_stream, method, boundary, max_bytes=max_bytes)
    return partial(calls.dialogue, method, boundary, max_bytes=max_bytes)
