"""The blocking client."""

import copy
import time
from collections.abc import Callable, Generator
from functools import partial
from types import TracebackType
from typing import Concatenate, ParamSpec, TypeVar

import grpc

from vaeserve import arguments, calls, channel, errors, methods, responses
from vaeserve.access import ApiKey, FilePath, Tls
from vaeserve.calls import Call, SampleStreamCall
from vaeserve.results import SampleChunk
from vaeserve.resuming import ResumableStream
from vaeserve.rotation import Rotation
from vaeserve.v1 import vaeserve_pb2 as pb

P = ParamSpec("P")
R = TypeVar("R")


def _method(call: Callable[Concatenate[pb.ModelSelector, P], Call[R]]) -> "Callable[Concatenate[Client, P], R]":
    """The method that makes a call and waits for it."""

    @methods.describes(call)
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._make(call(self._model, *args, **kwargs))

    return method


def _stream(
    call: Callable[Concatenate[pb.ModelSelector, P], SampleStreamCall],
) -> "Callable[Concatenate[Client, P], Generator[SampleChunk, None, None]]":
    """The method that makes a call whose answer is a stream. What cannot be sent is refused before the first step."""

    @methods.describes(call, returns=Generator[SampleChunk, None, None])
    def method(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> Generator[SampleChunk, None, None]:
        return self._follow(call(self._model, *args, **kwargs))

    return method


class Client:
    """A connection to a server. Its methods, documented in `vaeserve.calls`, raise `vaeserve.VaeServeError`.

    Many threads may share one client: calls run side by side, and the server batches them. A process made by fork must
    make its own: gRPC's connections do not survive a fork.

        with vaeserve.Client("127.0.0.1:50051") as client:
            samples = client.sample(64, seed=5)
    """

    def __init__(
        self,
        target: str,
        *,
        model: str | None = None,
        version: str | int | None = None,
        timeout: float | None = 30.0,
        tls: Tls | bool = False,
        api_key: str | None = None,
        api_key_file: FilePath | None = None,
        channels: int = 1,
        embedding_space: str | None = None,
    ) -> None:
        """Connects on the first call.

        target           "HOST:PORT", or any name gRPC can resolve; calls go round all its addresses
        model            which model shall answer; None leaves it to the server
        version          which version of it; None means the newest ready one
        timeout          seconds that a call may take, retries included; None waits for ever
        tls              how to encrypt and whom to trust; True: the certificates that gRPC comes with; False: neither
        api_key          the key that servers with tenants ask for; without TLS whoever is on the way can read it
        api_key_file     instead, a file that holds it, read again when it changes
        channels         connections to each address, used in turn: of a server's workers, each connection reaches one
        embedding_space  of the vectors already stored: every encode that names no other relies on it

        Raises InvalidInput for a file that cannot be read or used.
        """
        self._model = calls.selector(model, version)
        self._timeout = arguments.positive(timeout)
        self._api_key = ApiKey(api_key, api_key_file)
        self._embedding_space = embedding_space
        self._channels = Rotation(partial(channel.open_blocking, target, tls), channels)

    def using(self, model: str | None, version: str | int | None = None) -> "Client":
        """A client of another model over the same connection. Closing one closes both.

        An embedding space that was pinned is not the other model's, and is not taken along.
        """
        other = copy.copy(self)
        other._model = calls.selector(model, version)
        other._embedding_space = None
        return other

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
        """Give up calls in flight and free the connection. May be called again."""
        for one in self._channels.all:
            one.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _make(self, call: Call[R]) -> R:
        calls.pin(call, self._embedding_space)
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
