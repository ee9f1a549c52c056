"""A model whose log p(x) is known: z ~ N(0, I), x ~ N(W z + b, sigma^2 I), so x ~ N(b, W W' + sigma^2 I)."""

import math

import pytest
import torch
from torch import Tensor

from training.model.likelihood import gaussian_log_likelihood
from training.model.objective import (
    Posterior,
    importance_weighted_bound,
    kl_to_standard_normal,
    log_normal,
    log_standard_normal,
    log_weights,
    reparameterise,
)
from training.run.step import doubly_reparameterised_bound

SIGMA = 0.5
ROWS, SIZE, LATENT = 16, 5, 2
DRAWS = torch.Generator().manual_seed(7)
W = torch.randn(SIZE, LATENT, generator=DRAWS, dtype=torch.float64)
B = torch.randn(SIZE, generator=DRAWS, dtype=torch.float64)
X = (
    torch.randn(ROWS, LATENT, generator=DRAWS, dtype=torch.float64) @ W.T
    + B
    + SIGMA * torch.randn(ROWS, SIZE, generator=DRAWS, dtype=torch.float64)
)


def evidence() -> Tensor:
    """log p(x); [rows]"""
    covariance = W @ W.T + SIGMA**2 * torch.eye(SIZE, dtype=torch.float64)
    return torch.distributions.MultivariateNormal(B, covariance).log_prob(X)


def true_posterior() -> tuple[Tensor, Tensor]:
    """p(z | x) = N(mean [rows, latent], covariance [latent, latent])."""
    covariance = torch.linalg.inv(torch.eye(LATENT, dtype=torch.float64) + W.T @ W / SIGMA**2)
    return (X - B) @ W @ covariance / SIGMA**2, covariance


def approximate() -> Posterior:
    """The right mean, and the diagonal of the covariance made wider: not p(z | x)."""
    mean, covariance = true_posterior()
    return Posterior(mean + 0.1, torch.log(covariance.diagonal() * 1.5).expand(ROWS, LATENT))


def expected_log_likelihood(q: Posterior) -> Tensor:
    """E_q[log p(x | z)] in closed form; [rows]"""
    at_mean = gaussian_log_likelihood(X, q.mean @ W.T + B, torch.tensor(math.log(SIGMA)))
    spread = (q.log_var.exp() * W.square().sum(0)).sum(1)  # trace(W diag(var) W')
    return at_mean - spread / (2 * SIGMA**2)


def exact_elbo(q: Posterior) -> Tensor:
    return expected_log_likelihood(q) - kl_to_standard_normal(q)


def weights(q: Posterior, k: int) -> Tensor:
    """log w [rows, k]"""
    noise = torch.randn(k, ROWS, LATENT, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    z = reparameterise(q, noise)  # [k, rows, latent]
    log_likelihood = gaussian_log_likelihood(
        X.repeat(k, 1), z.reshape(-1, LATENT) @ W.T + B, torch.tensor(math.log(SIGMA))
    )
    return log_weights(log_likelihood.reshape(k, ROWS), log_standard_normal(z), log_normal(z, q)).T


def test_the_elbo_misses_log_p_by_exactly_the_kl_to_the_true_posterior() -> None:
    """Eq. 8."""
    q = approximate()
    mean, covariance = true_posterior()
    gap = torch.distributions.kl_divergence(
        torch.distributions.MultivariateNormal(q.mean, torch.diag_embed(q.log_var.exp())),
        torch.distributions.MultivariateNormal(mean, covariance),
    )
    torch.testing.assert_close(evidence() - gap, exact_elbo(q))


def test_the_importance_weighted_bound_lies_between_elbo_and_log_p_and_closes_in() -> None:
    q = approximate()
    truth, lowest = evidence().mean(), exact_elbo(q).mean()
    averaged = [
        importance_weighted_bound(weights(q, 20_000).reshape(ROWS, -1, k).reshape(-1, k)).mean() for k in (5, 50)
    ]
    assert lowest < averaged[0] < averaged[1] < truth + 1e-3
    assert importance_weighted_bound(weights(q, 20_000)).mean().item() == pytest.approx(truth.item(), abs=0.02)


def test_plain_monte_carlo_over_the_prior_is_right_where_it_is_affordable() -> None:
    """Eq. 6-7, in two dimensions, where enough draws can be had."""
    prior = Posterior(torch.zeros(ROWS, LATENT, dtype=torch.float64), torch.zeros(ROWS, LATENT, dtype=torch.float64))
    assert importance_weighted_bound(weights(prior, 100_000)).mean().item() == pytest.approx(
        evidence().mean().item(), abs=0.05
    )


@pytest.mark.parametrize("kl_weight", [1.0, 0.3])
@pytest.mark.parametrize("k", [1, 2, 8])
def test_the_doubly_reparameterised_gradient_is_that_of_the_bound_on_average_and_quieter(
    k: int, kl_weight: float
) -> None:
    """For q; decoder and prior get the very gradient of the bound."""
    count = 40_000
    q = Posterior(*(part[:1].expand(count, -1).clone().requires_grad_() for part in approximate()))
    every = Posterior(q.mean[:, None], q.log_var[:, None])
    decoder = W.clone().requires_grad_()
    noise = torch.randn(count, k, LATENT, generator=torch.Generator().manual_seed(5), dtype=torch.float64)

    def gradients(*, doubly: bool) -> tuple[Tensor, Tensor]:
        """Of the bound: by q [count, 2 latent], one sample a row, and by the decoder."""
        z = reparameterise(every, noise)
        explained = gaussian_log_likelihood(
            X[:1].expand(count * k, -1), z.flatten(0, 1) @ decoder.T + B, torch.tensor(math.log(SIGMA))
        ).view(count, k)
        given = Posterior(every.mean.detach(), every.log_var.detach()) if doubly else every
        log_w = log_weights(explained, kl_weight * log_standard_normal(z), kl_weight * log_normal(z, given))
        bound = doubly_reparameterised_bound(log_w, z, kl_weight) if doubly else importance_weighted_bound(log_w)
        torch.testing.assert_close(bound, importance_weighted_bound(log_w))
        mean, log_var, by_decoder = torch.autograd.grad(bound.sum(), [*q, decoder])
        return torch.cat((mean, log_var), 1), by_decoder

    plain, by_decoder = gradients(doubly=False)
    doubly, by_decoder_too = gradients(doubly=True)
    difference = doubly - plain
    standard_error = difference.std(0) / math.sqrt(count)
    assert torch.all(difference.mean(0).abs() < 4 * standard_error)
    torch.testing.assert_close(by_decoder_too, by_decoder)
    if kl_weight == 1.0:
        assert torch.all(doubly.var(0) < plain.var(0))
