"""Simpler models that a VAE must beat: a Normal (Eq. 1), a mixture of Normals (Eq. 2), and independent pixels.

All give log p(x) in nats of the same x that the VAE is measured on. Black and white pixels have probabilities, but the
first two models have densities. So these get x + u with u uniform on [-1/2, 1/2). By Jensen's inequality
log P(x) >= E_u log p(x + u) (Theis et al. 2016, arXiv 1511.01844, section 3.1). One draw of u is a lower bound on
average.
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
MIXTURE_ROWS = 50_000  # EM on more rows takes many minutes and changes little
MIXTURE_ITERATIONS = 30
ENOUGH = 0.1  # EM stops when an iteration gains less than this, in nats per row
RIDGE = 1e-3  # added to variances, because pixels that never change have none


@dataclass(frozen=True, slots=True)
class Baseline:
    """A simpler model, measured."""

    name: str
    log_density: Tensor  # log p(x) of the measured rows in nats, [rows]


def baselines(
    train: Tensor, measured: Tensor, *, binary: bool, seed: int, scale: Tensor | None = None
) -> list[Baseline]:
    """Fit each model to `train` and measure it on `measured`.

    Both are float32 [rows, *item], as the VAE's likelihood sees them. For a table, scale [*item] is the unit of each
    column; the Normals are fitted in these units, and their densities are converted to the table's own units.
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
    """log N(x; mu, Sigma), fitted by maximum likelihood (Eq. 1); both arguments [rows, D], the result [rows]."""
    mean = torch.from_numpy(train.mean(0))
    covariance = torch.from_numpy(np.cov(train, rowvar=False)) + RIDGE * torch.eye(train.shape[1], dtype=torch.float64)
    density = torch.distributions.MultivariateNormal(mean, covariance)
    return cast(Tensor, density.log_prob(torch.from_numpy(measured))).float()  # type: ignore[no-untyped-call]  # torch


def mixture(train: Doubles, measured: Doubles, *, seed: int) -> Tensor:
    """log sum_k pi_k N(x; mu_k, Sigma), fitted by EM (Eq. 2); both arguments [rows, D], the result [rows]."""
    order = torch.randperm(len(train), generator=generator(seed, "evaluation"))[:MIXTURE_ROWS]
    model = GaussianMixture(
        # All components share one covariance. With one each, in several hundred dimensions, the mixture overfits and is
        # worse than one Normal.
        COMPONENTS,
        covariance_type="tied",
        reg_covar=RIDGE,
        max_iter=MIXTURE_ITERATIONS,
        tol=ENOUGH,
        random_state=seed % 2**32,
    )
    _count_cores()
    with warnings.catch_warnings():
        # The likelihood may still grow at the last iteration; the baseline is defined by this number of iterations.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train[order.numpy()])
    return torch.from_numpy(model.score_samples(measured)).float()


def independent(train: Tensor, measured: Tensor) -> Tensor:
    """log p(x) of one Bernoulli per pixel, with the pixel's mean over the training rows.

    Both arguments are [rows, *item], the result [rows].
    """
    # Laplace smoothing (one more black and one more white row), so that no pixel value has probability 0.
    mean = (train.sum(0) + 1) / (len(train) + 2)
    return bernoulli_log_likelihood(measured, torch.logit(mean))


def _count_cores() -> None:
    """Let joblib count the physical cores now, without its warning and traceback where it cannot count them.

    It cannot in some containers. scikit-learn asks for the number while it fits; joblib complains the first time only.
    """
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore", UserWarning)
        joblib.cpu_count(only_physical_cores=True)


def _dequantised(x: Tensor, seed: int, *, binary: bool) -> Doubles:
    """x [rows, *item] as float64 [rows, D]; uniform noise is added to black and white pixels."""
    flat = x.flatten(1).double()
    if binary:
        flat += torch.rand(flat.shape, generator=generator(seed, "evaluation", -4), dtype=torch.float64) - 0.5
    return flat.numpy()
