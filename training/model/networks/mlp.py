"""The dense networks, for small images and for tables."""

import math
from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from training.config.config import MlpArchitecture
from training.model.networks.layers import activation


class MlpEncoder(nn.Module):
    """x [rows, *item] -> features [rows, last width]."""

    def __init__(self, architecture: MlpArchitecture, item_shape: tuple[int, ...]) -> None:
        super().__init__()
        sizes = (math.prod(item_shape), *architecture.hidden)
        self.layers = nn.Sequential(nn.Flatten(), *_dense(sizes, architecture))

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.layers(x))


class MlpDecoder(nn.Module):
    """z [rows, latent] -> [rows, *item]; the last layer has no bias, because the model adds one per dimension."""

    def __init__(self, architecture: MlpArchitecture, item_shape: tuple[int, ...], latent_size: int) -> None:
        super().__init__()
        sizes = (latent_size, *reversed(architecture.hidden))
        self.layers = nn.Sequential(
            *_dense(sizes, architecture),
            nn.Linear(sizes[-1], math.prod(item_shape), bias=False),
            nn.Unflatten(1, item_shape),
        )

    def forward(self, z: Tensor) -> Tensor:
        return cast(Tensor, self.layers(z))


def _dense(sizes: tuple[int, ...], architecture: MlpArchitecture) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for size, following in pairwise(sizes):
        layers += [nn.Linear(size, following), activation(architecture.activation)]
    return layers
