"""The contract between training and serving: a folder exported/<model>/<version>/ and what must be true of it.

Standard library only, so that whoever writes or reads an artifact needs nothing else. The layout:

    encoder.onnx              x float32 [batch, *item] -> mean, logvar float32 [batch, latent]
    decoder.onnx              z float32 [batch, latent] -> mean [batch, *item], and logits for Bernoulli
    prior.onnx                optional learned prior: eps [batch, latent] -> z [batch, latent]
    prior_log_density.onnx    with it: z [batch, latent] -> log_density [batch], nats
    manifest.json             what this module reads and writes
    golden.npz                16 inputs and latents with the outputs that training saw
    MODEL_CARD.md, samples.png, SHA256SUMS
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from server.errors import ArtifactError

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


@dataclass(frozen=True, slots=True)
class Artifact:
    """A folder whose every file is what its manifest says."""

    path: Path
    manifest: Manifest
    files: tuple[str, ...] = field(default=())

    def graph(self, name: str) -> bytes:
        """The bytes of a graph.

        Read and checked again, so that what runs is what was verified.
        Raises ArtifactError if the file has changed since.
        """
        graph = self.manifest.graphs[name]
        content = (self.path / graph.file).read_bytes()
        if hashlib.sha256(content).hexdigest() != graph.sha256:
            raise ArtifactError(f"{graph.file}: changed while it was being loaded")
        return content


def read(path: Path) -> Artifact:
    """Read an artifact and verify it.

    Raises ArtifactError, one line that names the file, for anything missing, altered, linked or unknown.
    """
    if not path.is_dir():
        raise ArtifactError(f"{path}: no such folder")
    for entry in sorted(path.rglob("*")):
        if entry.is_symlink():
            raise ArtifactError(f"{entry.relative_to(path)}: is a symbolic link; artifacts hold plain files")
    manifest = _manifest(path / MANIFEST)
    sums = _sums(path / SUMS)
    for name, expected in sums.items():
        file = path / name
        if not file.is_file():
            raise ArtifactError(f"{name}: listed in {SUMS} but missing")
        got = sha256_of(file)
        if got != expected:
            raise ArtifactError(f"{name}: sha256 is {got[:12]}..., {SUMS} says {expected[:12]}...")
    for name in (MANIFEST, GOLDEN, *(graph.file for graph in manifest.graphs.values())):
        if name not in sums:
            raise ArtifactError(f"{name}: not listed in {SUMS}")
    for graph in manifest.graphs.values():
        if sums[graph.file] != graph.sha256:
            raise ArtifactError(f"{graph.file}: {MANIFEST} and {SUMS} disagree on its sha256")
    return Artifact(path, manifest, tuple(sorted(sums)))


def write_sums(path: Path) -> None:
    """Write SHA256SUMS over every other file of the folder, in the format of sha256sum(1)."""
    names = sorted(entry.name for entry in path.iterdir() if entry.name != SUMS)
    (path / SUMS).write_text("".join(f"{sha256_of(path / name)}  {name}\n" for name in names))


def sha256_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest_of(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _sums(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{SUMS}: cannot be read: {_reason(error)}") from None
    sums = {}
    for line in lines:
        match = re.fullmatch(r"([0-9a-f]{64})  ([\w.-]+)", line)
        if not match or match[2].startswith("."):
            raise ArtifactError(f"{SUMS}: not a line of sha256sum over a plain file name: {line[:80]!r}")
        sums[match[2]] = match[1]
    return sums


def _manifest(file: Path) -> Manifest:
    try:
        facts = json.loads(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{MANIFEST}: cannot be read: {_reason(error)}") from None
    except json.JSONDecodeError as error:
        raise ArtifactError(f"{MANIFEST}: is not JSON: {error}") from None
    if not isinstance(facts, dict) or facts.get("format_version") != FORMAT_VERSION:
        version = facts.get("format_version") if isinstance(facts, dict) else None
        raise ArtifactError(f"{MANIFEST}: format_version is {version!r}; this server reads {FORMAT_VERSION}")
    try:
        manifest = _parse(facts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(f"{MANIFEST}: incomplete or malformed: {type(error).__name__} {error}") from None
    _check(manifest)
    return manifest


def _parse(facts: dict[str, Any]) -> Manifest:
    item, likelihood = facts["item"], facts["likelihood"]
    limits = item["range"]
    return Manifest(
        item=Item(
            kind=item["kind"],
            shape=tuple(int(n) for n in item["shape"]),
            range=None if limits is None else (float(limits[0]), float(limits[1])),
        ),
        latent_size=int(facts["latent_size"]),
        likelihood=Likelihood(
            name=likelihood["name"],
            sigma=None if likelihood["sigma"] is None else float(likelihood["sigma"]),
            scale=None if likelihood.get("scale") is None else tuple(float(value) for value in likelihood["scale"]),
        ),
        graphs={
            name: Graph(
                file=str(graph["file"]),
                sha256=str(graph["sha256"]),
                inputs=tuple(graph["inputs"]),
                outputs=tuple(graph["outputs"]),
            )
            for name, graph in facts["graphs"].items()
        },
        opset=int(facts["opset"]),
        provenance=dict(facts["provenance"]),
        metrics={str(name): float(value) for name, value in facts["metrics"].items()},
        held_out={
            mode: {name: tuple(float(v) for v in values) for name, values in quantities.items()}
            for mode, quantities in facts["held_out"].items()
        },
        latent_mean=tuple(float(v) for v in facts["latent_mean"]),
        latent_covariance=tuple(tuple(float(v) for v in row) for row in facts["latent_covariance"]),
        precision=facts.get("precision", "fp32"),
        sampling_version=int(facts["sampling_version"]),
    )


def _check(manifest: Manifest) -> None:
    def require(truth: bool, what: str) -> None:
        if not truth:
            raise ArtifactError(f"{MANIFEST}: {what}")

    item, likelihood = manifest.item, manifest.likelihood
    require(item.kind in ("image", "table"), f"item.kind is {item.kind!r}; allowed: image, table")
    require(len(item.shape) == {"image": 3, "table": 1}[item.kind], f"item.shape {item.shape} does not fit {item.kind}")
    require(min(item.shape) >= 1, f"item.shape {item.shape} has an empty axis")
    require(
        item.range is None or (math.isfinite(sum(item.range)) and item.range[0] < item.range[1]),
        f"item.range {item.range} is not a finite, non-empty interval",
    )
    require(manifest.latent_size >= 1, f"latent_size is {manifest.latent_size}")
    require(
        likelihood.name in ("bernoulli", "gaussian"),
        f"likelihood.name is {likelihood.name!r}; allowed: bernoulli, gaussian",
    )
    require(
        (likelihood.name == "gaussian") == (likelihood.sigma is not None and likelihood.sigma > 0),
        f"likelihood.sigma is {likelihood.sigma} for {likelihood.name}; gaussian needs one above 0, bernoulli none",
    )
    require(likelihood.scale is None or likelihood.name == "gaussian", "likelihood.scale belongs to gaussian")
    scale = (1.0,) * item.size if likelihood.scale is None else likelihood.scale
    require(
        len(scale) == item.size and all(math.isfinite(value) and value > 0 for value in scale),
        f"likelihood.scale needs {item.size} finite values above 0",
    )
    require(
        likelihood.name != "bernoulli" or item.range == (0.0, 1.0), "a Bernoulli likelihood needs item.range [0, 1]"
    )
    names = set(manifest.graphs)
    require({"encoder", "decoder"} <= names, "graphs must name encoder and decoder")
    require(names <= set(GRAPH_INPUT), f"unknown graphs {sorted(names - set(GRAPH_INPUT))}")
    require(("prior" in names) == ("prior_log_density" in names), "prior and prior_log_density come together")
    for name, graph in manifest.graphs.items():
        outputs = graph_outputs(cast(GraphName, name), likelihood.name)
        require(graph.file == f"{name}.onnx", f"graphs.{name}.file is {graph.file!r}; it must be {name}.onnx")
        require(graph.inputs == (GRAPH_INPUT[name],), f"graphs.{name}.inputs is {graph.inputs}")
        require(graph.outputs == outputs, f"graphs.{name}.outputs is {graph.outputs}; it must be {outputs}")
    require(manifest.precision in ("fp32", "fp16"), f"precision is {manifest.precision!r}; allowed: fp32, fp16")
    require(
        manifest.sampling_version == SAMPLING_VERSION,
        f"sampling_version is {manifest.sampling_version}; this server implements {SAMPLING_VERSION}",
    )
    for mode in ("mean", "draw"):
        for quantity in ("elbo", "reconstruction_nll", "kl"):
            values = manifest.held_out.get(mode, {}).get(quantity, ())
            require(len(values) == len(PERCENTILES), f"held_out.{mode}.{quantity} needs {len(PERCENTILES)} percentiles")
            require(list(values) == sorted(values), f"held_out.{mode}.{quantity} must not decrease")
    size = manifest.latent_size
    require(len(manifest.latent_mean) == size, f"latent_mean needs {size} values")
    require(
        len(manifest.latent_covariance) == size and all(len(row) == size for row in manifest.latent_covariance),
        f"latent_covariance needs {size} x {size} values",
    )


def graph_outputs(name: GraphName, likelihood: LikelihoodName) -> tuple[str, ...]:
    """The outputs that a graph must have, in order."""
    if name == "decoder":
        return ("mean", "logits") if likelihood == "bernoulli" else ("mean",)
    return {"encoder": ("mean", "logvar"), "prior": ("z",), "prior_log_density": ("log_density",)}[name]


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
