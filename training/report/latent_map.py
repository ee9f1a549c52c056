"""Latents in the plane: the two directions in which posterior means vary most."""

from dataclasses import dataclass

import torch
from torch import Tensor

MOST_CLASSES = 20  # more colours cannot be told apart


@dataclass(frozen=True, slots=True)
class LatentMap:
    """A two-dimensional view of posterior means."""

    points: Tensor  # float64 [rows, 2]
    labels: Tensor | None  # int64 [rows]
    explained: float  # the part of the total variance that is seen, 0..1

    @property
    def classes(self) -> tuple[int, ...]:
        """The labels that are told apart by colour, in order; none without labels or with too many."""
        names = () if self.labels is None else tuple(sorted(set(self.labels.tolist())))
        return names if len(names) <= MOST_CLASSES else ()


def project(means: Tensor, labels: Tensor | None) -> LatentMap:
    """The first two principal components of means [rows, latent]; one latent is drawn on a line."""
    centred = means.double() - means.double().mean(0)
    variances, directions = torch.linalg.eigh(centred.T @ centred / len(centred))  # ascending
    axes = directions[:, -2:].flip(1)  # [latent, 1 or 2]
    # An eigenvector's sign is the library's whim: let its largest component be positive.
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    points = torch.zeros(len(means), 2, dtype=torch.float64)
    points[:, : axes.shape[1]] = centred @ axes
    return LatentMap(points, labels, float(variances[-2:].sum() / variances.sum().clamp(min=1e-300)))
