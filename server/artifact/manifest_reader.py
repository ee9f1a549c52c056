"""Reads manifest.json and checks every value; an error is one line that names the value."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from server.artifact.manifest import (
    FORMAT_VERSION,
    GRAPH_INPUT,
    MANIFEST,
    PERCENTILES,
    SAMPLING_VERSION,
    Graph,
    GraphName,
    Item,
    Likelihood,
    Manifest,
    graph_outputs,
)
from server.errors import ArtifactError


def read_manifest(file: Path) -> Manifest:
    """Read and check a manifest. Raises ArtifactError."""
    try:
        facts = json.loads(file.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{MANIFEST}: cannot be read: {reason_of(error)}") from None
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


def reason_of(error: OSError | UnicodeDecodeError) -> str:
    """The reason why a file cannot be read, without its path."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _parse(facts: Mapping[str, Any]) -> Manifest:
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
    require(manifest.latent_size >= 1, f"latent_size is {manifest.latent_size}; it must be at least 1")
    require(
        likelihood.name in ("bernoulli", "gaussian"),
        f"likelihood.name is {likelihood.name!r}; allowed: bernoulli, gaussian",
    )
    require(
        (likelihood.name == "gaussian") == (likelihood.sigma is not None and likelihood.sigma > 0),
        f"likelihood.sigma is {likelihood.sigma} for {likelihood.name}; gaussian needs one above 0, bernoulli none",
    )
    require(
        likelihood.scale is None or likelihood.name == "gaussian",
        f"likelihood.scale is set for {likelihood.name}; only gaussian may have a scale",
    )
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
    require(
        names <= set(GRAPH_INPUT),
        f"graphs names {', '.join(sorted(names - set(GRAPH_INPUT)))}; allowed: {', '.join(GRAPH_INPUT)}",
    )
    require(
        ("prior" in names) == ("prior_log_density" in names),
        "graphs must name both prior and prior_log_density, or neither",
    )
    for name, graph in manifest.graphs.items():
        outputs = graph_outputs(cast(GraphName, name), likelihood.name)
        require(graph.file == f"{name}.onnx", f"graphs.{name}.file is {graph.file!r}; it must be {name}.onnx")
        inputs = (GRAPH_INPUT[name],)
        require(graph.inputs == inputs, f"graphs.{name}.inputs is {graph.inputs}; it must be {inputs}")
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
