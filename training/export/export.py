"""`export`: writes a trained model as an artifact, checks it in a temporary folder, and then moves it into place."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from server import artifact
from server.artifact import GOLDEN, GRAPH_INPUT, MANIFEST, PERCENTILES, Graph, Item, Likelihood, Manifest, graph_outputs
from training.atomic import creating
from training.datasets import Dataset
from training.datasets.dataset import kind_of
from training.errors import TrainingError
from training.evaluation import exported_model, held_out
from training.export import card, golden, graphs, parity, pictures
from training.export.measurements import Measurements
from training.model.vae import Vae
from training.run.provenance import libraries


@dataclass(frozen=True, slots=True)
class ExportResult:
    """The artifact that was written."""

    path: Path
    manifest: Manifest


def export(
    model: Vae,
    dataset: Dataset,
    *,
    provenance: Mapping[str, Any],
    out: Path,
) -> ExportResult:
    """Write `model` (fp32, on the CPU) as an artifact at `out`, which must not exist.

    The same model and data give the same bytes. Before the artifact appears at `out`, the server's own reader and
    loader have read and run it, and its outputs were compared with torch's. Raises TrainingError or OSError, and then
    `out` does not exist.
    """
    with creating(out) as folder:
        manifest = _fill(folder, model, dataset, provenance=provenance)
    return ExportResult(out, manifest)


def require_version(out: Path) -> None:
    """Raise TrainingError if the last part of `out` is not a whole number: the server takes no other versions."""
    if not (out.name.isascii() and out.name.isdigit()):
        raise TrainingError(f"--out {out}: the last part is the version, a whole number: exported/NAME/1")


def decode_macs(model: Vae) -> int:
    """Multiply-adds of decoding one row: those of linear layers and convolutions.

    torch's FlopCounterMode counts the same, and takes seconds to import what it needs.
    """
    counts: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        if isinstance(layer, nn.Linear):
            counts.append(layer.weight.numel())
        elif isinstance(layer, nn.Conv2d):  # every weight is used once for each output pixel
            counts.append(layer.weight.numel() * output[0, 0].numel())
        elif isinstance(layer, nn.ConvTranspose2d):  # and here once for each input pixel
            counts.append(layer.weight.numel() * inputs[0][0, 0].numel())

    hooks = [layer.register_forward_hook(count) for layer in model.decoder.modules()]
    try:
        with torch.inference_mode():
            model.decoder(torch.zeros(1, model.config.latent_size))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counts)


def _fill(
    folder: Path,
    model: Vae,
    dataset: Dataset,
    *,
    provenance: Mapping[str, Any],
) -> Manifest:
    modules = graphs.modules(model)
    chosen = dataset.held_out(model.config.train_on)
    unseen = dataset.split(chosen).rows
    rows = golden.inputs(model, unseen, count=max(parity.BATCHES))
    for name in modules:
        (folder / f"{name}.onnx").write_bytes(graphs.to_onnx(model, name))
    np.savez(folder / GOLDEN, **golden.arrays(modules, rows, model.config.likelihood))  # type: ignore[arg-type]
    # First a draft of the manifest, so that the server's loader can run the graphs. The figures are measured by them.
    facts = {
        "libraries": libraries(),
        "parameters": model.parameters_count,
        "decode_macs": decode_macs(model),
        "held_out": chosen,
        "measured": Measurements().to_mapping(),
    }
    draft = _draft(folder, model, {**provenance, **facts})
    write_manifest(folder, draft)
    proof = parity.prove(folder, modules, rows)
    measured = exported_model.load(folder)
    figures = held_out.measure(measured, unseen, model.config)
    manifest = replace(
        draft,
        provenance={**draft.provenance, "parity": proof.to_mapping()},
        metrics=figures.metrics,
        held_out=figures.percentiles,
        latent_mean=figures.latent_mean,
        latent_covariance=figures.latent_covariance,
    )
    pictures.write_pictures(folder, measured, dataset, unseen, figures)
    write_card_and_manifest(folder, manifest)
    exported_model.load(folder)
    return manifest


def _draft(folder: Path, model: Vae, provenance: Mapping[str, Any]) -> Manifest:
    """The manifest with zeros in place of everything that is measured."""
    size, likelihood, kind = model.config.latent_size, model.config.likelihood, kind_of(model.item_shape)
    unknown = (0.0,) * len(PERCENTILES)
    return Manifest(
        item=Item(kind=kind, shape=model.item_shape, range=(0.0, 1.0) if kind == "image" else None),
        latent_size=size,
        likelihood=Likelihood(likelihood, model.sigma, model.scale),
        graphs={
            name: Graph(
                file=f"{name}.onnx",
                sha256=artifact.sha256_of(folder / f"{name}.onnx"),
                inputs=(GRAPH_INPUT[name],),
                outputs=graph_outputs(name, likelihood),
            )
            for name in graphs.modules(model)
        },
        opset=graphs.OPSET,
        provenance=provenance,
        metrics={},
        held_out={mode: dict.fromkeys(("elbo", "reconstruction_nll", "kl"), unknown) for mode in ("mean", "draw")},
        latent_mean=(0.0,) * size,
        latent_covariance=((0.0,) * size,) * size,
    )


def write_card_and_manifest(folder: Path, manifest: Manifest) -> None:
    """Write MODEL_CARD.md, manifest.json and SHA256SUMS."""
    (folder / "MODEL_CARD.md").write_text(card.text(manifest))
    write_manifest(folder, manifest)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write manifest.json and SHA256SUMS."""
    (folder / MANIFEST).write_text(manifest.to_json())
    artifact.write_sums(folder)
