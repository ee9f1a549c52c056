"""The RPCs as pure functions: each turns arguments into a call, which a client then makes.

These functions are the methods of `Client` and `AsyncClient`, which pass their own model. They raise InvalidInput for
arguments that cannot be sent. The server checks everything else.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from numpy.typing import ArrayLike

from vaeserve import arguments, responses, results, tensors
from vaeserve.v1 import vaeserve_pb2 as pb

R = TypeVar("R")

Encoding: TypeAlias = Literal["float32", "uint8", "png"]
Output: TypeAlias = Literal["mean", "draw"]
Latent: TypeAlias = Literal["mean", "draw"]

_ENCODINGS = {"float32": pb.ENCODING_FLOAT32, "uint8": pb.ENCODING_UINT8, "png": pb.ENCODING_PNG}
_OUTPUTS = {"mean": pb.OUTPUT_MODE_MEAN, "draw": pb.OUTPUT_MODE_DRAW}
_LATENTS = {"mean": pb.LATENT_MODE_MEAN, "draw": pb.LATENT_MODE_DRAW}


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """One RPC, ready to send."""

    path: str  # "/package.Service/Method"
    request: Message
    parse: Callable[[bytes], Any]  # from the response's bytes to its message
    read: Callable[[Any, results.Timing], R]  # from the response's message to the result


@dataclass(frozen=True, slots=True)
class SampleStreamCall:
    """The one RPC that answers with a stream, ready to send."""

    path: str  # "/package.Service/Method"
    request: pb.SampleStreamRequest
    timeout: float | None  # seconds for the whole stream; None: no limit

    @staticmethod
    def read(response: bytes) -> results.SampleChunk:
        return responses.sample_chunk(pb.SampleStreamResponse.FromString(response))


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model shall answer, and the embedding space on which its client relies."""

    selector: pb.ModelSelector
    embedding_space: str = ""  # a digest; empty: any


def choose(model: str | None, version: str | int | None, embedding_space: str | None = None) -> ModelChoice:
    """The choice that a client's arguments make; None leaves it to the server."""
    selector = pb.ModelSelector(name=model or "", version="" if version is None else str(version))
    return ModelChoice(selector, embedding_space or "")


def sample(
    model: ModelChoice,
    count: int,
    *,
    seed: int | None = None,
    first_row: int = 0,
    temperature: float = 1.0,
    output: Output = "mean",
    encoding: Encoding = "float32",
    want_latents: bool = False,
) -> Call[results.Samples]:
    """Draw `count` items from the model.

    Row i of a seed is always the same: sample(100, seed=5).items[7] equals sample(1, seed=5, first_row=7).items[0].

    count         1 to the model's `max_request_rows`
    seed          0 to 2^63 - 1; the server picks one by default and returns it
    first_row     index of the first row in the endless sequence that the seed defines
    temperature   a factor on the prior's standard deviation, 0 to 4; below 1: more typical, less varied
    output        the "mean" of p(x | z), or a "draw" from it
    encoding      "float32" in the model's value range, or 0..255 as "uint8" (a quarter of the bytes) or "png" files
    want_latents  whether to return `latents` [rows, latent] too

    Raises InvalidInput, NotFound (the model), QueueFull, DeadlineExceeded, Unavailable or another VaeServeError.
    """
    request = pb.SampleRequest(
        model=model.selector,
        count=arguments.integer("count", count),
        seed=arguments.seed_or_none(seed),
        first_row=arguments.integer("first_row", first_row),
        temperature=arguments.real("temperature", temperature),
        output=arguments.chosen("output", output, _OUTPUTS),
        encoding=arguments.chosen("encoding", encoding, _ENCODINGS),
        want_latents=want_latents,
    )
    return _call("Sample", request, pb.SampleResponse, responses.samples)


def sample_stream(
    model: ModelChoice,
    count: int,
    *,
    seed: int | None = None,
    first_row: int = 0,
    temperature: float = 1.0,
    output: Output = "mean",
    encoding: Encoding = "float32",
    want_latents: bool = False,
    chunk_rows: int | None = None,
    timeout: float | None = None,
) -> SampleStreamCall:
    """Draw any number of items, in chunks, as fast as they are read. Neither side holds more than a few chunks.

    The rows equal those of `sample`, and chunks come in row order. To end the stream early, close() the iterator or
    drop it. If the stream breaks off because the server shuts down or is full, the client asks the same model version
    for the rest, whose rows are the same. The server lets smaller calls go first.

    count         1 to 2^48 - first_row
    chunk_rows    rows in a chunk, 1 to the model's `max_request_rows`; by default about 1 MiB, at most 256 rows
    timeout       seconds for the whole stream; None: no limit, whatever the client's own timeout is
    the others    as for sample

    Raises what `sample` raises, while iterating; FailedPrecondition if the rest would come from another model than the
    rows before.
    """
    request = pb.SampleStreamRequest(
        model=model.selector,
        count=arguments.integer("count", count),
        seed=arguments.seed_or_none(seed),
        first_row=arguments.integer("first_row", first_row),
        temperature=arguments.real("temperature", temperature),
        output=arguments.chosen("output", output, _OUTPUTS),
        encoding=arguments.chosen("encoding", encoding, _ENCODINGS),
        want_latents=want_latents,
        chunk_rows=0 if chunk_rows is None else arguments.at_least_one("chunk_rows", chunk_rows),
    )
    return SampleStreamCall("/vaeserve.v1.VaeService/SampleStream", request, arguments.positive(timeout))


