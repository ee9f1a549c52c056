"""The mathematics of training, one equation a function. Everything is in nats and per row: [rows] or [rows, latent].

log p(x) - KL(q(z | x), p(z | x)) = E_q[log p(x | z)] - KL(q(z | x), p(z))        (Eq. 8)

The second KL on the left is unknown and never negative; the right-hand side is therefore a lower bound of log p(x), the
ELBO, and everything in it can be computed.
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
    """Its summands, KL(q(z_j | x), N(0, 1)) of each latent; [rows, latent]."""
    mean, log_var = posterior
    return 0.5 * (log_var.exp() + mean.square() - 1.0 - log_var)


def kl_to_learned_prior(posterior: Posterior, log_prior: Tensor) -> Tensor:
    """KL(q(z | x), p(z)) with E_q[log q] in closed form and log p(z) at the one draw; [rows].

    Unbiased like log q(z | x) - log p(z) at that draw, but with the exact entropy of q instead of a noisy one:
    what training wants. log_prior [rows] is log p(z) of the learned prior at z ~ q.
    """
    return -entropy(posterior) - log_prior


def kl_along_path(posterior: Posterior, z: Tensor, log_prior: Tensor) -> Tensor:
    """kl_at_draw with a gradient that reaches q only through the draw z ("sticking the landing"); [rows].

    The part left out has mean zero; without it the gradient's variance vanishes as q approaches the true posterior
    (Roeder, Wu & Duvenaud 2017, arXiv 1703.09194).
    """
    return kl_at_draw(Posterior(posterior.mean.detach(), posterior.log_var.detach()), z, log_prior)


def kl_at_draw(posterior: Posterior, z: Tensor, log_prior: Tensor) -> Tensor:
    """log q(z | x) - log p(z) at one draw z ~ q: what the server reports for a learned prior; [rows]."""
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


def free_bits_kl(per_latent: Tensor, mean: Tensor, nats: float) -> Tensor:
    """sum_j max(nats, mean_j): a latent's KL costs nothing up to `nats`, on average over the minibatch; a scalar.

    per_latent [rows, latent] as kl_per_latent; mean [latent] its mean over all rows of the minibatch, of which these
    may be a part: it decides which latents are above the floor, and only theirs have a gradient (Kingma et al. 2016,
    arXiv 1606.04934, appendix C.8).
    """
    return torch.where(mean > nats, per_latent.mean(0), nats).sum()


def minibatch_loss(terms: Terms, kl_weight: float) -> Tensor:
    """The negative ELBO of a minibatch, averaged over its rows (Eq. 12-14); a scalar.

    N times its mean estimates the sum over all N rows without bias: one draw of rows, one draw of noise each.
    kl_weight is 1, except during warm-up or if the run's beta is another (Higgins et al. 2017).
    """
    return -(terms.log_likelihood.mean() - kl_weight * terms.kl.mean())


def log_weights(log_likelihood: Tensor, log_prior: Tensor, log_posterior: Tensor) -> Tensor:
    """log w = log p(x | z) + log p(z) - log q(z | x): the integrand of Eq. 6-7 with q as proposal; any shape."""
    return log_likelihood + log_prior - log_posterior


def importance_weighted_bound(weights: Tensor) -> Tensor:
    """log (1/k) sum_i w_i from log weights [rows, k]; [rows].

    Its expectation rises with k from the ELBO (k = 1) to log p(x) (Burda et al. 2016, arXiv 1509.00519, Theorem 1).
    """
    return torch.logsumexp(weights, dim=1) - math.log(weights.shape[1])


def doubly_reparameterised_bound(weights: Tensor, z: Tensor, kl_weight: float) -> Tensor:
    """importance_weighted_bound with the DReG gradient for q (Tucker et al. 2019, arXiv 1810.04152); [rows].

    z [rows, k, latent] are the draws, weights [rows, k] their log weights, in which log q(z | x) has been computed with
    q's parameters detached: they reach q through z alone. With the normalised weights v_i = w_i / sum_j w_j

        d bound / d q = sum_i v_i^2 (d log w_i / d z_i) (d z_i / d q)

    has the mean of the plain gradient, and a signal-to-noise ratio that does not fall with k. Decoder and prior keep
    theirs, sum_i v_i d log w_i. For k = 1 it is the gradient along the path (kl_along_path). With kl_weight b, where
    log w = log p(x | z) + b (log p(z) - log q(z | x)), v_i^2 becomes (1 - b) v_i + b v_i^2 by the same derivation.
    """
    shares = torch.softmax(weights.detach(), dim=1)
    # The bound itself contributes v_i to the gradient that arrives at z_i; the other factor is put in on its way to q.
    z.register_hook(lambda gradient: gradient * (1 - kl_weight + kl_weight * shares).unsqueeze(-1))  # type: ignore[no-untyped-call]  # torch
    return importance_weighted_bound(weights)
