"""The method table over grpc.aio: deadlines, cancellation, metadata and status, and nothing else."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
from grpc.aio import ServicerContext

from server.edge.boundary import Boundary, Reply
from server.edge.metadata import LazyMetadata, Metadata
from server.edge.methods import Dialogue, MethodTable, ServerStream, Unary
from server.edge.settled import settled
from server.edge.status import Code, Status
from server.edge.transports import unix_socket

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_OPTIONS = (
    # Answer clients that ping to keep idle connections alive through NAT.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_send_message_length", -1),
    # Past 1,000 calls that Python has not taken up yet, grpc ends some at random with CANCELLED, which no client
    # retries: a storm of short deadlines would hit neighbours. Refusing is for the queues, which say when to come back.
    ("grpc.server.max_pending_requests", 1 << 20),
    ("grpc.server.max_pending_requests_hard_limit", 1 << 20),
)


class GrpcioTransport:
    """A grpc.aio server over the method table. Lives on one event loop."""

    def __init__(
        self, methods: MethodTable, boundary: Boundary, *, max_request_bytes: int, shared: bool = False
    ) -> None:
        """A `shared` port is one that other workers listen on too."""
        self._server = grpc.aio.server(
            handlers=(_Table(methods, boundary),),
            options=(
                *_OPTIONS,
                # Two servers on one port would each get some of the calls, silently: unless they are workers, it is
                # refused.
                ("grpc.so_reuseport", int(shared)),
                ("grpc.max_receive_message_length", max_request_bytes),
            ),
        )

    async def start(self, host: str, port: int) -> int:
        """Listen; the port taken, chosen by the system if 0 was asked for. Raises OSError if it cannot be had."""
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}: the port is taken or the address is not ours") from error
        await self._server.start()
        return bound

    async def start_on_socket(self, path: Path) -> None:
        """Listen on a Unix socket that only this process's user may use. Raises OSError if it cannot be had."""
        unix_socket.clear(path)
        with unix_socket.private():
            try:
                self._server.add_insecure_port(f"unix:{path.absolute()}")
            except RuntimeError as error:
                raise OSError(f"cannot listen on {path}: the folder is not there or not writable") from error
        await self._server.start()

    async def stop(self, *, seconds: float) -> None:
        """Close the port and cut the calls that are still open after `seconds`.

        grpc cancels calls that have arrived but were not yet handed over: let the boundary drain first.
        """
        await self._server.stop(seconds)


class _Table(grpc.GenericRpcHandler):
    """Finds the handler of a path; unknown paths get UNIMPLEMENTED from grpc itself."""

    def __init__(self, methods: MethodTable, boundary: Boundary) -> None:
        self._handlers = {path: _handler(method, boundary) for path, method in methods.items()}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        return self._handlers.get(handler_call_details.method)


def _handler(method: Unary | ServerStream | Dialogue, boundary: Boundary) -> "grpc.RpcMethodHandler[Any, Any]":
    # No serializers: bytes come in and go out, and the boundary alone knows messages.
    if isinstance(method, Unary):
        return grpc.unary_unary_rpc_method_handler(_unary(method, boundary))
    if isinstance(method, ServerStream):
        return grpc.unary_stream_rpc_method_handler(_server_stream(method, boundary))
    return grpc.stream_stream_rpc_method_handler(_dialogue(method, boundary))


def _unary(method: Unary, boundary: Boundary) -> "Callable[[bytes, ServicerContext[Any, Any]], Awaitable[bytes]]":
    async def call(payload: bytes, context: "ServicerContext[Any, Any]") -> bytes:
        reply = await settled(
            boundary.unary(method, payload, seconds_left=context.time_remaining(), metadata=_metadata(context))
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
        stream = boundary.stream(method, payload, seconds_left=context.time_remaining(), metadata=_metadata(context))
        try:
            while True:
                reply = await settled(stream.next())
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
        dialogue = boundary.dialogue(method, metadata=_metadata(context))
        try:
            async for payload in payloads:
                reply: Reply = await settled(dialogue.answer(payload))
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


def _metadata(context: "ServicerContext[Any, Any]") -> Metadata:
    return LazyMetadata(
        lambda: {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    )


async def _end(context: "ServicerContext[Any, Any]", status: Status) -> None:
    if status.code is Code.OK:
        context.set_trailing_metadata(status.trailers)
        return
    await context.abort(_CODES[status.code], status.message, status.trailers)
