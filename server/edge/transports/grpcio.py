"""The transport by grpcio: carries the method table over grpc.aio (deadlines, cancellation, metadata, status)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
from grpc.aio import ServicerContext

from server.edge.access.certificate import Certificate
from server.edge.await_ticket import await_ticket
from server.edge.boundary import Boundary, Reply
from server.edge.metadata import LazyMetadata, Metadata
from server.edge.methods import Dialogue, MethodTable, ServerStream, Unary
from server.edge.status import Code, Status
from server.edge.transports import unix_socket
from server.edge.transports.connections import KEEPALIVE_ANSWER_SECONDS, Connections, CurrentCertificate
from server.settings import host_and_port

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_OPTIONS = (
    # Answer clients that ping to keep idle connections alive through NAT.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Ping silent connections without a limit on the number of pings.
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_send_message_length", -1),
    # By default grpc cancels calls at random once 1,000 of them wait for Python. Clients do not retry CANCELLED, so
    # a storm of short deadlines would hurt other clients. Here only the queues refuse calls, and say when to retry.
    ("grpc.server.max_pending_requests", 1 << 20),
    ("grpc.server.max_pending_requests_hard_limit", 1 << 20),
)


class GrpcioTransport:
    """A grpc.aio server over the method table. Lives on one event loop."""

    def __init__(
        self,
        methods: MethodTable,
        boundary: Boundary,
        *,
        max_request_bytes: int,
        connections: Connections,
        shared: bool = False,
    ) -> None:
        """A `shared` port is one that other workers listen on too."""
        self._server = grpc.aio.server(
            handlers=(_Table(methods, boundary),),
            options=(
                *_OPTIONS,
                *_lifetime(connections),
                # Off except for workers: a second server on the port would silently get a part of the calls.
                ("grpc.so_reuseport", int(shared)),
                ("grpc.max_receive_message_length", max_request_bytes),
            ),
        )
        self._current_certificate = connections.current_certificate

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port, which the system chooses if `port` is 0. Raises OSError if it cannot be bound."""
        address = host_and_port(host, port)
        try:
            if self._current_certificate is None:
                bound = self._server.add_insecure_port(address)
            else:
                bound = self._server.add_secure_port(address, _credentials(self._current_certificate))
        except RuntimeError as error:
            raise OSError(
                f"cannot listen on {address}: the port is taken or it is not this machine's address"
            ) from error
        await self._server.start()
        return bound

    async def start_on_socket(self, path: Path) -> None:
        """Listen on a Unix socket that only this process's user may use. Raises OSError if it cannot be bound."""
        unix_socket.clear(path)
        with unix_socket.private():
            try:
                self._server.add_insecure_port(f"unix:{path.absolute()}")
            except RuntimeError as error:
                raise OSError(f"cannot listen on {path}: the folder does not exist or is not writable") from error
        await self._server.start()

    async def stop(self, *, seconds: float) -> None:
        """Close the port and cut the calls that are still open after `seconds`.

        grpc cancels calls that have arrived but were not yet passed to Python: let the boundary drain first.
        """
        await self._server.stop(seconds)


def _lifetime(connections: Connections) -> tuple[tuple[str, int], ...]:
    options = (
        ("grpc.keepalive_time_ms", round(connections.keepalive_seconds * 1000)),
        ("grpc.keepalive_timeout_ms", round(KEEPALIVE_ANSWER_SECONDS * 1000)),
    )
    if not connections.max_age_seconds:
        return options
    return (  # grpc varies the age by 10 % either way
        *options,
        ("grpc.max_connection_age_ms", round(connections.max_age_seconds * 1000)),
        ("grpc.max_connection_age_grace_ms", round(connections.grace_seconds * 1000)),
    )


