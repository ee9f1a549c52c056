"""`evaluate`: measures an artifact on the rows of one split, by running the exported graphs."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from server.artifact import Manifest
from training.datasets import Dataset
from training.datasets.dataset import SplitName
from training.errors import TrainingError
from training.evaluation import estimate
from training.evaluation.baselines import baselines
from training.evaluation.exported_model import ExportedModel
from training.evaluation.held_out import ACTIVE
from training.evaluation.mean_and_error import MeanAndError
from training.randomness import generator
from training.run.minibatches import binarise, client_input, grey

Estimator = Literal["importance", "prior"]
ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one evaluation, and how they were measured."""

    model_digest: str  # of the artifact: graphs and preprocessing
    config: Mapping[str, Any]  # the Config that the model was trained with, as a mapping
    data: str  # the data set's name
    split: SplitName
    rows: int
    binarisation: Literal["dynamic", "static", "none"]
    estimator: Estimator
    samples: int  # draws of z per row
    seed: int
    nll: MeanAndError  # -log p(x); all figures are in nats
    elbo: MeanAndError
    reconstruction_nll: MeanAndError  # -E_q[log p(x | z)]
    kl: MeanAndError
    active_units: int
    latent_size: int
    baselines: dict[str, MeanAndError]  # -log p(x) of the same rows under simpler models; empty unless asked for

    def to_mapping(self) -> dict[str, Any]:
        return asdict(self)


def evaluate(
    model: ExportedModel,
    dataset: Dataset,
    *,
    split: SplitName,
    samples: int,
    estimator: Estimator,
    seed: int,
    most_rows: int | None,
    with_baselines: bool,
    workers: int = 1,
    begin: Callable[[int], None],
    done: Callable[[int], None],
) -> Evaluation:
    """Measure `model` on a split of `dataset`.

    At most `most_rows` random rows are taken (None: all), and `workers` of them are measured in parallel. Binarisation,
    choice of rows and draws come from `seed`. begin(number of rows) is called once, and done(count) whenever `count`
    more rows are measured. Raises TrainingError if the items do not fit the model.
    """
    _require_fit(model.manifest, dataset)
    rows = dataset.split(split).rows
    if most_rows is not None and most_rows < len(rows):
        # Some sources are sorted by class: their first rows would all be of one class.
        chosen = torch.randperm(len(rows), generator=generator(seed, "evaluation", -1))[:most_rows]
        rows = rows[chosen]
    x, binarisation = _observed(model, dataset, rows, seed)
    begin(len(x))
    draws = generator(seed, "evaluation", -3)
    evidence, elbos, means = [], [], []
    for start in range(0, len(x), ROWS_AT_ONCE):
        part = x[start : start + ROWS_AT_ONCE]
        posterior = model.encode(part)
        means.append(posterior.mean)
        z = estimate.draw(posterior, draws)
        elbos.append(torch.stack(estimate.estimate_elbo(model, part, posterior, z=z, draw=z)))
        if estimator == "importance":
            evidence.append(
                estimate.log_evidence(
                    model, part, posterior, samples=samples, seed=seed, first_row=start, workers=workers, done=done
                )
            )
    if estimator == "prior":
        evidence.append(estimate.log_evidence_from_prior(model, x, samples=samples, seed=seed))
        done(len(x))
    elbo, reconstruction, kl = torch.cat(elbos, dim=1)
    return Evaluation(
        model_digest=model.manifest.digest,
        config=model.manifest.provenance.get("config", {}),
        data=dataset.name,
        split=split,
        rows=len(x),
        binarisation=binarisation,
        estimator=estimator,
        samples=samples,
        seed=seed,
        nll=MeanAndError.of(-torch.cat(evidence)),
        elbo=MeanAndError.of(elbo),
        reconstruction_nll=MeanAndError.of(reconstruction),
        kl=MeanAndError.of(kl),
        active_units=int((torch.cat(means).var(0) > ACTIVE).sum()),
        latent_size=model.manifest.latent_size,
        baselines=_baselines(model, dataset, x, seed) if with_baselines else {},
    )


def _baselines(model: ExportedModel, dataset: Dataset, x: Tensor, seed: int) -> dict[str, MeanAndError]:
    train, binarisation = _observed(model, dataset, dataset.train.rows, seed)
    scale = model.manifest.likelihood.scale
    found = baselines(
        train, x, binary=binarisation != "none", seed=seed, scale=None if scale is None else torch.tensor(scale)
    )
    return {baseline.name: MeanAndError.of(-baseline.log_density) for baseline in found}


def _observed(
    model: ExportedModel, dataset: Dataset, rows: Tensor, seed: int
) -> tuple[Tensor, Literal["dynamic", "static", "none"]]:
    """Rows as the model's likelihood sees them, float32 [rows, *item], and how they were binarised."""
    if model.manifest.likelihood.name != "bernoulli":
        return client_input(rows), "none"
    if dataset.static:
        return grey(rows), "static"
    return binarise(rows, generator(seed, "evaluation", -2)), "dynamic"


def _require_fit(manifest: Manifest, dataset: Dataset) -> None:
    shape, known = manifest.item.shape, manifest.provenance.get("data", {}).get("columns")
    if shape != dataset.item_shape:
        raise TrainingError(f"the model takes items {shape}, {dataset.name} has {dataset.item_shape}")
    if known and dataset.columns and tuple(known) != dataset.columns:
        raise TrainingError(
            f"the model takes columns {', '.join(known)} in this order, {dataset.name} has {', '.join(dataset.columns)}"
        )
