"""Noise is replayable, and has the distribution it should have."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from server.core.noise import Noise, Purpose, draw, inverse_normal_cdf, normals, uniforms

SEEDS = st.integers(0, 2**63 - 1)


@given(
    seed=SEEDS,
    first_row=st.integers(0, 2**48 - 100),
    rows=st.integers(1, 40),
    size=st.integers(1, 70),
    data=st.data(),
)
def test_a_row_is_the_same_however_the_rows_are_paged(seed, first_row, rows, size, data):
    address = {"seed": seed, "purpose": Purpose.PRIOR, "size": size}
    whole = normals(first_row=first_row, rows=rows, **address)
    cut = data.draw(st.integers(0, rows))
    pages = [(first_row, cut), (first_row + cut, rows - cut)]
    paged = np.concatenate([normals(first_row=first, rows=n, **address) for first, n in pages if n])
    assert whole.tobytes() == paged.tobytes()


ADDRESSES = st.builds(
    Noise,
    seed=SEEDS,
    purpose=st.sampled_from(Purpose),
    first_row=st.integers(0, 2**48 - 10),
    rows=st.integers(1, 10),
    size=st.just(21),
)


@given(st.lists(ADDRESSES, min_size=1, max_size=8))
def test_noise_drawn_together_equals_noise_drawn_alone(noises):
    def alone(noise: Noise) -> np.ndarray:
        address = {"seed": noise.seed, "purpose": noise.purpose, "first_row": noise.first_row}
        return normals(rows=noise.rows, size=noise.size, **address)

    assert np.concatenate([alone(noise) for noise in noises]).tobytes() == draw(noises).tobytes()


def test_counters_above_64_bits_give_the_same_noise_by_both_functions():
    """The counter of row 2^48 - 1 of the longest items needs more than 64 bits."""
    address = {"seed": 5, "purpose": Purpose.OUTPUT, "first_row": 2**48 - 1, "rows": 1, "size": 8 * 2**16 + 1}
    assert normals(**address).tobytes() == draw([Noise(**address)]).tobytes()


def test_a_slice_of_noise_draws_those_rows_of_the_whole():
    noise = Noise(seed=5, purpose=Purpose.PRIOR, first_row=7, rows=10, size=3, deviation=0.5)
    assert (len(noise[2:6]), noise[2:6].nbytes) == (4, draw([noise])[2:6].nbytes)
    assert draw([noise])[2:6].tobytes() == draw([noise[2:6]]).tobytes()


def test_every_noise_has_its_own_deviation():
    noise = {"seed": 5, "purpose": Purpose.PRIOR, "first_row": 0, "rows": 2, "size": 3}
    standard = normals(**noise)
    expected = np.concatenate([np.float32(0.3) * standard, np.float32(2.0) * standard])
    assert expected.tobytes() == draw([Noise(**noise, deviation=0.3), Noise(**noise, deviation=2.0)]).tobytes()


@pytest.mark.parametrize("changed", [{"seed": 6}, {"purpose": Purpose.OUTPUT}, {"draw": 1}, {"first_row": 1000}])
def test_other_seeds_purposes_draws_and_rows_give_other_noise(changed):
    address = {"seed": 5, "purpose": Purpose.PRIOR, "draw": 0, "first_row": 0, "rows": 100, "size": 40}
    base, other = normals(**address), normals(**{**address, **changed})
    # 4,000 pairs: independent streams correlate by 1/sqrt(4000) = 0.016
    assert abs(np.corrcoef(base.ravel(), other.ravel())[0, 1]) < 0.06


def test_sampling_version_1_is_these_numbers():
    got = normals(seed=5, purpose=Purpose.PRIOR, first_row=7, rows=1, size=5)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got[0], np.array(GOLDEN_ROW, np.float32))


# Recorded once from this call. If it changes, every stored seed gives other rows: raise the sampling version.
GOLDEN_ROW = [-0.35062554478645325, 0.2006106674671173, -0.11852448433637619, 0.7589222192764282, 1.8940845727920532]


def test_normals_are_normal():
    sample = normals(seed=1, purpose=Purpose.PRIOR, first_row=0, rows=5000, size=40)
    assert stats.kstest(sample.ravel(), "norm").pvalue > 0.01
    assert abs(np.corrcoef(sample, rowvar=False) - np.eye(40)).max() < 0.06  # 1/sqrt(5000) = 0.014


def test_uniforms_fill_the_open_interval():
    u = uniforms(seed=1, purpose=Purpose.OUTPUT, first_row=0, rows=5000, size=40)
    assert 0.0 < u.min() < 1e-4
    assert 1 - 1e-4 < u.max() < 1.0
    assert stats.kstest(u.ravel(), "uniform").pvalue > 0.01


def test_the_inverse_normal_cdf_agrees_with_scipy_to_single_precision():
    u = np.concatenate([np.linspace(2**-33, 1 - 2**-33, 200_001), np.geomspace(2**-33, 0.1, 1000)])
    # Near z = 0 the comparison is absolute: relative error means nothing there.
    np.testing.assert_allclose(inverse_normal_cdf(u), special.ndtri(u), rtol=2e-7, atol=1e-9)


def test_inverse_transform_sampling_of_an_exponential_follows_its_distribution():
    """The simplest example of Eq. 3 and 4: -log(1 - u) / rate."""
    u = uniforms(seed=3, purpose=Purpose.OUTPUT, first_row=0, rows=2000, size=10)
    assert stats.kstest((-np.log1p(-u) / 2.5).ravel(), stats.expon(scale=1 / 2.5).cdf).pvalue > 0.01
