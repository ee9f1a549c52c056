"""p(x | z) against scipy."""

import numpy as np
import pytest
from scipy import stats

from server.core.likelihood import Bernoulli, Decoded, Gaussian

RANDOM = np.random.default_rng(0)


def decoded(rows: int = 6) -> Decoded:
    logits = RANDOM.normal(0, 4, (rows, 1, 5, 5)).astype(np.float32)
    return Decoded(1 / (1 + np.exp(-logits)), logits)


def test_bernoulli_nll_is_that_of_scipy():
    d = decoded()
    x = (RANDOM.random(d.mean.shape) < 0.5).astype(np.float32)
    expected = -stats.bernoulli(d.mean.astype(np.float64)).logpmf(x).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(Bernoulli().nll(x, d), expected, rtol=1e-4)


def test_bernoulli_nll_stays_finite_at_extreme_logits():
    logits = np.array([[1000.0, -1000.0]], np.float32)
    d = Decoded((logits > 0).astype(np.float32), logits)
    np.testing.assert_array_equal(Bernoulli().nll(np.array([[1.0, 0.0]], np.float32), d), [0.0])
    np.testing.assert_array_equal(Bernoulli().nll(np.array([[0.0, 0.0]], np.float32), d), [1000.0])


def test_gaussian_nll_is_that_of_scipy():
    d = decoded()
    x = RANDOM.random(d.mean.shape).astype(np.float32)
    expected = -stats.norm(d.mean.astype(np.float64), 0.3).logpdf(x).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(Gaussian(0.3).nll(x, d), expected, rtol=1e-5)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.3)])
def test_draws_have_the_mean_they_were_given(likelihood):
    mean = np.full((20_000, 3), 0.3, np.float32)
    drawn = likelihood.draw(mean, seed=1, first_row=0)
    np.testing.assert_allclose(drawn.mean(axis=0), 0.3, atol=0.015)  # 4 standard errors of 0.46/sqrt(20000)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.3)])
def test_a_drawn_row_is_the_same_in_any_company(likelihood):
    mean = decoded(8).mean
    whole = likelihood.draw(mean, seed=9, first_row=100)
    alone = likelihood.draw(mean[3:4], seed=9, first_row=103)
    assert whole[3].tobytes() == alone[0].tobytes()


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.3)])
def test_a_rows_nll_is_the_same_in_any_company(likelihood):
    d = decoded(8)
    x = RANDOM.random(d.mean.shape).astype(np.float32)
    whole = likelihood.nll(x, d)
    alone = likelihood.nll(x[3:4], Decoded(d.mean[3:4], d.logits[3:4]))
    assert whole[3].tobytes() == alone[0].tobytes()
