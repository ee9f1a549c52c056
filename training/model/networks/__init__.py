"""The networks inside encoder and decoder, one architecture per file; `build` makes those of a configuration."""

from dataclasses import dataclass

from torch import nn

from training.config.config import Architecture, ConvArchitecture, MlpArchitecture, require
from training.datasets.dataset import kind_of
from training.model.networks import conv, mlp, tutorial


@dataclass(frozen=True, slots=True)
class Bodies:
    """The networks inside encoder and decoder."""

    encoder: nn.Module  # x [rows, *item] -> features [rows, features]
    features: int
    decoder: nn.Module  # z [rows, latent] -> [rows, *item]
    item_bias: bool  # whether the model adds a bias per pixel to the decoder's output


def build(architecture: Architecture, item_shape: tuple[int, ...], latent_size: int) -> Bodies:
    """Build the networks of an architecture. Raises TrainingError if it cannot take items of this shape."""
    require(
        isinstance(architecture, MlpArchitecture) or kind_of(item_shape) == "image",
        f"architecture {architecture.kind} takes images, not the rows of a table; use --preset table",
    )
    if isinstance(architecture, ConvArchitecture):
        encoder: nn.Module = conv.ConvEncoder(architecture, item_shape)
        return Bodies(encoder, architecture.hidden, conv.ConvDecoder(architecture, item_shape, latent_size), True)
    if isinstance(architecture, MlpArchitecture):
        encoder = mlp.MlpEncoder(architecture, item_shape)
        return Bodies(encoder, architecture.hidden[-1], mlp.MlpDecoder(architecture, item_shape, latent_size), True)
    encoder = tutorial.TutorialEncoder(architecture, item_shape)
    return Bodies(encoder, architecture.hidden, tutorial.TutorialDecoder(architecture, item_shape, latent_size), False)
