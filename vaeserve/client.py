"""The blocking client."""

import time
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Concatenate, ParamSpec, TypeVar

import grpc

from vaeserve import calls, channel, errors, methods, responses
from vaeserve.base_client import BaseClient
from vaeserve.calls import Call, ModelChoice, SampleStreamCall
from vaeserve.results import SampleChunk
from vaeserve.resuming import ResumableStream

P = ParamSpec("P")
R = TypeVar("R")


def _method(call: Callable[Concatenate[ModelChoice, P], Call[R]]) -> "Callable[Concatenate[Client, P], R]":
    """The method that makes a call and waits for it."""

    @methods.describes(call)
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._make(call(self._model, *args, **kwargs))

    return method


def _stream(
    call: Callable[Concatenate[ModelChoice, P], SampleStreamCall],
) -> "Callable[Concatenate[Client, P], Generator[SampleChunk, None, None]]":
    """The method that makes a call whose answer is a stream. Wrong arguments raise at once, not in the first step."""

    @methods.describes(call, returns=Generator[SampleChunk, None, None])
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Generator[SampleChunk, None, None]:
        return self._follow(call(self._model, *args, **kwargs))

    return method


class Client(BaseClient[grpc.Channel]):
    """A connection to a server. Its methods, documented in `vaeserve.calls`, raise `vaeserve.VaeServeError`.

    Threads may share one client: their calls run at the same time, and the server batches them. After a fork, the
    child process must make its own client: gRPC's connections do not survive a fork.

        with vaeserve.Client("127.0.0.1:50051") as client:
            samples = client.sample(64, seed=5)
    """

    _open = staticmethod(channel.open_blocking)

    sample = _method(calls.sample)
    sample_stream = _stream(calls.sample_stream)
    encode = _method(calls.encode)
    reconstruct = _method(calls.reconstruct)
    decode = _method(calls.decode)
    score = _method(calls.score)
    list_models = _method(calls.list_models)
    get_model = _method(calls.get_model)
    health = _method(calls.health)

    def close(self) -> None:
        """Cancel the calls in flight and close the connections. May be called again."""
        for one in self._channels.all:
            one.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _make(self, call: Call[R]) -> R:
        rpc = self._channels.next().unary_unary(call.path, type(call.request).SerializeToString, call.parse)
        try:
            response, ended = rpc.with_call(call.request, timeout=self._timeout, metadata=self._api_key.metadata())
        except grpc.RpcError as failure:
            raise errors.from_status(failure.code().name, failure.details(), _trailers(failure)) from failure
        return call.read(response, responses.timing(ended.trailing_metadata()))

    def _follow(self, call: SampleStreamCall) -> Generator[SampleChunk, None, None]:
        stream = ResumableStream(call)
        while not stream.over:
            rpc: grpc.UnaryStreamMultiCallable[bytes, bytes] = self._channels.next().unary_stream(call.path)
            answers = rpc(
                stream.request.SerializeToString(), timeout=stream.seconds_left, metadata=self._api_key.metadata()
            )
            try:
                for answer in answers:
                    yield stream.take(answer)
                return
            except grpc.RpcError as failure:
                seconds = stream.pause(failure.code().name, failure.details(), _trailers(failure))
            finally:
                answers.cancel()
            time.sleep(seconds)


def _trailers(failure: grpc.RpcError) -> list[tuple[str, str | bytes]]:
    return [(datum.key, datum.value) for datum in failure.trailing_metadata() or ()]
