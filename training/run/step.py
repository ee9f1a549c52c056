"""What a step climbs: the ELBO of a minibatch or its importance-weighted bound, by the gradient the run has chosen."""

from typing import NamedTuple

from torch import Tensor

from training.config.config import Optimisation
from training.model.objective import (
    Posterior,
    Terms,
    doubly_reparameterised_bound,
    free_bits_kl,
    importance_weighted_bound,
    kl_per_latent,
    log_normal,
    log_weights,
    minibatch_loss,
)
from training.model.vae import PosteriorDraw, Vae
from training.run.hardware import Hardware
from training.run.minibatches import Minibatch


class Climb(NamedTuple):
    """A step's objective on this process's part of a minibatch."""

    loss: Tensor  # a scalar, a mean over rows; its gradient is the step's
    terms: Terms  # of the ELBO at the same draws, for the record


def climb(model: Vae, batch: Minibatch, settings: Optimisation, *, kl_weight: float, hardware: Hardware) -> Climb:
    """The loss of a minibatch by the settings that hold at this step; see config.Optimisation for what it may be."""
    drawn = model.drawn(batch.x, batch.noise, autocast=hardware.autocast())
    if settings.bound != "elbo":
        return _importance_weighted(model, drawn, kl_weight, doubly=settings.bound == "dreg")
    terms = model.parts(drawn)
    if settings.free_bits == 0:
        return Climb(minibatch_loss(terms, kl_weight), terms)
    per_latent = kl_per_latent(drawn.posterior)
    mean = per_latent.detach().mean(0) * batch.weight
    hardware.ranks.add([mean])
    kl = free_bits_kl(per_latent, mean, settings.free_bits)
    return Climb(kl_weight * kl - terms.log_likelihood.mean(), terms)


def bound(model: Vae, drawn: PosteriorDraw) -> Tensor:
    """The importance-weighted bound of log p(x) over the draws, in nats; [rows]."""
    log_posterior = _log_posterior(drawn, attached=True)
    return importance_weighted_bound(log_weights(drawn.log_likelihood, model.log_prior(drawn.z), log_posterior))


def _importance_weighted(model: Vae, drawn: PosteriorDraw, kl_weight: float, *, doubly: bool) -> Climb:
    log_prior, log_posterior = model.log_prior(drawn.z), _log_posterior(drawn, attached=not doubly)
    weights = log_weights(drawn.log_likelihood, kl_weight * log_prior, kl_weight * log_posterior)
    if doubly:
        climbed = doubly_reparameterised_bound(weights, drawn.z, kl_weight)
    else:
        climbed = importance_weighted_bound(weights)
    return Climb(-climbed.mean(), Terms(drawn.log_likelihood.mean(1), (log_posterior - log_prior).mean(1)))


def _log_posterior(drawn: PosteriorDraw, *, attached: bool) -> Tensor:
    """log q(z | x), with a gradient to q's parameters other than through z or without; [rows, k]."""
    mean, log_var = drawn.posterior if attached else (part.detach() for part in drawn.posterior)
    return log_normal(drawn.z, Posterior(mean[:, None], log_var[:, None]))
