"""The likelihood p(x | z): its negative logarithm, and draws from it (Eq. 5)."""

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from server.core.arrays import Floats, row_sums
from server.core.noise import Purpose, normals, uniforms


@dataclass(slots=True)
class DecoderOutput:
    """The decoder's parameters of p(x | z)."""

    mean: Final[Floats]  # [rows, *item]
    logits: Final[Floats | None]  # [rows, *item]; Bernoulli only


@dataclass(frozen=True, slots=True)
class Bernoulli:
    """x_d ~ Bernoulli(g_d(z)) for every value d of the item."""

    name = "bernoulli"
    sigma = None
    scale = None

    def nll(self, items: Floats, decoded: DecoderOutput) -> Floats:
        """-log p(x | z) in nats [rows]; for values between 0 and 1 it is the cross-entropy.

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
    """x_d ~ N(g_d(z), (sigma scale_d)^2): one sigma, in item units, or in units of each value's scale."""

    sigma: float
    scale: tuple[float, ...] | None = None  # one number per value of the item, row-major; None: all 1
    name = "gaussian"

    def nll(self, items: Floats, decoded: DecoderOutput) -> Floats:
        """-log p(x | z) in nats [rows]."""
        size = math.prod(items.shape[1:])
        with np.errstate(over="ignore"):  # extreme values of a table overflow: -log p is infinite
            squares = row_sums(((items - decoded.mean) / self._deviations(items.shape[1:])) ** 2)
        log_scale = 0.0 if self.scale is None else math.fsum(map(math.log, self.scale))
        log_volume = size * (math.log(self.sigma) + 0.5 * math.log(2 * math.pi)) + log_scale
        return np.asarray(0.5 * squares + log_volume, np.float32)

    def draw(self, mean: Floats, *, seed: int, first_row: int) -> Floats:
        """One draw from p(x | z) for each row [rows, *item]; values may lie outside the item's range."""
        rows, size = len(mean), math.prod(mean.shape[1:])
        noise = normals(seed=seed, purpose=Purpose.OUTPUT, first_row=first_row, rows=rows, size=size)
        return np.asarray(mean + self._deviations(mean.shape[1:]) * noise.reshape(mean.shape), np.float32)

    def _deviations(self, item_shape: tuple[int, ...]) -> Floats | np.float32:
        """The standard deviation of every value, [*item], or one number for all."""
        if self.scale is None:
            return np.float32(self.sigma)
        return np.array([self.sigma * scale for scale in self.scale], np.float32).reshape(item_shape)


Likelihood: TypeAlias = Bernoulli | Gaussian
