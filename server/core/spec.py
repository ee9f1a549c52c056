"""The spec of a model version: shapes, ranges, likelihood and digests that requests are checked against."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from server.core.arrays import Doubles
from server.core.likelihood import Likelihood

LatentMode: TypeAlias = Literal["mean", "draw"]


@dataclass(frozen=True, slots=True)
class Spec:
    """What request handlers know of a model version."""

    digest: str
    embedding_space: str
    item_shape: tuple[int, ...]  # [C, H, W] for images, [D] for tables
    value_range: tuple[float, float] | None  # None when unbounded
    latent_size: int
    likelihood: Likelihood
    learned_prior: bool
    sampling_version: int
    metrics: Mapping[str, float]
    # Percentiles 0..100 over held-out rows: [101] nats, not decreasing.
    elbo_percentiles: Mapping[LatentMode, Doubles]
    nll_percentiles: Mapping[LatentMode, Doubles]
    kl_percentiles: Mapping[LatentMode, Doubles]

    @property
    def item_size(self) -> int:
        return math.prod(self.item_shape)

    @property
    def is_image(self) -> bool:
        return len(self.item_shape) == 3
