"""The likelihoods' negative logarithm and draws, compared with scipy."""

import numpy as np
import pytest
from scipy import stats

from server.core.likelihood import Bernoulli, DecoderOutput, Gaussian

RANDOM = np.random.default_rng(0)
SCALED = Gaussian(0.3, tuple(float(value) for value in range(1, 26)))


def decoded(rows: int = 6) -> DecoderOutput:
    logits = RANDOM.normal(0, 4, (rows, 1, 5, 5)).astype(np.float32)
    return DecoderOutput(1 / (1 + np.exp(-logits)), logits)


def test_bernoulli_nll_is_that_of_scipy():
    d = decoded()
    x = (RANDOM.random(d.mean.shape) < 0.5).astype(np.float32)
    expected = -stats.bernoulli(d.mean.astype(np.float64)).logpmf(x).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(Bernoulli().nll(x, d), expected, rtol=1e-4)


def test_bernoulli_nll_stays_finite_at_extreme_logits():
    logits = np.array([[1000.0, -1000.0]], np.float32)
    d = DecoderOutput((logits > 0).astype(np.float32), logits)
    np.testing.assert_array_equal(Bernoulli().nll(np.array([[1.0, 0.0]], np.float32), d), [0.0])
    np.testing.assert_array_equal(Bernoulli().nll(np.array([[0.0, 0.0]], np.float32), d), [1000.0])


def test_gaussian_nll_is_that_of_scipy():
    d = decoded()
    x = RANDOM.random(d.mean.shape).astype(np.float32)
    expected = -stats.norm(d.mean.astype(np.float64), 0.3).logpdf(x).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(Gaussian(0.3).nll(x, d), expected, rtol=1e-5)


def test_with_a_scale_every_value_has_its_own_deviation():
    scale = (1e6, 1.0, 1e-4)
    mean = (RANDOM.normal(size=(6, 3)) * scale).astype(np.float32)
    x = (mean + RANDOM.normal(size=(6, 3)) * 0.3 * np.array(scale)).astype(np.float32)
    expected = -stats.norm(mean.astype(np.float64), 0.3 * np.array(scale)).logpdf(x).sum(axis=1)
    np.testing.assert_allclose(Gaussian(0.3, scale).nll(x, DecoderOutput(mean, None)), expected, rtol=1e-4)
    drawn = Gaussian(0.3, scale).draw(np.zeros((20_000, 3), np.float32), seed=1, first_row=0)
    np.testing.assert_allclose(drawn.std(axis=0), 0.3 * np.array(scale), rtol=0.02)  # 4 standard errors


def test_an_extreme_value_has_an_infinite_nll_and_causes_no_warning():
    wild = np.array([[3e38, 0.0, 0.0], [0.0, 0.0, 0.0]], np.float32)
    nll = Gaussian(0.3, (1.0, 1e-4, 1.0)).nll(wild, DecoderOutput(np.zeros((2, 3), np.float32), None))
    assert nll[0] == np.inf
    assert np.isfinite(nll[1])


def test_a_scale_of_ones_is_no_scale():
    d = decoded()
    x = RANDOM.random(d.mean.shape).astype(np.float32)
    ones = Gaussian(0.3, (1.0,) * 25)
    np.testing.assert_array_equal(ones.nll(x, d), Gaussian(0.3).nll(x, d))
    np.testing.assert_array_equal(
        ones.draw(d.mean, seed=1, first_row=0), Gaussian(0.3).draw(d.mean, seed=1, first_row=0)
    )


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.3)])
def test_draws_have_the_mean_of_the_decoder(likelihood):
    mean = np.full((20_000, 3), 0.3, np.float32)
    drawn = likelihood.draw(mean, seed=1, first_row=0)
    np.testing.assert_allclose(drawn.mean(axis=0), 0.3, atol=0.015)  # 4 standard errors of 0.46/sqrt(20000)


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.3), SCALED])
def test_a_drawn_row_is_the_same_alone_and_among_others(likelihood):
    mean = decoded(8).mean
    whole = likelihood.draw(mean, seed=9, first_row=100)
    alone = likelihood.draw(mean[3:4], seed=9, first_row=103)
    assert whole[3].tobytes() == alone[0].tobytes()


@pytest.mark.parametrize("likelihood", [Bernoulli(), Gaussian(0.3), SCALED])
def test_a_rows_nll_is_the_same_alone_and_among_others(likelihood):
    d = decoded(8)
    x = RANDOM.random(d.mean.shape).astype(np.float32)
    whole = likelihood.nll(x, d)
    alone = likelihood.nll(x[3:4], DecoderOutput(d.mean[3:4], d.logits[3:4]))
    assert whole[3].tobytes() == alone[0].tobytes()
