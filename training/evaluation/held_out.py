"""The statistics of held-out rows that an artifact contains: metrics, percentiles and the spread of latents."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from server.artifact import PERCENTILES
from training.config.config import Config
from training.evaluation import estimate
from training.evaluation.estimate import ElboEstimate
from training.evaluation.exported_model import ExportedModel
from training.evaluation.mean_and_error import MeanAndError
from training.model.objective import Posterior, kl_per_latent
from training.randomness import generator
from training.run.minibatches import client_input, likelihood_input

MOST_ROWS = 10_000  # at most so many rows are measured, chosen at random
ROWS_AT_ONCE = 500
NLL_ROWS = 500
NLL_SAMPLES = 64
ACTIVE = 0.01  # a latent is active if its posterior mean varies by more over the data (Burda et al. 2016)


@dataclass(frozen=True, slots=True)
class HeldOutStatistics:
    """Statistics of rows that were not trained on or, if there are none, of the validation rows."""

    metrics: dict[str, float]
    percentiles: Mapping[str, Mapping[str, tuple[float, ...]]]  # by latent mode and quantity, as in the manifest
    latent_mean: tuple[float, ...]  # of posterior means, like the covariance
    latent_covariance: tuple[tuple[float, ...], ...]
    kl_per_latent: tuple[float, ...]


def measure(model: ExportedModel, rows: Tensor, config: Config) -> HeldOutStatistics:
    """Measure `model` on rows [N, *item] of a data set.

    Metrics are of rows as the likelihood sees them: binarised for a Bernoulli. Percentiles and latents are of rows as a
    client sends them: grey images. All draws come from fixed seeds.
    """
    draws = generator(0, "held_out")
    rows = rows[torch.randperm(len(rows), generator=draws)[:MOST_ROWS]]
    seen = likelihood_input(rows, config, draws)
    measured = _pass(model, seen, draws).at_draw
    metrics = {
        "elbo": float(measured.elbo.double().mean()),
        "reconstruction_nll": float(measured.reconstruction_nll.double().mean()),
        "kl": float(measured.kl.double().mean()),
        "active_units": float((model.encode(seen).mean.var(0) > ACTIVE).sum()),
        "rows": float(len(rows)),
        **_nll(model, seen[:NLL_ROWS]),
    }
    shown = _pass(model, client_input(rows), draws)
    means = shown.posterior.mean.double().numpy()  # [N, latent]
    return HeldOutStatistics(
        metrics=metrics,
        percentiles={"mean": _percentiles(shown.at_mean), "draw": _percentiles(shown.at_draw)},
        latent_mean=tuple(means.mean(0).tolist()),
        latent_covariance=tuple(tuple(row) for row in np.atleast_2d(np.cov(means, rowvar=False)).tolist()),
        kl_per_latent=tuple(kl_per_latent(shown.posterior).double().mean(0).tolist()),
    )


class _Pass(NamedTuple):
    """The results of rows that went through the encoder, and through the decoder twice: at the mean and at a draw."""

    posterior: Posterior
    at_mean: ElboEstimate
    at_draw: ElboEstimate


def _pass(model: ExportedModel, x: Tensor, draws: torch.Generator) -> _Pass:
    posteriors, at_mean, at_draw = [], [], []
    for part in torch.split(x, ROWS_AT_ONCE):
        posterior = model.encode(part)
        z = estimate.draw(posterior, draws)
        posteriors.append(posterior)
        at_mean.append(estimate.estimate_elbo(model, part, posterior, z=posterior.mean, draw=z))
        at_draw.append(estimate.estimate_elbo(model, part, posterior, z=z, draw=z))
    return _Pass(
        Posterior(*map(torch.cat, zip(*posteriors, strict=True))),
        ElboEstimate(*map(torch.cat, zip(*at_mean, strict=True))),
        ElboEstimate(*map(torch.cat, zip(*at_draw, strict=True))),
    )


def _nll(model: ExportedModel, x: Tensor) -> dict[str, float]:
    """-log p(x) by few importance samples of few rows; `evaluate` gives the figure to publish."""
    nll = MeanAndError.of(-estimate.log_evidence(model, x, model.encode(x), samples=NLL_SAMPLES, seed=0))
    return {
        "nll": nll.mean,
        "nll_standard_error": nll.standard_error,
        "nll_rows": float(len(x)),
        "nll_importance_samples": float(NLL_SAMPLES),
    }


def _percentiles(elbo: ElboEstimate) -> dict[str, tuple[float, ...]]:
    return {
        "elbo": _percentiles_of(elbo.elbo),
        "reconstruction_nll": _percentiles_of(elbo.reconstruction_nll),
        "kl": _percentiles_of(elbo.kl),
    }


def _percentiles_of(values: Tensor) -> tuple[float, ...]:
    # numpy interpolates, and rounding may make a percentile an ulp smaller than the one before it.
    quantiles = np.percentile(values.double().numpy(), PERCENTILES)
    return tuple(np.maximum.accumulate(quantiles).tolist())
