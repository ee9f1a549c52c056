"""Small artifacts with random weights, written without torch: a linear encoder and decoder in plain ONNX."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from server import artifact
from server.artifact import Graph, Item, Likelihood, Manifest
from server.engine.engine import _host_graph

OPSET = 18
ROWS = 16


def write_artifact(
    path: Path,
    *,
    item_shape: tuple[int, ...] = (1, 4, 4),
    latent: int = 3,
    likelihood: str = "bernoulli",
    scale: tuple[float, ...] | None = None,
    learned_prior: bool = False,
    encoder_width: int = 0,
    seed: int = 0,
) -> Path:
    """A complete, valid artifact at `path`; different seeds give different models.

    An encoder with a width reads width x width weights for every batch: rows are cheaper in larger batches.
    """
    path.mkdir(parents=True)
    random = np.random.default_rng(seed)
    size = int(np.prod(item_shape))
    graphs = {
        "encoder": _encoder(random, item_shape, size, latent, width=encoder_width),
        "decoder": _decoder(random, item_shape, size, latent, bernoulli=likelihood == "bernoulli"),
    }
    if learned_prior:
        graphs["prior"] = _graph(
            "prior", [("eps", [latent])], [("z", [latent])], [helper.make_node("Add", ["eps", "shift"], ["z"])],
            {"shift": np.full(latent, 0.5, np.float32)},
        )  # fmt: skip
        graphs["prior_log_density"] = _density(latent)
    for name, model in graphs.items():
        onnx.save(model, path / f"{name}.onnx")
    kind = "image" if len(item_shape) == 3 else "table"
    spec: dict[str, Graph] = {}
    for name, model in graphs.items():
        spec[name] = Graph(
            file=f"{name}.onnx",
            sha256=artifact.sha256_of(path / f"{name}.onnx"),
            inputs=tuple(i.name for i in model.graph.input),
            outputs=tuple(o.name for o in model.graph.output),
        )
    ramp = tuple(float(v) for v in np.linspace(-20.0, 0.0, 101))
    quantiles = {"elbo": ramp, "reconstruction_nll": ramp, "kl": ramp}
    manifest = Manifest(
        item=Item(kind, item_shape, (0.0, 1.0) if kind == "image" else None),
        latent_size=latent,
        likelihood=Likelihood("bernoulli") if likelihood == "bernoulli" else Likelihood("gaussian", 0.25, scale),
        graphs=spec,
        opset=OPSET,
        provenance={"made_by": "tests.support.artifacts"},
        metrics={"elbo": -10.0, "kl": 1.0},
        held_out={"mean": quantiles, "draw": quantiles},
        latent_mean=(0.0,) * latent,
        latent_covariance=tuple(tuple(float(i == j) for j in range(latent)) for i in range(latent)),
    )
    (path / artifact.MANIFEST).write_text(manifest.to_json())
    _write_golden(path, manifest, random)
    (path / "MODEL_CARD.md").write_text("# A model with random weights, for tests\n")
    artifact.write_sums(path)
    return path


def edit_manifest(path: Path, **changes: Any) -> None:
    """Change top-level facts of a manifest and make the sums fit again."""
    facts = json.loads((path / artifact.MANIFEST).read_text())
    facts.update(changes)
    (path / artifact.MANIFEST).write_text(json.dumps(facts))
    artifact.write_sums(path)


def replace_graph(path: Path, name: str, model: onnx.ModelProto) -> None:
    """Replace a graph and make the digests fit, as a careless exporter would."""
    onnx.save(model, path / f"{name}.onnx")
    facts = json.loads((path / artifact.MANIFEST).read_text())
    facts["graphs"][name]["sha256"] = artifact.sha256_of(path / f"{name}.onnx")
    edit_manifest(path, graphs=facts["graphs"])


def _write_golden(path: Path, manifest: Manifest, random: np.random.Generator) -> None:
    inputs = {
        "x": random.random((ROWS, *manifest.item.shape), np.float32),
        "z": random.standard_normal((ROWS, manifest.latent_size)).astype(np.float32),
        "eps": random.standard_normal((ROWS, manifest.latent_size)).astype(np.float32),
    }
    arrays = dict(inputs)
    (path / artifact.GOLDEN).write_bytes(b"")
    artifact.write_sums(path)
    read = artifact.read(path)
    for name, graph in manifest.graphs.items():
        outputs = _host_graph(read, name, 1)(inputs[graph.inputs[0]])
        arrays |= {f"{name}.{output}": value for output, value in zip(graph.outputs, outputs, strict=True)}
    np.savez(path / artifact.GOLDEN, **arrays)


def _encoder(
    random: np.random.Generator, item_shape: tuple[int, ...], size: int, latent: int, *, width: int
) -> onnx.ModelProto:
    nodes = [helper.make_node("Flatten", ["x"], ["flat"])]
    weights = {"low": np.float32(-12.0), "high": np.float32(8.0)}
    features, inputs = "flat", size
    if width:
        weights |= {
            "w_in": random.standard_normal((size, width)).astype(np.float32),
            "w_wide": random.standard_normal((width, width)).astype(np.float32) / np.float32(width),
        }
        nodes += [
            helper.make_node("MatMul", ["flat", "w_in"], ["hidden"]),
            helper.make_node("MatMul", ["hidden", "w_wide"], ["wide"]),
        ]
        features, inputs = "wide", width
    nodes += [
        helper.make_node("MatMul", [features, "w_mean"], ["mean"]),
        helper.make_node("MatMul", [features, "w_logvar"], ["raw"]),
        helper.make_node("Clip", ["raw", "low", "high"], ["logvar"]),
    ]
    weights |= {
        "w_mean": random.standard_normal((inputs, latent)).astype(np.float32),
        "w_logvar": random.standard_normal((inputs, latent)).astype(np.float32) * np.float32(0.1),
    }
    return _graph("encoder", [("x", item_shape)], [("mean", [latent]), ("logvar", [latent])], nodes, weights)


def _decoder(
    random: np.random.Generator, item_shape: tuple[int, ...], size: int, latent: int, *, bernoulli: bool
) -> onnx.ModelProto:
    weights = {
        "w": random.standard_normal((latent, size)).astype(np.float32),
        "shape": np.array([-1, *item_shape], np.int64),
    }
    nodes = [helper.make_node("MatMul", ["z", "w"], ["flat"])]
    last = "logits" if bernoulli else "mean"
    nodes.append(helper.make_node("Reshape", ["flat", "shape"], [last]))
    outputs = [("mean", item_shape)]
    if bernoulli:
        nodes.append(helper.make_node("Sigmoid", ["logits"], ["mean"]))
        outputs.append(("logits", item_shape))
    return _graph("decoder", [("z", [latent])], outputs, nodes, weights)


def _density(latent: int) -> onnx.ModelProto:
    """log N(z; 0.5, I): the density of the shifted prior."""
    nodes = [
        helper.make_node("Sub", ["z", "shift"], ["centred"]),
        helper.make_node("Mul", ["centred", "centred"], ["squares"]),
        helper.make_node("ReduceSum", ["squares", "axes"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "minus_half"], ["half"]),
        helper.make_node("Add", ["half", "constant"], ["log_density"]),
    ]
    weights = {
        "shift": np.full(latent, 0.5, np.float32),
        "axes": np.array([1], np.int64),
        "minus_half": np.float32(-0.5),
        "constant": np.float32(-0.5 * latent * np.log(2 * np.pi)),
    }
    return _graph("prior_log_density", [("z", [latent])], [("log_density", [])], nodes, weights)


def _graph(
    name: str,
    inputs: list[tuple[str, Any]],
    outputs: list[tuple[str, Any]],
    nodes: list[onnx.NodeProto],
    weights: dict[str, Any],
) -> onnx.ModelProto:
    def info(tensor: str, shape: Any) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(tensor, TensorProto.FLOAT, ["batch", *shape])

    graph = helper.make_graph(
        nodes,
        name,
        [info(*tensor) for tensor in inputs],
        [info(*tensor) for tensor in outputs],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
