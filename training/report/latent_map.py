"""LatentMap: posterior means projected on the two directions in which they vary most."""

from dataclasses import dataclass

import torch
from torch import Tensor

MOST_CLASSES = 20  # more colours cannot be told apart


@dataclass(frozen=True, slots=True)
class LatentMap:
    """A two-dimensional view of posterior means."""

    points: Tensor  # float64 [rows, 2]
    labels: Tensor | None  # int64 [rows]
    explained: float  # the fraction of the total variance in these two directions, 0..1

    @property
    def classes(self) -> tuple[int, ...]:
        """The labels in order, each of which gets a colour; empty without labels or with more than MOST_CLASSES."""
        names = () if self.labels is None else tuple(sorted(set(self.labels.tolist())))
        return names if len(names) <= MOST_CLASSES else ()


def project(means: Tensor, labels: Tensor | None) -> LatentMap:
    """Project means [rows, latent] on their first two principal components; a single latent gives points on a line."""
    centred = means.double() - means.double().mean(0)
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(centred))  # ascending
    axes = directions[:, -2:].flip(1)  # [latent, 1 or 2]
    # The sign of an eigenvector is arbitrary; make its largest component positive, so that equal runs give equal maps.
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    points = torch.zeros(len(means), 2, dtype=torch.float64)
    points[:, : axes.shape[1]] = centred @ axes
    return LatentMap(points, labels, float(variances[-2:].sum() / variances.sum().clamp(min=1e-300)))
