"""The pictures of a model card, computed by the exported graphs: samples, reconstructions and KL per latent."""

from pathlib import Path

import torch
from torch import Tensor

from training.datasets import Dataset
from training.evaluation.exported_model import ExportedModel
from training.evaluation.held_out import HeldOutStatistics
from training.export import plots
from training.randomness import generator
from training.run.minibatches import grey

PICTURED = 64  # images in a picture
ROWS = 2000  # rows in a picture of a table
MOST_COLUMNS = 24  # columns in a picture of a table, at most


def draw(folder: Path, model: ExportedModel, dataset: Dataset, rows: Tensor, figures: HeldOutStatistics) -> None:
    """Write samples.png, reconstructions.png of held-out `rows` [N, *item] and latent_kl.png, from fixed seeds."""
    if dataset.kind == "table":
        _table(folder, model, rows, column_names(dataset))
    else:
        _images(folder, model, rows)
    plots.bars(
        folder / "latent_kl.png",
        figures.kl_per_latent,
        title="KL(q(z_i | x), N(0, 1)), mean over held-out rows",
        horizontal="latent, in order of its KL",
        vertical="nats",
    )


def column_names(dataset: Dataset) -> tuple[str, ...]:
    """The names of a table's columns: those of its header, or "column 1" and so on."""
    return dataset.columns or tuple(f"column {index + 1}" for index in range(dataset.item_shape[0]))


def _images(folder: Path, model: ExportedModel, rows: Tensor) -> None:
    draws = generator(0, "pictures")
    eps = torch.randn(PICTURED, model.manifest.latent_size, generator=draws)
    plots.grid(folder / "samples.png", model.decode(model.from_noise(eps))[0], columns=8)
    some = grey(rows[torch.randperm(len(rows), generator=draws)[: PICTURED // 2]])
    plots.pairs(folder / "reconstructions.png", some, model.decode(model.encode(some).mean)[0], columns=8)


def _table(folder: Path, model: ExportedModel, rows: Tensor, names: tuple[str, ...]) -> None:
    draws = generator(0, "pictures")
    likelihood = model.manifest.likelihood
    assert likelihood.sigma is not None
    assert likelihood.scale is not None
    mean = model.decode(model.from_noise(torch.randn(ROWS, model.manifest.latent_size, generator=draws)))[0]
    sampled = mean + likelihood.sigma * torch.tensor(likelihood.scale) * torch.randn(mean.shape, generator=draws)
    some = rows[torch.randperm(len(rows), generator=draws)[:ROWS]]
    reconstructed = model.decode(model.encode(some).mean)[0]
    plots.histograms(folder / "samples.png", some, sampled, names=names[:MOST_COLUMNS])
    plots.agreement(folder / "reconstructions.png", some, reconstructed, names=names[:MOST_COLUMNS])
