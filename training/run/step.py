"""One training step, to be read from top to bottom: the loss of a minibatch, then the update of the state.

`loss` has a branch for every objective: the ELBO, its gradient along the path, free bits, the importance-weighted bound
and its DReG gradient. All values are in nats and per row; k is the number of draws of z per row. If several processes
train together (distributed.py), each calls `update` with its own rows of the minibatch.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from training.config.config import Bound, Gradient
from training.model.objective import (
    Posterior,
    Terms,
    importance_weighted_bound,
    kl_at_draw,
    kl_per_latent,
    kl_to_learned_prior,
    kl_to_standard_normal,
    log_normal,
    log_weights,
    reparameterise,
)
from training.model.vae import Vae
from training.run.hardware import Hardware
from training.run.minibatches import Minibatch
from training.run.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What one step maximises, and by which gradient; config.Optimisation explains the fields."""

    bound: Bound
    gradient: Gradient
    draws: int  # k, the draws of z per row
    free_bits: float  # nats of KL per latent
    kl_weight: float


class Loss(NamedTuple):
    """The loss of one process's rows, and their ELBO."""

    value: Tensor  # a scalar, the mean over rows, to be minimised
    terms: Terms  # the ELBO's parts at the same draws, for the journal; whatever the objective is


def loss(model: Vae, batch: Minibatch, objective: Objective, *, hardware: Hardware) -> Loss:
    """The negative of the objective. Only free bits need other processes' rows: their mean KL per latent."""
    draws = draw(model, batch.x, batch.noise, autocast=hardware.autocast())
    if objective.bound != "elbo":
        return _importance_weighted_loss(model, draws, objective)
    terms = elbo_terms(model, draws) if objective.gradient == "total" else _terms_along_path(model, draws)
    if objective.free_bits == 0:
        return Loss(minibatch_loss(terms, objective.kl_weight), terms)
    per_latent = kl_per_latent(draws.posterior)  # [rows, latent]
    mean = per_latent.detach().mean(0) * batch.weight  # [latent]
    hardware.ranks.add([mean])
    kl = free_bits_kl(per_latent, mean, objective.free_bits)
    return Loss(objective.kl_weight * kl - terms.log_likelihood.mean(), terms)


def update(
    state: State,
    batch: Minibatch,
    objective: Objective,
    *,
    learning_rate: float,
    average_decay: float,
    hardware: Hardware,
) -> None:
    """Move `state` by one step: its weights, their average, the epoch's sums and the number of steps.

    The gradients of all processes are added, so that all states stay equal. Raises TrainingError if a process is lost.
    """
    optimiser, weights = state.optimiser, state.model.parameters
    value, terms = loss(state.model, batch, objective, hardware=hardware)
    optimiser.zero_grad(set_to_none=True)
    (value * batch.weight).backward()  # type: ignore[no-untyped-call]  # torch
    hardware.ranks.add([weight.grad for weight in weights() if weight.grad is not None])
    torch.nn.utils.clip_grad_norm_(weights(), state.model.config.optimisation.gradient_norm)
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
    optimiser.step()
    with torch.no_grad():
        for average, weight in zip(state.average.parameters(), weights(), strict=True):
            average.lerp_(weight, 1 - average_decay)  # average = decay * average + (1 - decay) * weight
    sums = totals(Terms(terms.log_likelihood.detach(), terms.kl.detach()))
    hardware.ranks.add([sums])
    state.sums += sums
    state.step += 1


def totals(terms: Terms) -> Tensor:
    """The sums over rows of log-likelihood and KL, and the number of rows; float64 [3]."""
    log_likelihood, kl = terms
    count = log_likelihood.new_full((), len(log_likelihood), dtype=torch.float64)
    return torch.stack((log_likelihood.sum(dtype=torch.float64), kl.sum(dtype=torch.float64), count))


class PosteriorDraws(NamedTuple):
    """The posteriors of items, k draws of z ~ q(z | x) per item, and the log-likelihood of each draw."""

    posterior: Posterior  # [rows, latent]
    z: Tensor  # [rows, k, latent]
    log_likelihood: Tensor  # log p(x | z), [rows, k]


def draw(model: Vae, x: Tensor, noise: Tensor, *, autocast: torch.autocast) -> PosteriorDraws:
    """The draws of z that `noise` [rows, k, latent] makes for x [rows, *item] (Eq. 10, 11 and 13)."""
    rows, k, _ = noise.shape
    with autocast:
        posterior = model.encode(x)
    z = reparameterise(per_draw(posterior), noise)
    with autocast:
        output = model.decode(z.flatten(0, 1))
    log_likelihood = model.log_likelihood(x if k == 1 else x.repeat_interleave(k, 0), output)
    return PosteriorDraws(posterior, z, log_likelihood.view(rows, k))


