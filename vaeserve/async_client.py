"""The asyncio client: the methods of the blocking client as coroutines."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import grpc

from vaeserve import calls, channel, errors, methods, responses
from vaeserve.base_client import BaseClient
from vaeserve.calls import Call, ModelChoice, SampleStreamCall
from vaeserve.results import SampleChunk
from vaeserve.resuming import ResumableStream

P = ParamSpec("P")
R = TypeVar("R")


def _method(
    call: Callable[Concatenate[ModelChoice, P], Call[R]],
) -> "Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, R]]":
    """The method that makes a call and awaits it."""

    @methods.describes(call)
    async def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self._make(call(self._model, *args, **kwargs))

    return method


def _stream(
    call: Callable[Concatenate[ModelChoice, P], SampleStreamCall],
) -> "Callable[Concatenate[AsyncClient, P], AsyncGenerator[SampleChunk, None]]":
    """The method that makes a call whose answer is a stream. Wrong arguments raise at once, not in the first step."""

    @methods.describes(call, returns=AsyncGenerator[SampleChunk, None])
    def method(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[SampleChunk, None]:
        return self._follow(call(self._model, *args, **kwargs))

    return method


class AsyncClient(BaseClient[grpc.aio.Channel]):
    """A connection to a server, made and used in one event loop. Its methods are those of `Client`.

    Cancelling an await cancels the call, on the server too. Outside a running event loop the constructor raises
    RuntimeError.

        async with vaeserve.AsyncClient("127.0.0.1:50051") as client:
            samples = await client.sample(64, seed=5)
    """

    _open = staticmethod(channel.open_async)

    sample = _method(calls.sample)
    sample_stream = _stream(calls.sample_stream)
    encode = _method(calls.encode)
    reconstruct = _method(calls.reconstruct)
    decode = _method(calls.decode)
    score = _method(calls.score)
    list_models = _method(calls.list_models)
    get_model = _method(calls.get_model)
    health = _method(calls.health)

    async def close(self) -> None:
        """Cancel the calls in flight and close the connections. May be called again."""
        for one in self._channels.all:
            await one.close()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _make(self, call: Call[R]) -> R:
        rpc = self._channels.next().unary_unary(call.path, type(call.request).SerializeToString, call.parse)
        try:
            ended = rpc(call.request, timeout=self._timeout, metadata=self._api_key.metadata())
            response, trailers = await ended, await ended.trailing_metadata()
        except grpc.aio.AioRpcError as failure:
            raise errors.from_status(failure.code().name, failure.details(), failure.trailing_metadata()) from failure
        return call.read(response, responses.timing(trailers))

    async def _follow(self, call: SampleStreamCall) -> AsyncGenerator[SampleChunk, None]:
        stream = ResumableStream(call)
        while not stream.over:
            rpc: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self._channels.next().unary_stream(call.path)
            answers = rpc(
                stream.request.SerializeToString(), timeout=stream.seconds_left, metadata=self._api_key.metadata()
            )
            try:
                async for answer in answers:
                    yield stream.take(answer)
                return
            except grpc.aio.AioRpcError as failure:
                seconds = stream.pause(failure.code().name, failure.details(), failure.trailing_metadata())
            finally:
                answers.cancel()
            await asyncio.sleep(seconds)
