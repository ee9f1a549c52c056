"""A trained model becomes an artifact: written beside its place, proven there, and only then moved in."""

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from server import artifact
from server.artifact import GOLDEN, GRAPH_INPUT, MANIFEST, PERCENTILES, Graph, Item, Likelihood, Manifest, graph_outputs
from training import card, golden, graphs, held_out, parity, pictures, record, served
from training.datasets import Dataset
from training.datasets.dataset import kind_of
from training.errors import TrainingError
from training.model import Vae
from training.provenance import libraries


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    path: Path
    manifest: Manifest


def export(
    model: Vae,
    dataset: Dataset,
    *,
    provenance: Mapping[str, Any],
    trained: str,
    out: Path,
    evaluations: Sequence[Mapping[str, Any]] = (),
) -> Exported:
    """Write `model` (fp32, on the CPU) as an artifact at `out`, which must not exist.

    `evaluations` are what `evaluate --json` printed of this very model: they go into the manifest and onto the card.
    The same model, data and evaluations give the same bytes. What appears at `out` has been read back by the server's
    own reader, run by its loader and compared with torch. Raises TrainingError or OSError; `out` then does not exist.
    """
    require_free(out)
    model = model.eval()
    out.parent.mkdir(parents=True, exist_ok=True)
    # A name with a dot in front is no version to the server.
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        manifest = _fill(folder, model, dataset, provenance=provenance, trained=trained, evaluations=evaluations)
        _sync(folder)
        folder.chmod(0o755)
        try:
            folder.rename(out)
        except OSError:
            require_free(out)
            raise
        _sync_entry(out.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Exported(out, manifest)


def require_free(out: Path) -> None:
    """Raises TrainingError if something is at `out`: an artifact is never overwritten."""
    if out.exists() or out.is_symlink():
        raise TrainingError(f"--out {out}: exists already; versions are never overwritten, choose the next one")


def require_version(out: Path) -> None:
    """Raises TrainingError if the server would not look at `out`: versions are whole numbers, newest highest."""
    if not (out.name.isascii() and out.name.isdigit()):
        raise TrainingError(f"--out {out}: the last part is the version, a whole number: exported/NAME/1")


def decode_macs(model: Vae) -> int:
    """Multiply-adds of decoding one row."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model.decoder(torch.zeros(1, model.config.latent_size))
    return int(counter.get_total_flops()) // 2


def _fill(
    folder: Path,
    model: Vae,
    dataset: Dataset,
    *,
    provenance: Mapping[str, Any],
    trained: str,
    evaluations: Sequence[Mapping[str, Any]],
) -> Manifest:
    modules = graphs.modules(model)
    rows = golden.inputs(model, dataset.validation.rows, count=max(parity.BATCHES))
    for name in modules:
        (folder / f"{name}.onnx").write_bytes(graphs.to_onnx(model, name))
    np.savez(folder / GOLDEN, **golden.arrays(modules, rows, model.config.likelihood))  # type: ignore[arg-type]
    # First a draft, so that the server's loader can run the graphs; then what they were measured to do.
    draft = _draft(folder, model, {**provenance, "libraries": libraries(), "parameters": model.parameters_count})
    _write_manifest(folder, draft)
    recorded = record.metrics(evaluations, digest=draft.digest)
    proof = parity.prove(folder, modules, rows)
    measured = served.load(folder)
    figures = held_out.measure(measured, dataset.validation.rows, model.config)
    manifest = replace(
        draft,
        provenance={**draft.provenance, "parity": proof.to_mapping()},
        metrics={**figures.metrics, **recorded},
        held_out=figures.percentiles,
        latent_mean=figures.latent_mean,
        latent_covariance=figures.latent_covariance,
    )
    pictures.draw(folder, measured, dataset, figures)
    (folder / "MODEL_CARD.md").write_text(
        card.text(
            manifest,
            parameters=model.parameters_count,
            decode_macs=decode_macs(model),
            trained=trained,
            evaluations=evaluations,
        )
    )
    _write_manifest(folder, manifest)
    served.load(folder)
    return manifest


def _draft(folder: Path, model: Vae, provenance: Mapping[str, Any]) -> Manifest:
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


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).write_text(manifest.to_json())
    artifact.write_sums(folder)


def _sync(folder: Path) -> None:
    for entry in (*folder.iterdir(), folder):
        _sync_entry(entry)


def _sync_entry(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
