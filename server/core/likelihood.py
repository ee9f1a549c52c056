"""p(x | z): how well decoded rows explain items, and draws from it (Eq. 5)."""

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from server.core.arrays import Floats, row_sums
from server.core.latent import Purpose, normals, uniforms


@dataclass(frozen=True, slots=True)
class Decoded:
    """The decoder's parameters of p(x | z)."""

    mean: Floats  # [rows, *item]
    logits: Floats | None  # [rows, *item]; Bernoulli only


@dataclass(frozen=True, slots=True)
class Bernoulli:
    """x_d ~ Bernoulli(g_d(z)) for every value d of the item."""

    name = "bernoulli"
    sigma = None

    def nll(self, items: Floats, decoded: Decoded) -> Floats:
        """-log p(x | z) in nats [rows]; grey items give the cross-entropy.

        With logits l: sum over d of log(1 + exp(l)) - x l, which never overflows.
        """
        logits = decoded.logits
        assert logits is not None
        terms = np.maximum(logits, 0.0) + np.log1p(np.exp(-np.abs(logits))) - items * logits
        return row_sums(terms)

    def draw(self, mean: Floats, *, seed: int, first_row: int) -> Floats:
        """One draw from p(x | z) for each row: zeros and ones [rows, *item]."""
        rows, size = len(mean), math.prod(mean.shape[1:])
        u = uniforms(seed=seed, purpose=Purpose.OUTPUT, first_row=first_row, rows=rows, size=size)
        return (u.reshape(mean.shape) < mean).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Gaussian:
    """x ~ N(g(z), sigma^2 I) with one sigma for all values, in item units."""

    sigma: float
    name = "gaussian"

    def nll(self, items: Floats, decoded: Decoded) -> Floats:
        """-log p(x | z) in nats [rows]."""
        size = math.prod(items.shape[1:])
        squares = row_sums(((items - decoded.mean) / np.float32(self.sigma)) ** 2)
        return np.asarray(0.5 * squares + size * (math.log(self.sigma) + 0.5 * math.log(2 * math.pi)), np.float32)

    def draw(self, mean: Floats, *, seed: int, first_row: int) -> Floats:
        """One draw from p(x | z) for each row [rows, *item]; it may leave the value range."""
        rows, size = len(mean), math.prod(mean.shape[1:])
        noise = normals(seed=seed, purpose=Purpose.OUTPUT, first_row=first_row, rows=rows, size=size)
        return np.asarray(mean + np.float32(self.sigma) * noise.reshape(mean.shape), np.float32)


Likelihood: TypeAlias = Bernoulli | Gaussian
