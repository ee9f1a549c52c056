"""manifest.json: what an artifact says of itself, and the digests that follow from it."""

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
    """What one row of x is."""

    kind: ItemKind
    shape: tuple[int, ...]  # [C, H, W] for images, [D] for tables
    range: tuple[float, float] | None  # least and greatest value; None when unbounded

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
    # Percentiles 0..100 over held-out rows as a client would send them, by latent mode and
    # then by "elbo", "reconstruction_nll" and "kl" (nats).
    held_out: Mapping[str, Mapping[str, tuple[float, ...]]]
    # Mean [latent] and covariance [latent][latent] of the posterior means on held-out rows, to detect drift.
    latent_mean: tuple[float, ...]
    latent_covariance: tuple[tuple[float, ...], ...]
    # Of what graphs compute inside, or the least precise of them: decides how near they come to the golden outputs.
    precision: Precision = "fp32"
    sampling_version: int = SAMPLING_VERSION
    format_version: int = FORMAT_VERSION

    @property
    def learned_prior(self) -> bool:
        return "prior" in self.graphs

    @property
    def embedding_space(self) -> str:
        """The digest of encoder and preprocessing: vectors of equal spaces may be compared."""
        return _digest_of({"encoder": self.graphs["encoder"].sha256, "item": asdict(self.item)})

    @property
    def digest(self) -> str:
        """The digest of everything that decides a row's bytes."""
        return _digest_of(
            {
                "graphs": {name: graph.sha256 for name, graph in self.graphs.items()},
                "item": asdict(self.item),
                # Without a scale the same facts as before there was one: published digests stay.
                "likelihood": {
                    name: value for name, value in asdict(self.likelihood).items() if name != "scale" or value
                },
                "sampling_version": self.sampling_version,
            }
        )

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True, allow_nan=False) + "\n"


def graph_outputs(name: GraphName, likelihood: LikelihoodName) -> tuple[str, ...]:
    """The outputs that a graph must have, in order."""
    if name == "decoder":
        return ("mean", "logits") if likelihood == "bernoulli" else ("mean",)
    return {"encoder": ("mean", "logvar"), "prior": ("z",), "prior_log_density": ("log_density",)}[name]


def _digest_of(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
