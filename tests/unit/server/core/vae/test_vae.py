"""The model's mathematics over batchers whose graphs are plain numpy."""

from collections.abc import Iterator

import numpy as np
import pytest

from server.core.batching.batcher import Batcher
from server.core.batching.scheduler import Scheduler
from server.core.batching.ticket import drive
from server.core.call import Call
from server.core.likelihood import Bernoulli
from server.core.spec import Spec
from server.core.vae.vae import Posterior, Vae

LATENT = 2
SHIFT = 0.5  # the learned prior of these tests is N(SHIFT, I)


def decode(z: np.ndarray) -> tuple[np.ndarray, ...]:
    logits = np.repeat(z, 2, axis=1).reshape(-1, 1, 2, 2)
    return 1 / (1 + np.exp(-logits)), logits


GRAPHS = {
    "encoder": lambda x: (x.reshape(-1, 4)[:, :2] * 4 - 2, x.reshape(-1, 4)[:, 2:] - 1),
    "decoder": decode,
    "prior": lambda eps: (eps + np.float32(SHIFT),),
    "prior_log_density": lambda z: (-0.5 * ((z - SHIFT) ** 2).sum(1) - LATENT * 0.5 * np.log(2 * np.pi),),
}


@pytest.fixture(params=[False, True], ids=["standard normal prior", "learned prior"])
def vae(request) -> Iterator[Vae]:
    spec = Spec(
        digest="d",
        embedding_space="e",
        item_shape=(1, 2, 2),
        value_range=(0.0, 1.0),
        latent_size=LATENT,
        likelihood=Bernoulli(),
        learned_prior=request.param,
        sampling_version=1,
        metrics={},
        elbo_percentiles={"mean": np.linspace(-5, 0, 101), "draw": np.linspace(-8, 0, 101)},
        nll_percentiles={},
        kl_percentiles={},
    )
    batchers = {
        name: Batcher(graph, scheduler=Scheduler(max_batch_rows=4, max_queued_rows=10**4, max_queued_bytes=10**7))
        for name, graph in GRAPHS.items()
    }
    yield Vae(spec, batchers)
    for batcher in batchers.values():
        batcher.close()


def done(coroutine):
    return drive(coroutine).wait(10.0)


def call() -> Call:
    return Call(float("inf"))


def items(rows: int = 6) -> np.ndarray:
    return np.random.default_rng(1).random((rows, 1, 2, 2)).astype(np.float32)


def test_sampled_latents_follow_the_prior(vae):
    drawn = done(vae.sample(rows=4000, seed=1, first_row=0, temperature=1.0, call=call()))
    shift = SHIFT if vae.spec.learned_prior else 0.0
    np.testing.assert_allclose(drawn.latents().mean(axis=0), shift, atol=0.07)  # 4 standard errors of 1/sqrt(4000)
    np.testing.assert_allclose(drawn.latents().std(axis=0), 1.0, atol=0.05)
    np.testing.assert_array_equal(drawn.decoded.logits, decode(drawn.latents())[1])


def test_temperature_scales_the_noise_of_the_prior(vae):
    cold = done(vae.sample(rows=5, seed=1, first_row=0, temperature=0.0, call=call()))
    np.testing.assert_array_equal(cold.latents(), SHIFT if vae.spec.learned_prior else 0.0)


def test_closed_form_kl_agrees_with_monte_carlo():
    """Eq. 14 against E_q[log q - log p]."""
    posterior = Posterior(np.array([[0.7, -1.2]], np.float32), np.array([[0.4, -1.5]], np.float32))
    noise = np.random.default_rng(0).standard_normal((400_000, LATENT)).astype(np.float32)
    many = Posterior(np.repeat(posterior.mean, len(noise), 0), np.repeat(posterior.log_var, len(noise), 0))
    log_p = -0.5 * (many.at(noise) ** 2).sum(1) - LATENT * 0.5 * np.log(2 * np.pi)
    ratios = many.log_density(noise) - log_p
    error = ratios.std() / np.sqrt(len(ratios))
    assert posterior.kl_to_standard_normal()[0] == pytest.approx(ratios.mean(), abs=4 * error)


def test_reparameterised_draws_have_the_posteriors_moments(vae):
    """Eq. 11: std is exp(log_var / 2), not exp(log_var)."""
    rows = 20_000
    posterior = Posterior(np.full((rows, 2), 3.0, np.float32), np.full((rows, 2), np.log(4.0), np.float32))
    drawn = vae.draws(posterior, draws=2, seed=4, first_row=0)
    assert drawn.shape == (rows, 2, LATENT)
    np.testing.assert_allclose(drawn.mean(axis=0), 3.0, atol=0.06)
    np.testing.assert_allclose(drawn.std(axis=0), 2.0, atol=0.05)


def test_reconstruct_is_encode_then_decode_and_its_elbo_adds_up(vae):
    x = items()
    posterior = done(vae.encode(x, call=call()))
    result = done(vae.reconstruct(x, latent="mean", seed=3, first_row=0, call=call()))
    np.testing.assert_array_equal(result.decoded.mean, done(vae.decode(posterior.mean, call=call())).mean)
    np.testing.assert_allclose(result.elbo, -result.reconstruction_nll - result.kl, rtol=1e-6)
    np.testing.assert_array_equal(result.kl, done(vae.kl(posterior, seed=3, first_row=0, call=call())))


def test_reconstruct_decodes_draw_0_of_encode_under_the_same_seed(vae):
    x = items()
    posterior = done(vae.encode(x, call=call()))
    z = vae.draws(posterior, draws=1, seed=3, first_row=10)[:, 0]
    result = done(vae.reconstruct(x, latent="draw", seed=3, first_row=10, call=call()))
    np.testing.assert_array_equal(result.decoded.mean, done(vae.decode(z, call=call())).mean)


def test_percentiles_are_read_from_the_table_of_the_latent_mode(vae):
    low = vae.percentile(np.array([-100.0, -4.0, 5.0], np.float32), "mean")
    np.testing.assert_allclose(low, [0.0, 20.0, 100.0], atol=1e-4)
    np.testing.assert_allclose(vae.percentile(np.array([-4.0], np.float32), "draw"), [50.0], atol=1e-4)
