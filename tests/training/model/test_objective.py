"""The equations, against sampling, finite differences and other people's code."""

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from training.model import objective
from training.model.objective import Posterior


def posterior(rows: int = 3, latent: int = 4, *, seed: int = 0) -> Posterior:
    draws = torch.Generator().manual_seed(seed)
    return Posterior(
        torch.randn(rows, latent, generator=draws, dtype=torch.float64),
        torch.randn(rows, latent, generator=draws, dtype=torch.float64),
    )


def draws_of(q: Posterior, count: int) -> Tensor:
    """[count, rows, latent]"""
    noise = torch.randn(count, *q.mean.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return objective.reparameterise(q, noise)


def test_the_closed_form_kl_is_what_sampling_finds() -> None:
    q = posterior()
    z = draws_of(q, 200_000)
    samples = objective.log_normal(z, q) - objective.log_standard_normal(z)  # [count, rows]
    standard_error = samples.std(0) / math.sqrt(len(samples))
    assert torch.all((objective.kl_to_standard_normal(q) - samples.mean(0)).abs() < 4 * standard_error)


def test_kl_is_torchs_kl() -> None:
    q = posterior()
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(q.mean, torch.exp(q.log_var / 2)), torch.distributions.Normal(0.0, 1.0)
    ).sum(1)
    torch.testing.assert_close(objective.kl_to_standard_normal(q), expected)


def test_the_kl_of_the_prior_itself_is_zero() -> None:
    q = Posterior(torch.zeros(2, 3), torch.zeros(2, 3))
    assert objective.kl_to_standard_normal(q).tolist() == [0.0, 0.0]


def test_kl_per_latent_sums_to_the_kl() -> None:
    q = posterior()
    torch.testing.assert_close(objective.kl_to_standard_normal_per_latent(q).sum(1), objective.kl_to_standard_normal(q))


def test_both_estimates_of_the_kl_to_a_learned_prior_average_to_the_closed_form() -> None:
    # With N(0, I) in the place of the learned prior the closed form is known.
    q = posterior()
    z = draws_of(q, 200_000)
    log_prior = objective.log_standard_normal(z)
    exact = objective.kl_to_standard_normal(q)
    with_entropy = -objective.entropy(q) - log_prior
    for samples in (with_entropy, objective.kl_at_draw(q, z, log_prior)):
        standard_error = samples.std(0) / math.sqrt(len(samples))
        assert torch.all((samples.mean(0) - exact).abs() < 4 * standard_error)
    torch.testing.assert_close(objective.kl_to_learned_prior(q, log_prior[0]), with_entropy[0])


def test_a_reparameterised_draw_has_the_standard_deviation_of_its_log_variance() -> None:
    q = Posterior(torch.zeros(1, 1), torch.full((1, 1), math.log(9.0)))
    assert objective.reparameterise(q, torch.ones(1, 1)).item() == pytest.approx(3.0)


def test_the_gradient_passes_through_a_draw_as_finite_differences_say() -> None:
    q = posterior(rows=1)
    noise = torch.randn(1, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def value(mean: Tensor, log_var: Tensor) -> Tensor:
        return objective.reparameterise(Posterior(mean, log_var), noise).pow(3).sum()

    inputs = [part.clone().requires_grad_() for part in q]
    exact = torch.autograd.grad(value(*inputs), inputs)
    step = 1e-6
    for which in range(2):
        for index in range(4):
            nudge = [torch.zeros(1, 4, dtype=torch.float64) for _ in range(2)]
            nudge[which][0, index] = step
            above = value(*(part + change for part, change in zip(q, nudge, strict=True)))
            below = value(*(part - change for part, change in zip(q, nudge, strict=True)))
            assert exact[which][0, index].item() == pytest.approx((above - below).item() / (2 * step), rel=1e-6)


def test_the_densities_of_latents_are_scipys() -> None:
    q = posterior(rows=1)
    z = np.array([0.3, -1.0, 2.0, 0.0])
    expected = scipy.stats.norm.logpdf(z, q.mean[0].numpy(), np.exp(q.log_var[0].numpy() / 2)).sum()
    assert objective.log_normal(torch.tensor(z), q).item() == pytest.approx(expected)
    assert objective.log_standard_normal(torch.tensor(z)).item() == pytest.approx(scipy.stats.norm.logpdf(z).sum())


def test_the_entropy_is_torchs() -> None:
    q = posterior()
    expected = torch.distributions.Normal(q.mean, torch.exp(q.log_var / 2)).entropy().sum(1)
    torch.testing.assert_close(objective.entropy(q), expected)


def test_one_importance_sample_is_the_elbo_at_that_draw() -> None:
    weights = objective.log_weights(torch.tensor([[-5.0]]), torch.tensor([[-2.0]]), torch.tensor([[-1.0]]))
    assert objective.importance_weighted_bound(weights).tolist() == [-6.0]


def test_the_importance_weighted_bound_survives_weights_beyond_the_range_of_exp() -> None:
    weights = torch.tensor([[-2000.0, -2000.0]])
    assert objective.importance_weighted_bound(weights).item() == pytest.approx(-2000.0)