def encode(
    model: ModelChoice,
    items: ArrayLike,
    *,
    draws: int = 0,
    seed: int | None = None,
    first_row: int = 0,
    expect_embedding_space: str | None = None,
    want_kl: bool = False,
) -> Call[results.Posteriors]:
    """The approximate posterior q(z | x) of each item. Its mean serves as the embedding.

    items                   [rows, channels, height, width] or [rows, features]: uint8 for 0..255, or floats in the
                            model's value range; the axis of rows is required, so that one item is items[None]
    draws                   latents to draw from each posterior, 0 to 64
    seed, first_row         of the draws: pages of a data set under one seed give the same as one request
    expect_embedding_space  the space of the vectors already stored; None: the client's own, or any if it has none
    want_kl                 whether to return `kl` [rows], in nats, too

    Raises EmbeddingSpaceMismatch if the model's space differs from the one expected; InvalidInput (wrong type,
    shape, range, NaN), NotFound, QueueFull, DeadlineExceeded, Unavailable or another VaeServeError.
    """
    request = pb.EncodeRequest(
        model=model.selector,
        items=tensors.from_items(items),
        draws=arguments.integer("draws", draws),
        seed=arguments.seed_or_none(seed),
        first_row=arguments.integer("first_row", first_row),
        expect_embedding_space=expect_embedding_space or model.embedding_space,
        want_kl=want_kl,
    )
    return _call("Encode", request, pb.EncodeResponse, responses.posteriors)


def reconstruct(
    model: ModelChoice,
    items: ArrayLike,
    *,
    latent: Latent = "mean",
    seed: int | None = None,
    first_row: int = 0,
    encoding: Encoding = "float32",
) -> Call[results.Reconstructions]:
    """Encode items, decode one latent of each, and score in nats how well the model explains them.

    items            as for encode
    latent           the "mean" of q(z | x), or a "draw" from it
    seed, first_row  of the draw, which equals draw 0 of encode under the same seed
    encoding         as for sample

    Raises what `encode` raises, except EmbeddingSpaceMismatch.
    """
    request = pb.ReconstructRequest(
        model=model.selector,
        items=tensors.from_items(items),
        latent=arguments.chosen("latent", latent, _LATENTS),
        seed=arguments.seed_or_none(seed),
        first_row=arguments.integer("first_row", first_row),
        encoding=arguments.chosen("encoding", encoding, _ENCODINGS),
    )
    return _call("Reconstruct", request, pb.ReconstructResponse, responses.reconstructions)


def decode(
    model: ModelChoice,
    latents: ArrayLike,
    *,
    output: Output = "mean",
    seed: int | None = None,
    first_row: int = 0,
    encoding: Encoding = "float32",
) -> Call[results.Decoded]:
    """Decode latents into items.

    latents          [rows, latent], finite floats
    output           the "mean" of p(x | z), or a "draw" from it
    seed, first_row  of the draw
    encoding         as for sample

    Raises InvalidInput, NotFound, QueueFull, DeadlineExceeded, Unavailable or another VaeServeError.
    """
    request = pb.DecodeRequest(
        model=model.selector,
        latents=tensors.from_latents(latents),
        output=arguments.chosen("output", output, _OUTPUTS),
        seed=arguments.seed_or_none(seed),
        first_row=arguments.integer("first_row", first_row),
        encoding=arguments.chosen("encoding", encoding, _ENCODINGS),
    )
    return _call("Decode", request, pb.DecodeResponse, responses.decoded)


def score(
    model: ModelChoice,
    items: ArrayLike,
    *,
    importance_samples: int = 64,
    seed: int | None = None,
    first_row: int = 0,
) -> Call[results.Scores]:
    """Estimate log p(x) of each item, by importance sampling with q(z | x) as the proposal.

    items               as for encode
    importance_samples  latents to draw and decode for each item, 1 to 10,000, and at most 2^20 over all rows; more
                        take longer in proportion, and come closer to log p(x)
    seed, first_row     of the draws: pages of a data set under one seed give the same as one request

    A Bernoulli likelihood describes black and white items: binarise grey ones, or compare their scores only with each
    other. Raises what `encode` raises, except EmbeddingSpaceMismatch.
    """
    request = pb.ScoreRequest(
        model=model.selector,
        items=tensors.from_items(items),
        importance_samples=arguments.at_least_one("importance_samples", importance_samples),
        seed=arguments.seed_or_none(seed),
        first_row=arguments.integer("first_row", first_row),
    )
    return _call("Score", request, pb.ScoreResponse, responses.scores)


def list_models(model: ModelChoice) -> Call[tuple[results.ModelSummary, ...]]:  # noqa: ARG001 - a list is of all models
    """Every model version that the server knows, ready or not: by name, then newest first."""
    return _call("ListModels", pb.ListModelsRequest(), pb.ListModelsResponse, responses.summaries)


def get_model(model: ModelChoice) -> Call[results.ModelInfo]:
    """The client's model in full: shapes, likelihood, metrics, how it runs. Raises NotFound."""
    return _call("GetModel", pb.GetModelRequest(model=model.selector), pb.GetModelResponse, responses.info)


def health(model: ModelChoice, service: str = "") -> Call[str]:  # noqa: ARG001 - health is the server's
    """The health of the server, or of one of its gRPC services: "SERVING" or "NOT_SERVING". Never retried.

    Raises NotFound for a service that the server does not know, Unavailable if no server answers.
    """
    return Call(
        path="/grpc.health.v1.Health/Check",
        request=health_pb2.HealthCheckRequest(service=service),
        parse=health_pb2.HealthCheckResponse.FromString,
        read=lambda response, _: str(health_pb2.HealthCheckResponse.ServingStatus.Name(response.status)),
    )


def _call(method: str, request: Message, response: type[Message], read: Callable[[Any, results.Timing], R]) -> Call[R]:
    return Call(path=f"/vaeserve.v1.VaeService/{method}", request=request, parse=response.FromString, read=read)
