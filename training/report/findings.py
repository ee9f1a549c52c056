"""What a page tells of a run: read, encoded, decoded and measured, with the weights that `export` would take."""

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

COLUMNS = 8  # of the pictures
SAMPLES, RECONSTRUCTED = 64, 32
PATHS, STEPS = 8, 8  # interpolations, and latents on each
MAPPED = 3000
PARALLEL = 1e-4  # radians from parallel, or from opposite, at which an arc has no direction


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that is shown. Items are images [N, C, H, W] in 0..1, or a table's rows [N, D] in its own units.

    Rows are validation rows at random.
    """

    name: str  # the run's
    config: Config
    provenance: Mapping[str, Any]
    item_shape: tuple[int, ...]
    epochs: tuple[EpochDone, ...]
    chosen: EpochDone  # whose averaged weights are shown
    parameters: int
    decode_macs: int
    columns: tuple[str, ...] | None  # names, of a table's; None for images
    samples: Tensor  # images: means of p(x | z); a table's rows: draws of x
    originals: Tensor
    reconstructions: Tensor
    interpolations: tuple[Tensor, ...]  # of images; each: a row, STEPS decoded latents, another row
    latent_map: LatentMap
    kl_per_latent: tuple[float, ...]  # KL(q(z_i | x), N(0, 1)) in nats, the mean over `measured_rows`
    active: tuple[bool, ...]  # by latent, as evaluate counts them
    measured_rows: int
    comparisons: tuple[Comparison, ...]  # the VAE first; empty unless asked for

    @property
    def finished(self) -> bool:
        return self.epochs[-1].epoch == self.config.optimisation.epochs


def gather(
    name: str, saved: Checkpoint, epochs: tuple[EpochDone, ...], dataset: Dataset, *, with_baselines: bool
) -> Findings:
    """Raises TrainingError if `dataset` or `epochs` are not the run's or too few. Draws come from fixed seeds."""
    require_same_data(saved, dataset)
    if len(dataset.validation) < 2:
        raise TrainingError(f"{dataset.name}: has one validation row; a report, like a variance, needs two")
    model, facts = trained_model(saved)
    last = epochs[-1].epoch if facts["chosen_epoch"] is None else facts["chosen_epoch"]  # trained on all: none chosen
    chosen = next((epoch for epoch in epochs if epoch.epoch == last), None)
    if chosen is None:
        raise TrainingError(
            f"{name}: the checkpoint holds the weights of epoch {facts['chosen_epoch']}, which the journal does not "
            "know; put back the journal of this run"
        )
    networks = Networks(model)
    with torch.inference_mode():
        # The rows, their order and their binarisation are those of held_out.measure, the pictures those of the card.
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
            some = some[: len(some) // COLUMNS * COLUMNS or None]  # whole lines, or the one there is
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
    """Spherical interpolation (Shoemake 1985), both ends included; start, end [latent] -> [steps, latent].

    A draw of N(0, I) lies near a sphere, and so does every point of the arc; a straight line would cut through the
    inside, where draws are rare (White 2016, arXiv 1609.04468). Ends of unlike length change length on the way.
    """
    t = torch.linspace(0, 1, steps)[:, None]
    cosine = torch.dot(start, end) / (start.norm() * end.norm()).clamp(min=1e-12)
    angle = torch.acos(cosine.clamp(-1, 1))
    if torch.sin(angle) < PARALLEL:
        return torch.lerp(start, end, t)
    return (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / torch.sin(angle)


def _path(networks: Networks, ends: Tensor) -> Tensor:
    """From one row to the other, [2 + STEPS, *item]; the arc runs in the noise that the prior makes latents of."""
    eps = networks.to_noise(networks.encode(ends).mean)
    return torch.cat((ends[:1], networks.decode(networks.from_noise(slerp(*eps, steps=STEPS))), ends[1:]))
