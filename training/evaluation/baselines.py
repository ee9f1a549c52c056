"""What a VAE must beat: a Normal (Eq. 1), a mixture of them (Eq. 2), and pixels that know nothing of each other.

All give log p(x) in nats of the same x that the VAE is measured on. Black and white pixels have a probability, the
first two models a density; so they see x + u with u uniform on [-1/2, 1/2), and by Jensen's inequality
log P(x) >= E_u log p(x + u) (Theis et al. 2016, arXiv 1511.01844, section 3.1): one draw of u bounds it on average.
"""

import contextlib
import io
import warnings
from dataclasses import dataclass
from typing import cast

import joblib
import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor

from server.core.arrays import Doubles
from training.model.likelihood import bernoulli_log_likelihood
from training.randomness import generator

COMPONENTS = 10
MIXTURE_ROWS = 50_000  # EM on more takes many minutes and changes little
MIXTURE_ITERATIONS = 30
ENOUGH = 0.1  # nats a row gained by an iteration
RIDGE = 1e-3  # added to variances: pixels that never change have none


@dataclass(frozen=True, slots=True)
class Baseline:
    """A model's log p(x) of the measured rows, in nats; [rows]."""

    name: str
    log_density: Tensor


def baselines(
    train: Tensor, measured: Tensor, *, binary: bool, seed: int, scale: Tensor | None = None
) -> list[Baseline]:
    """Fit each to `train` and measure it; both float32 [rows, *item] as the VAE's likelihood sees them.

    scale [*item] is a table's unit of each dimension, in which the first two are fitted; the densities are of items.
    """
    log_scale = 0.0 if scale is None else float(scale.double().log().sum())
    if scale is not None:
        train, measured = train.double() / scale, measured.double() / scale
    fitted, shown = _dequantised(train, seed, binary=binary), _dequantised(measured, seed + 1, binary=binary)
    found = [
        Baseline("one Normal", normal(fitted, shown) - log_scale),
        Baseline(f"mixture of {COMPONENTS} Normals, EM", mixture(fitted, shown, seed=seed) - log_scale),
    ]
    return [*found, Baseline("independent pixels", independent(train, measured))] if binary else found


def normal(train: Doubles, measured: Doubles) -> Tensor:
    """log N(x; mu, Sigma), by maximum likelihood (Eq. 1); both [rows, D], the result [rows]."""
    mean = torch.from_numpy(train.mean(0))
    covariance = torch.from_numpy(np.cov(train, rowvar=False)) + RIDGE * torch.eye(train.shape[1], dtype=torch.float64)
    density = torch.distributions.MultivariateNormal(mean, covariance)
    return cast(Tensor, density.log_prob(torch.from_numpy(measured))).float()  # type: ignore[no-untyped-call]  # torch


def mixture(train: Doubles, measured: Doubles, *, seed: int) -> Tensor:
    """log sum_k pi_k N(x; mu_k, Sigma), by expectation maximisation (Eq. 2); both [rows, D], the result [rows]."""
    order = torch.randperm(len(train), generator=generator(seed, "evaluation"))[:MIXTURE_ROWS]
    model = GaussianMixture(
        # One covariance for all components: with one each, several hundred dimensions overfit and lose to one Normal.
        COMPONENTS,
        covariance_type="tied",
        reg_covar=RIDGE,
        max_iter=MIXTURE_ITERATIONS,
        tol=ENOUGH,
        random_state=seed % 2**32,
    )
    _count_cores()
    with warnings.catch_warnings():
        # The likelihood may still be growing at the last iteration: a baseline is what so many iterations give.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train[order.numpy()])
    return torch.from_numpy(model.score_samples(measured)).float()


def independent(train: Tensor, measured: Tensor) -> Tensor:
    """log p(x) of a Bernoulli per pixel with its mean over the training rows; both [rows, *item], the result [rows]."""
    # One more black and one more white row than there were: no pixel is ever impossible.
    mean = (train.sum(0) + 1) / (len(train) + 2)
    return bernoulli_log_likelihood(measured, torch.logit(mean))


def _count_cores() -> None:
    """Let joblib count the physical cores now, and say nothing where it cannot, as in some containers.

    scikit-learn asks for that number while it fits. joblib warns, and prints a traceback, the first time only.
    """
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore", UserWarning)
        joblib.cpu_count(only_physical_cores=True)


def _dequantised(x: Tensor, seed: int, *, binary: bool) -> Doubles:
    """[rows, D]"""
    flat = x.flatten(1).double()
    if binary:
        flat += torch.rand(flat.shape, generator=generator(seed, "evaluation", -4), dtype=torch.float64) - 0.5
    return flat.numpy()
