"""The Python client of a vaeserve server: numpy arrays in and out, blocking or asyncio.

    with vaeserve.Client("127.0.0.1:50051") as client:
        samples = client.sample(64, seed=5)

`Client` and `AsyncClient` have the same methods. `results` lists what they return, `errors` what they raise.
"""

from vaeserve.access import Tls
from vaeserve.async_client import AsyncClient
from vaeserve.client import Client
from vaeserve.errors import (
    Cancelled,
    DeadlineExceeded,
    EmbeddingSpaceMismatch,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidInput,
    NotFound,
    PermissionDenied,
    QueueFull,
    QuotaExceeded,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    VaeServeError,
)
from vaeserve.latents import interpolate, latent_arithmetic, traverse
from vaeserve.results import (
    Decoded,
    GraphExecution,
    GraphRate,
    ModelInfo,
    ModelRef,
    ModelSummary,
    Posteriors,
    Reconstructions,
    SampleChunk,
    Samples,
    Scores,
    Timing,
)

__all__ = [
    "AsyncClient",
    "Cancelled",
    "Client",
    "DeadlineExceeded",
    "Decoded",
    "EmbeddingSpaceMismatch",
    "FailedPrecondition",
    "FieldViolation",
    "GraphExecution",
    "GraphRate",
    "Internal",
    "InvalidInput",
    "ModelInfo",
    "ModelRef",
    "ModelSummary",
    "NotFound",
    "PermissionDenied",
    "Posteriors",
    "QueueFull",
    "QuotaExceeded",
    "Reconstructions",
    "ResourceExhausted",
    "SampleChunk",
    "Samples",
    "Scores",
    "Timing",
    "Tls",
    "Unauthenticated",
    "Unavailable",
    "VaeServeError",
    "interpolate",
    "latent_arithmetic",
    "traverse",
]