def _credentials(current_certificate: CurrentCertificate) -> grpc.ServerCredentials:
    """Credentials that look for a new certificate at every handshake."""
    in_use = current_certificate.certificate

    def newer() -> "grpc.ServerCertificateConfiguration | None":
        nonlocal in_use
        if current_certificate.certificate is in_use:
            return None  # grpc keeps the one in use
        in_use = current_certificate.certificate
        return _configuration(in_use)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(in_use),
        newer,  # type: ignore[arg-type]  # the stubs do not allow None, which means "no change"
        require_client_authentication=in_use.client_ca is not None,
    )


def _configuration(certificate: Certificate) -> "grpc.ServerCertificateConfiguration":
    return grpc.ssl_server_certificate_configuration(
        [(certificate.key, certificate.chain)], root_certificates=certificate.client_ca
    )


class _Peer:
    """The Peer of a call, read from grpc's context."""

    __slots__ = ("_context", "metadata")

    def __init__(self, context: "ServicerContext[Any, Any]") -> None:
        self._context = context
        self.metadata: Metadata = LazyMetadata(
            lambda: {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        )

    @property
    def certificate_names(self) -> Sequence[str]:
        verified = self._context.auth_context()
        return [name.decode() for kind in ("peer_dns", "peer_uri") for name in verified.get(kind, ())]


class _Table(grpc.GenericRpcHandler):
    """Finds the handler for a path. grpc itself answers unknown paths with UNIMPLEMENTED."""

    def __init__(self, methods: MethodTable, boundary: Boundary) -> None:
        self._handlers = {path: _handler(method, boundary) for path, method in methods.items()}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        return self._handlers.get(handler_call_details.method)


def _handler(method: Unary | ServerStream | Dialogue, boundary: Boundary) -> "grpc.RpcMethodHandler[Any, Any]":
    # Without serializers, handlers take and return bytes. Only the boundary knows messages.
    if isinstance(method, Unary):
        return grpc.unary_unary_rpc_method_handler(_unary(method, boundary))
    if isinstance(method, ServerStream):
        return grpc.unary_stream_rpc_method_handler(_server_stream(method, boundary))
    return grpc.stream_stream_rpc_method_handler(_dialogue(method, boundary))


def _unary(method: Unary, boundary: Boundary) -> "Callable[[bytes, ServicerContext[Any, Any]], Awaitable[bytes]]":
    async def call(payload: bytes, context: "ServicerContext[Any, Any]") -> bytes:
        reply = await await_ticket(
            boundary.unary(method, payload, seconds_left=context.time_remaining(), peer=_Peer(context))
        )
        assert reply.status is not None
        await _end(context, reply.status)
        assert reply.payload is not None
        return reply.payload

    return call


def _server_stream(
    method: ServerStream, boundary: Boundary
) -> "Callable[[bytes, ServicerContext[Any, Any]], Awaitable[None]]":
    async def call(payload: bytes, context: "ServicerContext[Any, Any]") -> None:
        stream = boundary.stream(method, payload, seconds_left=context.time_remaining(), peer=_Peer(context))
        try:
            while True:
                reply = await await_ticket(stream.next())
                if reply.payload is not None:
                    await context.write(reply.payload)
                if reply.status is not None:
                    await _end(context, reply.status)
                    return
        finally:
            stream.close()

    return call


def _dialogue(
    method: Dialogue, boundary: Boundary
) -> "Callable[[AsyncIterator[bytes], ServicerContext[Any, Any]], Awaitable[None]]":
    async def call(payloads: AsyncIterator[bytes], context: "ServicerContext[Any, Any]") -> None:
        dialogue = boundary.dialogue(method, peer=_Peer(context))
        try:
            async for payload in payloads:
                reply: Reply = await await_ticket(dialogue.answer(payload))
                if reply.payload is None:
                    assert reply.status is not None
                    dialogue.close(reply.status.code)
                    await _end(context, reply.status)
                    return
                await context.write(reply.payload)
            dialogue.close(Code.OK)
        finally:
            dialogue.close(Code.CANCELLED)

    return call


async def _end(context: "ServicerContext[Any, Any]", status: Status) -> None:
    if status.code is Code.OK:
        context.set_trailing_metadata(status.trailers)
        return
    await context.abort(_CODES[status.code], status.message, status.trailers)
