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

    # image or table
    kind: ItemKind
    # [C, H, W] for images, [D] for tables
    shape: tuple[int, ...]
    # least and greatest value, [0, 1] for images; null for tables: any finite number
    range: tuple[float, float] | None

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Likelihood:
    """p(x | z): Bernoulli, or Gaussian with one shared sigma.

    The standard deviation of value d is sigma * scale[d] in item units; without scale it is sigma for all values.
    """

    # bernoulli or gaussian
    name: LikelihoodName
    # Gaussian only: in item units; with a scale, in units of that
    sigma: float | None = None
    # Gaussian only: one number per value of the item, row-major; value d has the standard deviation sigma * scale[d].
    # For a table, the standard deviations of its columns over the training rows. Null or absent: sigma for all values
    scale: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Graph:
    """One ONNX file and its tensors by name."""

    # its name in the folder
    file: str
    # of the file, in hexadecimal
    sha256: str
    # names of the inputs
    inputs: tuple[str, ...]
    # names of the outputs, in order
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """manifest.json, checked."""

    item: Item
    # length of z
    latent_size: int
    likelihood: Likelihood
    # by name: encoder, decoder, prior, prior_log_density
    graphs: Mapping[str, Graph]
    # ONNX's, of all graphs
    opset: int
    # config (resolved); data (name, sha256 of all rows, counts, where validation rows come from; a table's columns if
    # it has a header); git_commit, hardware, libraries, epochs, chosen_epoch, parameters, decode_macs, parity;
    # started_from (the same facts of the run whose weights it began with); measured (what was recorded); converted
    # (of a variant: the digest it comes from, the graphs, the libraries); held_out (the split of the held-out rows:
    # validation, or test where validation rows were trained on)
    provenance: Mapping[str, Any]
    # on held-out rows as the likelihood sees them, nats: elbo, nll with its nll_standard_error, nll_rows and
    # nll_importance_samples, reconstruction_nll, kl; active_units, rows. If recorded, test_dynamic_nll and the like
    # (with the data set's name, if two have the same split and binarisation), and samples_confidence, _gap, _entropy,
    # _frechet
    metrics: Mapping[str, float]
    # percentiles 0..100 of elbo, reconstruction_nll and kl (nats) over held-out rows as a client sends them (grey,
    # not binarised), for latent mode mean and draw
    held_out: Mapping[str, Mapping[str, tuple[float, ...]]]
    # [latent], of the posterior means of those rows: the reference for drift
    latent_mean: tuple[float, ...]
    # [latent][latent], likewise
    latent_covariance: tuple[tuple[float, ...], ...]
    # fp32 (also if absent) or fp16: what encoder and decoder compute in. It decides how near the graphs must come to
    # the golden outputs at loading: 1e-3, or 2e-2 (relative above 1)
    precision: Precision = "fp32"
    # how the server makes noise from a seed
    sampling_version: int = SAMPLING_VERSION
    # of this file and its folder: 1; a server refuses versions that it does not know
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
