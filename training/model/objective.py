"""The equations that training and evaluation share, one per function. All results are in nats and per row.

log p(x) - KL(q(z | x), p(z | x)) = E_q[log p(x | z)] - KL(q(z | x), p(z))        (Eq. 8)

The KL on the left cannot be computed, but it is never negative. So the right-hand side, which can be computed, is a
lower bound of log p(x): the ELBO.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Posterior(NamedTuple):
    """q(z | x): a diagonal Gaussian (Eq. 10)."""

    mean: Tensor  # [rows, latent]
    log_var: Tensor  # [rows, latent]


class Terms(NamedTuple):
    """The two parts of the ELBO."""

    log_likelihood: Tensor  # log p(x | z) at one draw of z, [rows]
    kl: Tensor  # KL(q(z | x), p(z)), [rows]


def elbo(terms: Terms) -> Tensor:
    """E_q[log p(x | z)] - KL(q(z | x), p(z)), the expectation at one draw (Eq. 9); [rows]."""
    return terms.log_likelihood - terms.kl


def reparameterise(posterior: Posterior, noise: Tensor) -> Tensor:
    """z = mean + std * noise with noise ~ N(0, I), so that gradients pass through the draw (Eq. 11); [rows, latent].

    std = exp(log_var / 2): log_var is the logarithm of a variance, and the root of it halves the exponent.
    """
    return posterior.mean + torch.exp(0.5 * posterior.log_var) * noise


def kl_to_standard_normal(posterior: Posterior) -> Tensor:
    """KL(q(z | x), N(0, I)), in closed form (Eq. 14); [rows]."""
    return kl_per_latent(posterior).sum(1)


def kl_per_latent(posterior: Posterior) -> Tensor:
    """KL(q(z_j | x), N(0, 1)) of each latent, the summands of kl_to_standard_normal; [rows, latent]."""
    mean, log_var = posterior
    return 0.5 * (log_var.exp() + mean.square() - 1.0 - log_var)


def kl_to_learned_prior(posterior: Posterior, log_prior: Tensor) -> Tensor:
    """KL(q(z | x), p(z)) with E_q[log q] in closed form and log p(z) at the one draw; [rows].

    log_prior [rows] is log p(z) of the learned prior at z ~ q. Like kl_at_draw this is unbiased, but it takes the exact
    entropy of q instead of a noisy estimate, so training uses it.
    """
    return -entropy(posterior) - log_prior


def kl_at_draw(posterior: Posterior, z: Tensor, log_prior: Tensor) -> Tensor:
    """log q(z | x) - log p(z) at one draw z ~ q, which the server reports for a learned prior; [rows]."""
    return log_normal(z, posterior) - log_prior


def entropy(posterior: Posterior) -> Tensor:
    """-E_q[log q(z | x)] of a diagonal Gaussian; [rows]."""
    return 0.5 * (posterior.log_var + 1.0 + math.log(2 * math.pi)).sum(1)


def log_normal(z: Tensor, posterior: Posterior) -> Tensor:
    """log N(z; mean, diag(exp(log_var))); z [..., latent], the result [...]."""
    mean, log_var = posterior
    return -0.5 * ((z - mean).square() * torch.exp(-log_var) + log_var + math.log(2 * math.pi)).sum(-1)


def log_standard_normal(z: Tensor) -> Tensor:
    """log N(z; 0, I); z [..., latent], the result [...]."""
    return -0.5 * (z.square() + math.log(2 * math.pi)).sum(-1)


def log_weights(log_likelihood: Tensor, log_prior: Tensor, log_posterior: Tensor) -> Tensor:
    """log w = log p(x | z) + log p(z) - log q(z | x), the log of Eq. 6-7's integrand with q as proposal; any shape."""
    return log_likelihood + log_prior - log_posterior


def importance_weighted_bound(weights: Tensor) -> Tensor:
    """log (1/k) sum_i w_i from log weights [rows, k]; [rows].

    As k grows its expectation rises from the ELBO (k = 1) to log p(x) (Burda et al. 2016, arXiv 1509.00519, Theorem 1).
    """
    return torch.logsumexp(weights, dim=1) - math.log(weights.shape[1])
