"""The web app: an ASGI application that answers HTTP requests for the unary methods and the web page."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from server.core.batching.ticket import Ticket
from server.edge.await_ticket import await_ticket
from server.edge.boundary import Boundary
from server.edge.metadata import of_headers
from server.edge.methods import MethodTable, Unary
from server.edge.peer import DescribedPeer
from server.edge.status import Code, RefusedCall, Status
from server.edge.web import connect, static
from server.edge.web.cors import CorsPolicy
from server.edge.web.json_messages import in_json
from server.edge.web.response import JSON, Response
from server.errors import Cancelled

Event: TypeAlias = dict[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
CertificateNames: TypeAlias = Callable[[Mapping[bytes, bytes]], Sequence[str]]
WaitFor: TypeAlias = Callable[[Ticket[Any]], None]
PROTO = b"application/proto"
ACCEPTED = b"application/json, application/proto"
# `curl -d` sends this content type by default. A page may send it without a preflight, hence the check of origins.
_JSON_TOO = {JSON, b"application/x-www-form-urlencoded"}


class CallerGone(Exception):
    """The caller has left and needs no answer."""


class WebApp:
    """Answers HTTP requests. Lives on one event loop."""

    def __init__(
        self,
        methods: MethodTable,
        boundary: Boundary,
        *,
        max_request_bytes: int,
        cors: CorsPolicy,
        certificate_names: CertificateNames = lambda _: (),
    ) -> None:
        """`max_request_bytes` limits a binary request. JSON may be a third longer, as base64 is.

        `certificate_names` reads the names of the client certificate from headers that the transport sets. By default
        no request has a certificate, and such headers are ignored.
        """
        unary = {path: method for path, method in methods.items() if isinstance(method, Unary)}
        self._boundary = boundary
        self._binary = unary
        self._json = {path: in_json(method) for path, method in unary.items()}
        self._max_bytes = max_request_bytes
        self._cors = cors
        self._certificate_names = certificate_names
        self._page = static.read()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send, *, wait_for: WaitFor) -> None:
        """Answer one HTTP request. `wait_for` gets the ticket of its call, to cancel it if the caller leaves."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        try:
            response = await self._answer(scope["method"], scope["path"], headers, receive, wait_for)
        except CallerGone:
            return
        fields = [*response.headers, (b"content-length", b"%d" % len(response.body))]
        await send({"type": "http.response.start", "status": response.status, "headers": fields})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else response.body})

    def refuses(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether the web page that sent a request may not call."""
        return self._cors.refusal(headers) is not None

    async def _answer(
        self, verb: str, path: str, headers: Mapping[bytes, bytes], receive: Receive, wait_for: WaitFor
    ) -> Response:
        if verb == "POST":
            try:
                response = await self._call(path, headers, receive, wait_for)
            except RefusedCall as refusal:
                response = connect.error(refusal.status)
            return response.also(self._cors.allowance(headers))
        if verb == "OPTIONS" and path in self._binary:
            return Response(204, self._cors.preflight(headers))
        if verb in ("GET", "HEAD") and path in self._page:
            return static.fresh(self._page[path], headers)
        if path in self._binary:
            return Response(405, ((b"allow", b"POST, OPTIONS"),))
        if path in self._page:
            return Response(405, ((b"allow", b"GET, HEAD"),))
        return Response(404, ((b"content-type", b"text/plain; charset=utf-8"),), b"no such page\n")

    async def _call(self, path: str, headers: Mapping[bytes, bytes], receive: Receive, wait_for: WaitFor) -> Response:
        refusal = self._cors.refusal(headers)
        if refusal is not None:
            raise RefusedCall(Status(Code.PERMISSION_DENIED, refusal))
        content_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if content_type in _JSON_TOO:
            methods, answers_in, max_bytes = self._json, JSON, self._max_bytes * 4 // 3
        elif content_type == PROTO:
            methods, answers_in, max_bytes = self._binary, PROTO, self._max_bytes
        else:
            return Response(415, ((b"accept-post", ACCEPTED),))
        method = methods.get(path)
        if method is None:
            return connect.error(Status(Code.UNIMPLEMENTED, "no such unary method"), http_status=404)
        connect.check(headers)
        timeout = connect.seconds_left(headers)
        body = await _body(receive, max_bytes=max_bytes)
        peer = DescribedPeer(of_headers(headers), self._certificate_names(headers))
        ticket = self._boundary.unary(method, body, seconds_left=timeout, peer=peer)
        wait_for(ticket)
        try:
            return connect.answer(await await_ticket(ticket), answers_in)
        except Cancelled:
            raise CallerGone from None


async def _body(receive: Receive, *, max_bytes: int) -> bytes:
    """Read the whole request body. Raises RefusedCall if it is too large, CallerGone if the caller has left."""
    pieces: list[bytes] = []
    size = 0
    while (event := await receive())["type"] == "http.request":
        piece = event.get("body", b"")
        size += len(piece)
        if size > max_bytes:
            raise RefusedCall(Status(Code.RESOURCE_EXHAUSTED, f"a request must be at most {max_bytes} bytes"))
        pieces.append(piece)
        if not event.get("more_body", False):
            return b"".join(pieces)
    raise CallerGone
