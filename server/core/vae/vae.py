"""A variational autoencoder: runs its graphs through their batchers and does the mathematics between them.

Methods that run graphs are coroutines that await tickets; `ticket.drive` runs them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from server.core.arrays import Floats, row_sums
from server.core.batching.batcher import Batcher
from server.core.call import Call
from server.core.likelihood import DecoderOutput
from server.core.noise import Noise, Purpose, Rows, concatenate, normals
from server.core.spec import LatentMode, Spec


@dataclass(slots=True)
class Posterior:
    """q(z | x): a diagonal Gaussian for each row (Eq. 10)."""

    mean: Final[Floats]  # [rows, latent]
    log_var: Final[Floats]  # [rows, latent]

    def at(self, noise: Floats) -> Floats:
        """z = mean + std * noise with std = exp(log_var / 2), by reparameterisation (Eq. 11); [rows, latent]."""
        return np.asarray(self.mean + np.exp(0.5 * self.log_var) * noise, np.float32)

    def kl_to_standard_normal(self) -> Floats:
        """KL(q || N(0, I)) in nats, in closed form (Eq. 14); [rows]."""
        return 0.5 * row_sums(np.exp(self.log_var) + self.mean**2 - 1.0 - self.log_var)

    def log_density(self, noise: Floats) -> Floats:
        """log q(z | x) in nats at z = mean + std * noise; [rows]."""
        return -0.5 * row_sums(noise**2 + self.log_var + math.log(2 * math.pi))


@dataclass(slots=True)
class Samples:
    """Items drawn from the model, with their latents."""

    z: Final[Rows]
    decoded: Final[DecoderOutput]

    def latents(self) -> Floats:
        """The decoded latents [rows, latent]. Noise is drawn again, with the same result."""
        return concatenate([self.z])


@dataclass(frozen=True, slots=True)
class Reconstructions:
    """Items decoded from their latents, with the terms of their ELBO."""

    decoded: DecoderOutput
    reconstruction_nll: Floats  # [rows], nats
    kl: Floats  # [rows], nats
    elbo: Floats  # [rows], nats
    elbo_percentile: Floats  # [rows], 0..100


class Vae:
    """The mathematics of one model version, computed by the batchers of its graphs."""

    def __init__(self, spec: Spec, batchers: Mapping[str, Batcher]) -> None:
        """`batchers` by graph name: encoder, decoder and, with a learned prior, prior and prior_log_density."""
        self.spec = spec
        self._batchers = batchers

    async def sample(self, *, rows: int, seed: int, first_row: int, temperature: float, call: Call) -> Samples:
        """Draw z from the prior and decode it (Eq. 5)."""
        z: Rows = Noise(
            seed=seed,
            purpose=Purpose.PRIOR,
            first_row=first_row,
            rows=rows,
            size=self.spec.latent_size,
            deviation=temperature,
        )
        if self.spec.learned_prior:
            (z,) = await self._batchers["prior"].submit(z, call)
        decoded = await self.decode(z, call=call)
        return Samples(z, decoded)

    async def decode(self, latents: Rows, *, call: Call) -> DecoderOutput:
        """The parameters of p(x | z) for latents [rows, latent]."""
        mean, *logits = await self._batchers["decoder"].submit(latents, call)
        return DecoderOutput(mean, logits[0] if logits else None)

    async def encode(self, items: Floats, *, call: Call) -> Posterior:
        """q(z | x) for items [rows, *item]."""
        mean, log_var = await self._batchers["encoder"].submit(items, call)
        return Posterior(mean, log_var)

    def draws(self, posterior: Posterior, *, draws: int, seed: int, first_row: int) -> Floats:
        """Draws from q(z | x): [rows, draws, latent]."""
        noises = (self._noise(posterior, seed=seed, first_row=first_row, draw=draw) for draw in range(draws))
        return np.stack([posterior.at(noise) for noise in noises], axis=1)

    async def kl(self, posterior: Posterior, *, seed: int, first_row: int, call: Call) -> Floats:
        """KL(q(z | x) || p(z)) in nats [rows]: in closed form, or with a learned prior at the first draw."""
        if not self.spec.learned_prior:
            return posterior.kl_to_standard_normal()
        noise = self._noise(posterior, seed=seed, first_row=first_row)
        log_prior = await self.log_prior(posterior.at(noise), call=call)
        return np.asarray(posterior.log_density(noise) - log_prior, np.float32)

    async def log_prior(self, latents: Floats, *, call: Call) -> Floats:
        """log p(z) in nats of latents [rows, latent]; [rows]."""
        if not self.spec.learned_prior:
            with np.errstate(over="ignore"):  # extreme latents overflow: log p is minus infinity
                return -0.5 * row_sums(latents**2 + np.float32(math.log(2 * math.pi)))
        (log_density,) = await self._batchers["prior_log_density"].submit(latents, call)
        return np.asarray(log_density, np.float32)

    async def reconstruct(
        self, items: Floats, *, latent: LatentMode, seed: int, first_row: int, call: Call
    ) -> Reconstructions:
        """Encode items [rows, *item], decode one latent of each, and score it: ELBO = log p(x | z) - KL (Eq. 9)."""
        posterior = await self.encode(items, call=call)
        z = posterior.mean
        if latent == "draw":
            z = posterior.at(self._noise(posterior, seed=seed, first_row=first_row))
        decoded = await self.decode(z, call=call)
        kl = await self.kl(posterior, seed=seed, first_row=first_row, call=call)
        nll = self.spec.likelihood.nll(items, decoded)
        elbo = -nll - kl
        return Reconstructions(decoded, nll, kl, elbo, self.percentile(elbo, latent))

    def percentile(self, elbo: Floats, latent: LatentMode) -> Floats:
        """The percentile of ELBOs [rows] among held-out rows scored at the same latent mode; [rows], 0..100."""
        table = self.spec.elbo_percentiles[latent]
        return np.interp(elbo, table, np.linspace(0.0, 100.0, len(table))).astype(np.float32)

    def _noise(self, posterior: Posterior, *, seed: int, first_row: int, draw: int = 0) -> Floats:
        rows, size = posterior.mean.shape
        return normals(seed=seed, purpose=Purpose.POSTERIOR, first_row=first_row, rows=rows, size=size, draw=draw)
