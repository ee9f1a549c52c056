"""Importance sampling, compared with a model whose log p(x) is known: x ~ N(0, W' W + sigma^2 I)."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from server.core.batching.batcher import Batcher
from server.core.batching.offload import Offload
from server.core.batching.scheduler import Scheduler
from server.core.batching.ticket import drive
from server.core.call import Call
from server.core.likelihood import Gaussian
from server.core.spec import Spec
from server.core.vae import score as scoring
from server.core.vae.score import effective_samples, importance_weighted, score
from server.core.vae.vae import Vae
from server.errors import DeadlineExceeded, QueueFull

LATENT, SIZE, SIGMA = 2, 5, 0.5
RANDOM = np.random.default_rng(7)
W = RANDOM.standard_normal((LATENT, SIZE)).astype(np.float32)
X = (RANDOM.standard_normal((6, LATENT)) @ W + SIGMA * RANDOM.standard_normal((6, SIZE))).astype(np.float32)
PRECISION = np.eye(LATENT) + W @ W.T / SIGMA**2  # of p(z | x)


def encode(x: np.ndarray) -> tuple[np.ndarray, ...]:
    """The true posterior's mean, and 1.3 times its variances."""
    mean = x @ W.T @ np.linalg.inv(PRECISION).T / SIGMA**2
    log_var = np.log(1.3 * np.diag(np.linalg.inv(PRECISION)))
    return mean.astype(np.float32), np.tile(log_var.astype(np.float32), (len(x), 1))


GRAPHS = {
    "encoder": encode,
    "decoder": lambda z: (z @ W,),
    # The learned prior of these tests computes N(0, I) by a graph.
    "prior_log_density": lambda z: ((-0.5 * (z**2).sum(1) - 0.5 * LATENT * math.log(2 * math.pi)).astype(np.float32),),
}


def make_vae(*, learned_prior: bool, max_queued_rows: int = 10**6) -> Vae:
    spec = Spec(
        digest="d",
        embedding_space="e",
        item_shape=(SIZE,),
        value_range=None,
        latent_size=LATENT,
        likelihood=Gaussian(SIGMA),
        learned_prior=learned_prior,
        sampling_version=1,
        metrics={},
        elbo_percentiles={"mean": np.linspace(-5, 0, 101), "draw": np.linspace(-20, 0, 101)},
        nll_percentiles={},
        kl_percentiles={},
    )
    batchers = {
        name: Batcher(
            graph, scheduler=Scheduler(max_batch_rows=32, max_queued_rows=max_queued_rows, max_queued_bytes=10**8)
        )
        for name, graph in GRAPHS.items()
    }
    return Vae(spec, batchers)


@pytest.fixture(params=[False, True], ids=["standard normal prior", "learned prior"])
def vae(request) -> Iterator[Vae]:
    made = make_vae(learned_prior=request.param)
    yield made
    for batcher in made._batchers.values():
        batcher.close()


@pytest.fixture
def offload() -> Iterator[Offload]:
    made = Offload(threads=1, deliver=lambda work: work())
    yield made
    made.close()


def scored(vae, offload, items=X, *, samples, seed=3, first_row=0, deadline=math.inf):
    call = Call(deadline, priority="bulk")
    coroutine = score(vae, items, samples=samples, seed=seed, first_row=first_row, call=call, offload=offload)
    return drive(coroutine).wait(60.0)


def evidence() -> np.ndarray:
    """log p(x) in closed form; [rows]."""
    covariance = W.T @ W + SIGMA**2 * np.eye(SIZE)
    quadratic = np.einsum("ri,ij,rj->r", X, np.linalg.inv(covariance), X)
    return -0.5 * (quadratic + np.linalg.slogdet(covariance)[1] + SIZE * math.log(2 * math.pi))


def test_the_estimate_is_log_p_of_x(vae, offload):
    result = scored(vae, offload, samples=4000)
    # The effective sample size gives the error: four standard errors of the logarithm of a mean.
    allowed = 4 * np.sqrt(1 / result.effective_samples - 1 / 4000).max()
    assert allowed < 0.1
    np.testing.assert_allclose(result.log_evidence, evidence(), atol=allowed)


def test_the_elbo_lies_below_by_the_kl_to_the_true_posterior(vae, offload):
    """Eq. 8."""
    result = scored(vae, offload, samples=10_000)
    variances = 1.3 * np.diag(np.linalg.inv(PRECISION))
    kl = 0.5 * (
        np.trace(PRECISION @ np.diag(variances)) - LATENT - np.linalg.slogdet(PRECISION)[1] - np.log(variances).sum()
    )
    np.testing.assert_allclose(result.elbo, evidence() - kl, atol=0.05)
    np.testing.assert_allclose(result.elbo_percentile, vae.percentile(result.elbo, "draw"))


def test_one_sample_makes_the_estimate_the_elbo(vae, offload):
    result = scored(vae, offload, samples=1)
    np.testing.assert_array_equal(result.log_evidence, result.elbo)
    np.testing.assert_array_equal(result.effective_samples, 1.0)


def test_a_row_scores_the_same_alone_in_a_page_and_in_blocks_of_any_size(vae, offload, monkeypatch):
    whole = scored(vae, offload, samples=200)
    alone = scored(vae, offload, X[3:4], samples=200, first_row=3)
    monkeypatch.setattr(scoring, "DECODES_AT_ONCE", 5)  # fewer than there are rows
    pieces = scored(vae, offload, samples=200)
    for field in ("log_evidence", "elbo", "effective_samples"):
        assert getattr(whole, field)[3:4].tobytes() == getattr(alone, field).tobytes()
        assert getattr(whole, field).tobytes() == getattr(pieces, field).tobytes()


@pytest.mark.parametrize(("rows", "draws"), [(1, 1), (1, 1000), (512, 3), (513, 2), (700, 64)])
def test_blocks_hold_every_draw_of_every_row_once_and_stay_small(rows, draws):
    seen = np.zeros((rows, draws), int)
    for block in scoring.blocks(rows=rows, draws=draws):
        part = seen[block.rows, block.draws.start : block.draws.stop]
        assert part.size <= scoring.DECODES_AT_ONCE
        part += 1
    assert (seen == 1).all()


def test_weights_too_small_for_a_float_are_summed_by_their_logarithms():
    weights = np.array([[-2000.0, -2000.0 + math.log(3.0)], [5.0, -math.inf], [-math.inf, -math.inf]])
    np.testing.assert_allclose(importance_weighted(weights), [-2000.0 + math.log(2.0), 5.0 - math.log(2.0), -math.inf])
    np.testing.assert_allclose(effective_samples(weights), [16 / 10, 1.0, 0.0])


def test_an_item_that_no_draw_explains_has_log_evidence_minus_infinity(vae, offload):
    result = scored(vae, offload, np.full((1, SIZE), 1.5e19, np.float32), samples=3)
    assert (result.log_evidence[0], result.elbo_percentile[0]) == (-math.inf, 0.0)


def test_a_passed_deadline_and_a_full_queue_end_scoring(offload):
    small = make_vae(learned_prior=False, max_queued_rows=100)
    with pytest.raises(DeadlineExceeded):
        scored(small, offload, samples=1, deadline=-math.inf)
    with pytest.raises(QueueFull):
        scored(small, offload, samples=200)
    for batcher in small._batchers.values():
        batcher.close()