def elbo_terms(model: Vae, draws: PosteriorDraws) -> Terms:
    """The ELBO's parts, averaged over the draws; KL is in closed form for N(0, I), at the draws for a learned prior."""
    if model.prior is None:
        kl = kl_to_standard_normal(draws.posterior)
    else:
        kl = kl_to_learned_prior(draws.posterior, model.log_prior(draws.z).mean(1))
    return Terms(draws.log_likelihood.mean(1), kl)


def log_importance_weights(model: Vae, draws: PosteriorDraws) -> Tensor:
    """log p(x, z) - log q(z | x) of each draw; [rows, k]."""
    log_posterior = log_normal(draws.z, per_draw(draws.posterior))
    return log_weights(draws.log_likelihood, model.log_prior(draws.z), log_posterior)


def minibatch_loss(terms: Terms, kl_weight: float) -> Tensor:
    """The negative ELBO of a minibatch, averaged over its rows (Eq. 12-14); a scalar.

    N times it is an unbiased estimate of the sum over all N rows: rows and noise are random. kl_weight is 1 except
    during warm-up, or if the run's beta is not 1 (Higgins et al. 2017).
    """
    return -(terms.log_likelihood.mean() - kl_weight * terms.kl.mean())


def kl_along_path(posterior: Posterior, z: Tensor, log_prior: Tensor) -> Tensor:
    """kl_at_draw, with a gradient that reaches q only through the draw z ("sticking the landing"); [rows].

    The part of the gradient that is left out has mean zero. Without it the gradient's variance vanishes as q approaches
    the true posterior (Roeder, Wu & Duvenaud 2017, arXiv 1703.09194).
    """
    return kl_at_draw(detached(posterior), z, log_prior)


def free_bits_kl(per_latent: Tensor, mean: Tensor, nats: float) -> Tensor:
    """sum_j max(nats, mean_j), so that no latent's mean KL is reduced below `nats`; a scalar.

    per_latent [rows, latent] is the KL of these rows; mean [latent] is its mean over the whole minibatch, of which they
    may be a part. Only latents whose mean is above `nats` have a gradient (Kingma et al. 2016, arXiv 1606.04934,
    appendix C.8).
    """
    return torch.where(mean > nats, per_latent.mean(0), nats).sum()


def doubly_reparameterised_bound(weights: Tensor, z: Tensor, kl_weight: float) -> Tensor:
    """importance_weighted_bound with the DReG gradient for q (Tucker et al. 2019, arXiv 1810.04152); [rows].

    z [rows, k, latent] are the draws, weights [rows, k] their log weights. log q(z | x) in them was computed with q's
    parameters detached, so the gradient reaches q through z alone. With the normalised weights v_i = w_i / sum_j w_j,

        d bound / d q = sum_i v_i^2 (d log w_i / d z_i) (d z_i / d q)

    has the mean of the plain gradient, and its signal-to-noise ratio does not fall with k. Decoder and prior have the
    plain gradient, sum_i v_i d log w_i. For k = 1 this is the gradient along the path (kl_along_path). With kl_weight
    b, log w = log p(x | z) + b (log p(z) - log q(z | x)), and by the same derivation (1 - b) v_i + b v_i^2 replaces
    v_i^2.
    """
    shares = torch.softmax(weights.detach(), dim=1)
    # The gradient that arrives at z_i has the factor v_i already; the hook multiplies it by the rest on its way to q.
    z.register_hook(lambda gradient: gradient * (1 - kl_weight + kl_weight * shares).unsqueeze(-1))  # type: ignore[no-untyped-call]  # torch
    return importance_weighted_bound(weights)


def per_draw(posterior: Posterior) -> Posterior:
    """mean and log_var as [rows, 1, latent], to be broadcast over the k draws of each row."""
    return Posterior(posterior.mean[:, None], posterior.log_var[:, None])


def detached(posterior: Posterior) -> Posterior:
    """The same distribution, with parameters that receive no gradient."""
    return Posterior(posterior.mean.detach(), posterior.log_var.detach())


def _terms_along_path(model: Vae, draws: PosteriorDraws) -> Terms:
    """The ELBO's parts with the gradient along the path; KL is at the draws, for every prior."""
    kl = kl_along_path(per_draw(draws.posterior), draws.z, model.log_prior(draws.z)).mean(1)
    return Terms(draws.log_likelihood.mean(1), kl)


def _importance_weighted_loss(model: Vae, draws: PosteriorDraws, objective: Objective) -> Loss:
    """The negative importance-weighted bound, with its own gradient (iwae) or DReG's."""
    doubly, kl_weight = objective.bound == "dreg", objective.kl_weight
    log_prior = model.log_prior(draws.z)
    posterior = per_draw(draws.posterior)
    log_posterior = log_normal(draws.z, detached(posterior) if doubly else posterior)
    weights = log_weights(draws.log_likelihood, kl_weight * log_prior, kl_weight * log_posterior)  # [rows, k]
    bound = doubly_reparameterised_bound(weights, draws.z, kl_weight) if doubly else importance_weighted_bound(weights)
    return Loss(-bound.mean(), Terms(draws.log_likelihood.mean(1), (log_posterior - log_prior).mean(1)))
