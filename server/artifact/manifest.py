"""The types of manifest.json, which describes an artifact, and the digests computed from it."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

FORMAT_VERSION = 1
SAMPLING_VERSION = 1
MANIFEST, SUMS, GOLDEN = "manifest.json", "SHA256SUMS", "golden.npz"
GRAPH_INPUT = {"encoder": "x", "decoder": "z", "prior": "eps", "prior_log_density": "z"}
PERCENTILES = tuple(range(101))

GraphName = Literal["encoder", "decoder", "prior", "prior_log_density"]
ItemKind = Literal["image", "table"]
LikelihoodName = Literal["bernoulli", "gaussian"]
LatentMode = Literal["mean", "draw"]
Precision = Literal["fp32", "fp16"]


@dataclass(frozen=True, slots=True)
class Item:
    """What one row of x describes: an image, or a row of a table."""

    kind: ItemKind
    shape: tuple[int, ...]  # [C, H, W] for images, [D] for tables
    range: tuple[float, float] | None  # least and greatest value; None: unbounded

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Likelihood:
    """p(x | z): Bernoulli, or Gaussian with one shared sigma.

    The standard deviation of value d is sigma * scale[d] in item units; without scale it is sigma for all values.
    """

    name: LikelihoodName
    sigma: float | None = None
    scale: tuple[float, ...] | None = None  # per value of the item, row-major; Gaussian only


@dataclass(frozen=True, slots=True)
class Graph:
    """One ONNX file and its tensors by name."""

    file: str
    sha256: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """manifest.json, checked."""

    item: Item
    latent_size: int
    likelihood: Likelihood
    graphs: Mapping[str, Graph]
    opset: int
    provenance: Mapping[str, Any]  # config, seed, data sha256, git commit, library versions
    metrics: Mapping[str, float]  # nats: nll, elbo, kl ...; active_units
    # Percentiles 0..100 over held-out rows as clients send them (grey, not binarised), by latent mode and then by
    # "elbo", "reconstruction_nll" and "kl" (nats).
    held_out: Mapping[str, Mapping[str, tuple[float, ...]]]
    # Mean [latent] and covariance [latent][latent] of the posterior means on held-out rows, to detect drift.
    latent_mean: tuple[float, ...]
    latent_covariance: tuple[tuple[float, ...], ...]
    # The precision of the graphs' computation, or of the least precise one. It decides the golden outputs' tolerance.
    precision: Precision = "fp32"
    sampling_version: int = SAMPLING_VERSION
    format_version: int = FORMAT_VERSION

    @property
    def learned_prior(self) -> bool:
        return "prior" in self.graphs

    @property
    def embedding_space(self) -> str:
        """The digest of encoder and preprocessing. Vectors can be compared only if it is equal."""
        return _digest_of({"encoder": self.graphs["encoder"].sha256, "item": asdict(self.item)})

    @property
    def digest(self) -> str:
        """The digest of all that decides the bytes of an answer's rows."""
        return _digest_of(
            {
                "graphs": {name: graph.sha256 for name, graph in self.graphs.items()},
                "item": asdict(self.item),
                # Without a scale the key is left out, so that digests published before it existed stay the same.
                "likelihood": {
                    name: value for name, value in asdict(self.likelihood).items() if name != "scale" or value
                },
                "sampling_version": self.sampling_version,
            }
        )

    def to_json(self) -> str:
        """The content of manifest.json."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, allow_nan=False) + "\n"


def graph_outputs(name: GraphName, likelihood: LikelihoodName) -> tuple[str, ...]:
    """The outputs that a graph must have, in order."""
    if name == "decoder":
        return ("mean", "logits") if likelihood == "bernoulli" else ("mean",)
    return {"encoder": ("mean", "logvar"), "prior": ("z",), "prior_log_density": ("log_density",)}[name]


def _digest_of(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
