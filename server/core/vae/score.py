"""Estimates log p(x) of items by importance sampling from q(z | x) (Eq. 6, 7; docs/explanation/theory.md)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from server.core.arrays import Doubles, Floats
from server.core.batching.offload import Offload
from server.core.call import Call
from server.core.likelihood import DecoderOutput, Likelihood
from server.core.noise import Noise, Purpose, draw
from server.core.vae.vae import Posterior, Vae

DECODES_AT_ONCE = 512  # enough to fill several batches, small beside a request's own rows


@dataclass(frozen=True, slots=True)
class Scores:
    """How probable each item is under the model."""

    log_evidence: Floats  # [rows], nats: the estimate of log p(x)
    elbo: Floats  # [rows], nats: the mean log weight
    elbo_percentile: Floats  # [rows], 0..100
    effective_samples: Floats  # [rows], 1..samples


@dataclass(frozen=True, slots=True)
class Block:
    """A range of draws for a range of rows, decoded together."""

    rows: slice
    draws: range


async def score(
    vae: Vae, items: Floats, *, samples: int, seed: int, first_row: int, call: Call, offload: Offload
) -> Scores:
    """Score items [rows, *item] with `samples` draws from the posterior of each.

    Draw d of a row equals draw d of Encode under the same seed. A row's weights are collected first and then summed in
    the order of its draws. So a score depends neither on the other rows nor on how the work is cut into blocks.
    """
    posterior = await vae.encode(items, call=call)
    weights: Doubles = np.empty((len(items), samples))  # log w, nats
    for block in blocks(rows=len(items), draws=samples):
        here = Posterior(posterior.mean[block.rows], posterior.log_var[block.rows])
        noise = _noise(here, block.draws, seed=seed, first_row=first_row + block.rows.start)
        repeated = Posterior(*(np.tile(part, (len(block.draws), 1)) for part in (here.mean, here.log_var)))
        z = repeated.at(noise)
        log_prior = await vae.log_prior(z, call=call)
        decoded = await vae.decode(z, call=call)
        # Offloaded, since it costs a good part of what decoding costs and would delay other calls.
        block_weights = await offload.run(
            partial(
                _log_weights,
                items[block.rows],
                vae.spec.likelihood,
                decoded,
                log_prior=log_prior,
                log_posterior=repeated.log_density(noise),
            )
        )
        weights[block.rows, block.draws.start : block.draws.stop] = block_weights
    elbo = weights.mean(axis=1).astype(np.float32)
    return Scores(
        log_evidence=importance_weighted(weights).astype(np.float32),
        elbo=elbo,
        elbo_percentile=vae.percentile(elbo, "draw"),
        effective_samples=effective_samples(weights).astype(np.float32),
    )


def blocks(*, rows: int, draws: int) -> Iterator[Block]:
    """Cut rows x draws into blocks of at most DECODES_AT_ONCE; each draw of each row is in one block."""
    for first in range(0, rows, DECODES_AT_ONCE):
        some = slice(first, min(first + DECODES_AT_ONCE, rows))
        step = DECODES_AT_ONCE // (some.stop - some.start)
        for start in range(0, draws, step):
            yield Block(some, range(start, min(start + step, draws)))


def importance_weighted(weights: Doubles) -> Doubles:
    """log (1/k) sum_i w_i from log weights [rows, k]; [rows] (Burda et al. 2016, arXiv 1509.00519)."""
    greatest = _greatest(weights)
    with np.errstate(divide="ignore"):  # a row whose weights are all 0
        return np.asarray(np.log(np.exp(weights - greatest).mean(axis=1)) + greatest[:, 0])


def effective_samples(weights: Doubles) -> Doubles:
    """(sum w)^2 / sum w^2 from log weights [rows, k]; [rows], 1..k, or 0 where all w are 0 (Kish 1965)."""
    relative = np.exp(weights - _greatest(weights))
    squares = (relative**2).sum(axis=1)
    return np.asarray(relative.sum(axis=1) ** 2 / np.where(squares > 0.0, squares, 1.0))


def _greatest(weights: Doubles) -> Doubles:
    """The greatest log weight of each row, or 0 if all are minus infinity; [rows, 1]."""
    greatest = weights.max(axis=1, keepdims=True)
    return np.where(np.isfinite(greatest), greatest, 0.0)


def _noise(posterior: Posterior, draws: range, *, seed: int, first_row: int) -> Floats:
    """The noise of a range of draws for every row, draw by draw; [draws * rows, latent]."""
    rows, size = posterior.mean.shape
    first = Noise(seed=seed, purpose=Purpose.POSTERIOR, first_row=first_row, rows=rows, size=size)
    return draw([first.of_draw(number) for number in draws])


def _log_weights(
    items: Floats, likelihood: Likelihood, decoded: DecoderOutput, *, log_prior: Floats, log_posterior: Floats
) -> Doubles:
    """log p(x | z) + log p(z) - log q(z | x) in nats; [rows, draws]. The arguments hold all items draw by draw."""
    draws = len(log_prior) // len(items)
    nll = likelihood.nll(np.tile(items, (draws, *(1 for _ in items.shape[1:]))), decoded)
    weights = log_prior.astype(np.float64) - nll - log_posterior
    return np.asarray(weights.reshape(draws, len(items)).T)
