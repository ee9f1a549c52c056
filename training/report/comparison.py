"""The comparison of a run's VAE with simpler models on the same validation rows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from training.datasets import Dataset
from training.evaluation.baselines import baselines
from training.evaluation.held_out import ROWS_AT_ONCE
from training.evaluation.mean_and_error import MeanAndError
from training.model.objective import elbo
from training.model.vae import Vae
from training.randomness import generator
from training.run.minibatches import likelihood_input
from training.run.step import draw, elbo_terms


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model's -log p(x) of the validation rows in nats; for the VAE an upper bound of it, -ELBO."""

    name: str
    mean: float
    standard_error: float


def comparisons(model: Vae, dataset: Dataset, x: Tensor) -> tuple[Comparison, ...]:
    """Measure the VAE, which comes first, and the baselines; takes minutes for MNIST.

    x [rows, *item] are the validation rows as the VAE's likelihood sees them.
    """
    stream = generator(0, "evaluation")
    elbos = []
    for part in torch.split(x, ROWS_AT_ONCE):
        noise = torch.randn(len(part), 1, model.config.latent_size, generator=stream)
        draws = draw(model, part, noise, autocast=torch.autocast("cpu", enabled=False))
        elbos.append(elbo(elbo_terms(model, draws)))
    train = likelihood_input(dataset.train.rows, model.config, stream)
    scale = None if model.scale is None else torch.tensor(model.scale)
    simpler = baselines(train, x, binary=model.config.likelihood == "bernoulli", seed=0, scale=scale)
    return (
        _comparison("this VAE, at most (−ELBO)", torch.cat(elbos)),
        *(_comparison(baseline.name, baseline.log_density) for baseline in simpler),
    )


def _comparison(name: str, log_density: Tensor) -> Comparison:
    figure = MeanAndError.of(-log_density)
    return Comparison(name, figure.mean, figure.standard_error)
