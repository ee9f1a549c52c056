"""p(x | z) against torch.distributions and scipy."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from training.model.likelihood import bernoulli_log_likelihood, gaussian_log_likelihood

DRAWS = torch.Generator().manual_seed(0)
LOGITS = torch.randn(4, 1, 3, 5, generator=DRAWS, dtype=torch.float64) * 4
X = torch.rand(4, 1, 3, 5, generator=DRAWS, dtype=torch.float64)


def test_the_bernoulli_log_likelihood_is_torchs() -> None:
    x = (X > 0.5).double()
    expected = torch.distributions.Bernoulli(logits=LOGITS).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(bernoulli_log_likelihood(x, LOGITS), expected)


def test_on_grey_values_it_is_the_negative_cross_entropy() -> None:
    expected = -torch.nn.functional.binary_cross_entropy_with_logits(LOGITS, X, reduction="none").flatten(1).sum(1)
    torch.testing.assert_close(bernoulli_log_likelihood(X, LOGITS), expected)


def test_certain_logits_stay_finite() -> None:
    logits = torch.tensor([[200.0, -200.0]])
    assert bernoulli_log_likelihood(torch.tensor([[1.0, 0.0]]), logits).item() == 0.0
    assert bernoulli_log_likelihood(torch.tensor([[0.0, 1.0]]), logits).item() == pytest.approx(-400.0)


def test_the_gaussian_log_likelihood_is_scipys() -> None:
    sigma = 0.3
    expected = scipy.stats.norm.logpdf(X.numpy(), LOGITS.numpy(), sigma).reshape(4, -1).sum(1)
    got = gaussian_log_likelihood(X, LOGITS, torch.tensor(math.log(sigma), dtype=torch.float64))
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12)


def test_the_best_sigma_is_the_root_mean_square_error() -> None:
    error = (X - LOGITS).square().mean().sqrt().item()
    at_best, narrower, wider = (
        gaussian_log_likelihood(X, LOGITS, torch.tensor(math.log(error * factor), dtype=torch.float64)).sum().item()
        for factor in (1.0, 0.9, 1.1)
    )
    assert at_best > narrower
    assert at_best > wider
