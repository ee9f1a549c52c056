"""The results of a client's methods: frozen values with numpy arrays, whose axis 0 is rows.

Arrays are read-only views of the response; copy one to write to it. `.torch()` gives them as tensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vaeserve.tensors import Floats, Items
from vaeserve.torches import Torchable


@dataclass(frozen=True, slots=True)
class ModelRef:
    """The model version that answered."""

    name: str
    version: str
    digest: str  # SHA-256 over graphs and preprocessing: equal digests and seeds give equal rows

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the server spent the time; None if the server, or a proxy in front of it, does not say."""

    queue_seconds: float | None  # waiting for a place in a batch
    run_seconds: float | None  # inside the model
    batch_rows: int | None  # rows, of all calls, in the batch that this call ran in


@dataclass(frozen=True, slots=True, eq=False)
class Samples(Torchable):
    """Items drawn from the model."""

    items: Items  # [rows, channels, height, width] or [rows, features]; uint8 if UINT8 or PNG was asked for
    latents: Floats | None  # [rows, latent], if asked for
    seed: int  # send it back to get the same rows again
    model: ModelRef
    timing: Timing
    png: tuple[bytes, ...] = field(repr=False)  # one file per row if PNG was asked for, otherwise empty


@dataclass(frozen=True, slots=True, eq=False)
class SampleChunk(Torchable):
    """The next rows of a stream."""

    items: Items  # as in Samples
    latents: Floats | None  # [rows, latent], if asked for
    first_row: int  # the place of these rows in the sequence that the seed defines
    seed: int  # the same in every chunk of a stream
    model: ModelRef  # the same in every chunk of a stream
    png: tuple[bytes, ...] = field(repr=False)  # one file per row if PNG was asked for, otherwise empty


@dataclass(frozen=True, slots=True, eq=False)
class Posteriors(Torchable):
    """q(z | x) of each item: a diagonal Gaussian."""

    mean: Floats  # [rows, latent]; use it as the embedding
    log_var: Floats  # [rows, latent], natural logarithm of the variance
    draws: Floats | None  # [rows, draws, latent], if asked for
    kl: Floats | None  # [rows], KL(q(z | x) || p(z)) in nats, if asked for
    embedding_space: str  # vectors of different spaces cannot be compared
    seed: int  # of the draws
    model: ModelRef
    timing: Timing


@dataclass(frozen=True, slots=True, eq=False)
class Reconstructions(Torchable):
    """Items encoded and decoded again, and how well the model explains them."""

    items: Items  # in the shape of the items sent; uint8 if UINT8 or PNG was asked for
    reconstruction_nll: Floats  # [rows], -log p(x | z) in nats
    kl: Floats  # [rows], KL(q(z | x) || p(z)) in nats
    elbo: Floats  # [rows], -reconstruction_nll - kl in nats
    elbo_percentile: Floats  # [rows], 0..100 among held-out training rows; low means unlike the training data
    seed: int
    model: ModelRef
    timing: Timing
    png: tuple[bytes, ...] = field(repr=False)  # one file per row if PNG was asked for, otherwise empty


@dataclass(frozen=True, slots=True, eq=False)
class Decoded(Torchable):
    """The items of given latents."""

    items: Items  # [rows, channels, height, width] or [rows, features]; uint8 if UINT8 or PNG was asked for
    seed: int  # of the draw
    model: ModelRef
    timing: Timing
    png: tuple[bytes, ...] = field(repr=False)  # one file per row if PNG was asked for, otherwise empty


@dataclass(frozen=True, slots=True, eq=False)
class Scores(Torchable):
    """How probable items are, in nats."""

    log_evidence: Floats  # [rows], the estimate of log p(x); on average below it, and above elbo
    elbo: Floats  # [rows], the mean over the same draws
    elbo_percentile: Floats  # [rows], 0..100 among held-out training rows; low means unlike the training data
    effective_samples: Floats  # [rows], how many draws the estimate is worth; if few, more samples would change it
    seed: int  # of the draws
    model: ModelRef
    timing: Timing


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """A model version and whether it takes traffic."""

    model: ModelRef
    state: str  # "loading", "ready", "failed" or "unloaded"
    reason: str  # why it failed, otherwise empty
    is_default: bool  # whether calls that name no model and no version go here


@dataclass(frozen=True, slots=True)
class GraphRate:
    """How fast a graph ran on the server's machine, in one configuration."""

    rows: int  # in every batch
    executors: int
    threads: int
    rows_per_second: float  # over all executors


@dataclass(frozen=True, slots=True)
class GraphExecution:
    """How a graph runs on the server."""

    provider: str  # onnxruntime's execution provider, e.g. "CPUExecutionProvider"
    max_batch_rows: int
    executors: int  # batches that may run at the same time
    helpers: int  # how many more may run if they are full
    threads: int  # inside one run
    source: str  # "measured" at this start, "cached" from an earlier one, "given" by the operator, or "unknown"
    rates: tuple[GraphRate, ...]  # the measured rates; empty if the operator gave every value


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model version in full."""

    summary: ModelSummary
    item_shape: tuple[int, ...]  # (channels, height, width) for images, (features,) for tables
    value_min: float | None  # None: unbounded
    value_max: float | None  # None: unbounded
    latent_size: int
    likelihood: str  # "bernoulli" or "gaussian"
    sigma: float | None  # standard deviation of a Gaussian likelihood: in item units; for tables, in units of scale
    scale: tuple[float, ...]  # for tables, the standard deviation of each feature; empty for images
    learned_prior: bool  # whether samples come from a learned prior rather than N(0, I)
    embedding_space: str
    sampling_version: int  # of the noise scheme that makes rows replayable
    metrics: Mapping[str, float]  # measured in training on held-out rows, e.g. "elbo" in nats
    graphs: Mapping[str, GraphExecution]  # by graph: "encoder", "decoder", ...
    max_request_rows: int  # the most rows in one request
