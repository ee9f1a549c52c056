"""Estimators of the ELBO and of log p(x) for given rows, by the graphs of an exported model."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from torch import Tensor

from training.evaluation.exported_model import ExportedModel
from training.model.objective import (
    Posterior,
    importance_weighted_bound,
    kl_at_draw,
    kl_to_standard_normal,
    log_normal,
    log_weights,
    reparameterise,
)
from training.randomness import generator

# How many importance samples are decoded before they are summed. So few stay in the processor's cache; with a thousand
# at once, memory traffic takes four times as long as the decoder.
DECODES_AT_ONCE = 64


class ElboEstimate(NamedTuple):
    """The ELBO of rows and its parts, in nats; each [rows]."""

    elbo: Tensor
    reconstruction_nll: Tensor
    kl: Tensor


def estimate_elbo(model: ExportedModel, x: Tensor, posterior: Posterior, *, z: Tensor, draw: Tensor) -> ElboEstimate:
    """The ELBO of x [rows, *item], reconstructed from z [rows, latent].

    KL has its closed form for N(0, I). For a learned prior it is log q - log p at `draw`, one z ~ q(z | x) [rows,
    latent], which may be `z` itself.
    """
    _, output = model.decode(z)
    nll = -model.log_likelihood(x, output)
    if model.manifest.learned_prior:
        kl = kl_at_draw(posterior, draw, model.log_prior(draw))
    else:
        kl = kl_to_standard_normal(posterior)
    return ElboEstimate(-nll - kl, nll, kl)


def draw(posterior: Posterior, noise: torch.Generator) -> Tensor:
    """Draw one z ~ q(z | x) per row; [rows, latent]."""
    return reparameterise(posterior, torch.randn(posterior.mean.shape, generator=noise))


def log_evidence(
    model: ExportedModel,
    x: Tensor,
    posterior: Posterior,
    *,
    samples: int,
    seed: int,
    first_row: int = 0,
    workers: int = 1,
    done: Callable[[int], None] | None = None,
) -> Tensor:
    """log p(x) by importance sampling with q(z | x) as proposal; [rows].

    Row i draws from its own generator, (seed, first_row + i), so the result does not depend on how rows are split.
    Nor does it depend on `workers`, the number of rows measured in parallel. done(1) is called after each row.
    """

    def measure(row: int) -> Tensor:
        noise = torch.randn(samples, posterior.mean.shape[1], generator=generator(seed, "evaluation", first_row + row))
        here = Posterior(posterior.mean[row : row + 1], posterior.log_var[row : row + 1])
        weights = []
        for eps in torch.split(noise, DECODES_AT_ONCE):
            z = reparameterise(here, eps)
            _, output = model.decode(z)
            weights.append(
                log_weights(
                    model.log_likelihood(x[row : row + 1], output), model.log_prior(z), log_normal(z, here)
                ).double()
            )
        return importance_weighted_bound(torch.cat(weights)[None])[0]

    result = torch.empty(len(x))
    with ThreadPoolExecutor(workers) as pool:
        # Threads run in parallel here: onnxruntime and torch's operators release the interpreter's lock.
        for row, value in enumerate(pool.map(measure, range(len(x)))):
            result[row] = value
            if done is not None:
                done(1)
    return result


def log_evidence_from_prior(model: ExportedModel, x: Tensor, *, samples: int, seed: int) -> Tensor:
    """log p(x) by plain Monte Carlo: the mean of p(x | z) over z ~ p(z) (Eq. 6-7); [rows].

    It is unbiased for p(x), but useless in practice. Nearly no draw of z explains a given item, so the logarithm of the
    mean stays far too low. It is here to show that. All rows share the draws.
    """
    noise = torch.randn(samples, model.manifest.latent_size, generator=generator(seed, "evaluation"))
    total = torch.full((len(x),), -math.inf, dtype=torch.float64)
    for eps in torch.split(noise, DECODES_AT_ONCE):
        _, output = model.decode(model.from_noise(eps))
        for row in range(len(x)):
            log_likelihood = model.log_likelihood(x[row : row + 1], output).double()  # [samples]
            total[row] = torch.logaddexp(total[row], torch.logsumexp(log_likelihood, 0))
    return (total - math.log(samples)).float()
