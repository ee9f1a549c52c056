"""Findings: everything that a page shows about a run, computed with the weights that `export` would take."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from training.config.config import Config
from training.datasets import Dataset
from training.errors import TrainingError
from training.evaluation.held_out import ACTIVE, MOST_ROWS
from training.export.export import decode_macs
from training.export.pictures import ROWS as TABLE_ROWS
from training.export.pictures import column_names
from training.model.objective import kl_per_latent
from training.randomness import generator
from training.report.comparison import Comparison, comparisons
from training.report.latent_map import LatentMap, project
from training.report.networks import Networks
from training.run.checkpoint import Checkpoint
from training.run.minibatches import client_input, grey, likelihood_input
from training.run.progress import EpochDone
from training.run.session import require_same_data, trained_model

COLUMNS = 8  # images in one line of a picture
SAMPLES, RECONSTRUCTED = 64, 32  # images shown
PATHS, STEPS = 8, 8  # the number of interpolations, and of latents on each
MAPPED = 3000  # rows in the latent map, at most
PARALLEL = 1e-4  # sine of an angle below which two vectors count as parallel or opposite


@dataclass(frozen=True, slots=True)
class Findings:
    """The content of a page. Items are images [N, C, H, W] in 0..1, or a table's rows [N, D] in its own units.

    All rows are validation rows, chosen at random.
    """

    name: str  # of the run
    config: Config
    provenance: Mapping[str, Any]
    item_shape: tuple[int, ...]
    epochs: tuple[EpochDone, ...]
    chosen: EpochDone  # the epoch whose averaged weights are shown
    parameters: int
    decode_macs: int  # multiply-adds of decoding one row
    columns: tuple[str, ...] | None  # the column names of a table; None for images
    samples: Tensor  # images: means of p(x | z); a table: draws of x
    originals: Tensor
    reconstructions: Tensor
    interpolations: tuple[Tensor, ...]  # each a row, STEPS decoded latents and another row; empty for a table
    latent_map: LatentMap
    kl_per_latent: tuple[float, ...]  # KL(q(z_i | x), N(0, 1)) in nats, the mean over `measured_rows`
    active: tuple[bool, ...]  # by latent: whether it is active, as `evaluate` counts
    measured_rows: int
    comparisons: tuple[Comparison, ...]  # the VAE and the baselines; empty unless asked for

    @property
    def finished(self) -> bool:
        return self.epochs[-1].epoch == self.config.optimisation.epochs


def gather(
    name: str, saved: Checkpoint, epochs: tuple[EpochDone, ...], dataset: Dataset, *, with_baselines: bool
) -> Findings:
    """Compute the findings of a checkpoint and its journal's `epochs`. All draws come from fixed seeds.

    Raises TrainingError if `dataset` is not the run's, has too few validation rows, or `epochs` lack the chosen epoch.
    """
    require_same_data(saved, dataset)
    if len(dataset.validation) < 2:
        raise TrainingError(f"{dataset.name}: has one validation row; a report, like a variance, needs two")
    model, facts = trained_model(saved)
    # A run that trains on the validation rows too chooses no epoch: its last one is shown.
    last = epochs[-1].epoch if facts["chosen_epoch"] is None else facts["chosen_epoch"]
    chosen = next((epoch for epoch in epochs if epoch.epoch == last), None)
    if chosen is None:
        raise TrainingError(
            f"{name}: the checkpoint holds the weights of epoch {facts['chosen_epoch']}, which is missing in the "
            "journal; put back the journal of this run"
        )
    networks = Networks(model)
    with torch.inference_mode():
        # Rows, order and binarisation are the same as in held_out.measure, and the pictures the same as on the card.
        draws = generator(0, "held_out")
        order = torch.randperm(len(dataset.validation), generator=draws)[:MOST_ROWS]
        rows, labels = dataset.validation.rows[order], dataset.validation.labels
        x = likelihood_input(rows, saved.config, draws)
        posterior = networks.encode(x)
        pictures = generator(0, "pictures")
        table = dataset.kind == "table"
        samples = networks.decode(
            networks.from_noise(
                torch.randn(TABLE_ROWS if table else SAMPLES, model.config.latent_size, generator=pictures)
            )
        )
        if table:
            assert model.sigma is not None
            samples += model.sigma * torch.tensor(model.scale) * torch.randn(samples.shape, generator=pictures)
        some = torch.randperm(len(dataset.validation), generator=pictures)[: TABLE_ROWS if table else RECONSTRUCTED]
        if not table:
            some = some[: len(some) // COLUMNS * COLUMNS or None]  # only full lines, or a single line that is not full
        originals = client_input(dataset.validation.rows[some])
        return Findings(
            name=name,
            config=saved.config,
            provenance=saved.provenance,
            item_shape=saved.item_shape,
            epochs=epochs,
            chosen=chosen,
            parameters=model.parameters_count,
            decode_macs=decode_macs(model),
            columns=column_names(dataset) if table else None,
            samples=samples,
            originals=originals,
            reconstructions=networks.decode(networks.encode(originals).mean),
            interpolations=tuple(
                _path(networks, grey(rows[2 * path : 2 * path + 2]))
                for path in range(0 if table else min(PATHS, len(rows) // 2))
            ),
            latent_map=project(posterior.mean[:MAPPED], None if labels is None else labels[order[:MAPPED]]),
            kl_per_latent=tuple(kl_per_latent(posterior).double().mean(0).tolist()),
            active=tuple((posterior.mean.var(0) > ACTIVE).tolist()),
            measured_rows=len(x),
            comparisons=comparisons(model, dataset, x) if with_baselines else (),
        )


def slerp(start: Tensor, end: Tensor, *, steps: int) -> Tensor:
    """Spherical interpolation (Shoemake 1985), including both ends; start, end [latent] -> [steps, latent].

    Draws of N(0, I) lie near a sphere, and so does every point of the arc. A straight line would pass through the
    inside, where draws are rare (White 2016, arXiv 1609.04468). Between ends of different length the length changes.
    """
    t = torch.linspace(0, 1, steps)[:, None]
    cosine = torch.dot(start, end) / (start.norm() * end.norm()).clamp(min=1e-12)
    angle = torch.acos(cosine.clamp(-1, 1))
    if torch.sin(angle) < PARALLEL:
        return torch.lerp(start, end, t)
    return (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / torch.sin(angle)


def _path(networks: Networks, ends: Tensor) -> Tensor:
    """An interpolation between two rows, [2 + STEPS, *item]; the arc is in the prior's noise, not in its latents."""
    eps = networks.to_noise(networks.encode(ends).mean)
    return torch.cat((ends[:1], networks.decode(networks.from_noise(slerp(*eps, steps=STEPS))), ends[1:]))
