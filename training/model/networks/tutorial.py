"""The tutorial's network: the Keras example `variational_autoencoder_deconv`, layer by layer.

With 64 filters, 128 hidden units and 64 latents it has 3,450,502 parameters for 28x28 grey images, as the tutorial
says. The Keras example has 3,433,990. A second dense layer in the encoder (128 -> 128) has the missing 16,512; the
tutorial does not say where it is, so its place is our guess.
"""

from typing import cast

from torch import Tensor, nn
from torch.nn.functional import relu

from training.config.config import TutorialArchitecture
from training.errors import TrainingError
from training.model.networks import polyphase


class TutorialEncoder(nn.Module):
    """x [rows, C, H, W] -> features [rows, hidden]."""

    def __init__(self, architecture: TutorialArchitecture, item_shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, grid = item_shape[0], _grid(item_shape)
        filters, hidden = architecture.filters, architecture.hidden
        self.layers = nn.Sequential(
            nn.ZeroPad2d((0, 1, 0, 1)),  # Keras pads an even kernel on the right and below
            nn.Conv2d(channels, channels, 2),
            nn.ReLU(),
            nn.Conv2d(channels, filters, 2, stride=2),
            nn.ReLU(),
            nn.Conv2d(filters, filters, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(filters, filters, 3, padding=1),
            nn.ReLU(),
            FlattenChannelsLast(),
            nn.Linear(filters * grid[0] * grid[1], hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.layers(x))


class TutorialDecoder(nn.Module):
    """z [rows, latent] -> [rows, C, H, W]."""

    def __init__(self, architecture: TutorialArchitecture, item_shape: tuple[int, ...], latent_size: int) -> None:
        super().__init__()
        channels, grid = item_shape[0], _grid(item_shape)
        filters, hidden = architecture.filters, architecture.hidden
        self.layers = nn.Sequential(
            nn.Linear(latent_size, hidden),
            nn.ReLU(),
            nn.Linear(hidden, filters * grid[0] * grid[1]),
            nn.ReLU(),
            UnflattenChannelsLast(filters, grid),
            nn.ConvTranspose2d(filters, filters, 3, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(filters, filters, 3, padding=1),
            nn.ReLU(),
            Doubling(filters, channels),
        )

    def forward(self, z: Tensor) -> Tensor:
        return cast(Tensor, self.layers(z))


class Doubling(nn.Module):
    """The decoder's last two layers, which double the image: h [rows, filters, h, w] -> [rows, C, 2h, 2w]."""

    def __init__(self, filters: int, channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(filters, filters, 3, stride=2)
        self.last = nn.Conv2d(filters, channels, 2)

    def forward(self, h: Tensor) -> Tensor:
        if polyphase.is_faster(h):
            phases = polyphase.transposed_convolution(h, self.up)
            return polyphase.convolution({parity: relu(phase) for parity, phase in phases.items()}, self.last)
        return cast(Tensor, self.last(relu(self.up(h))))


class FlattenChannelsLast(nn.Module):
    """[rows, C, h, w] -> [rows, h * w * C], Keras's order; no copy if the memory format is channels_last."""

    def forward(self, h: Tensor) -> Tensor:
        return h.permute(0, 2, 3, 1).flatten(1)


class UnflattenChannelsLast(nn.Module):
    """[rows, h * w * C] -> [rows, C, h, w], the inverse of FlattenChannelsLast."""

    def __init__(self, channels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.shape = (*grid, channels)

    def forward(self, h: Tensor) -> Tensor:
        return h.view(-1, *self.shape).permute(0, 3, 1, 2)


def _grid(item_shape: tuple[int, ...]) -> tuple[int, int]:
    _, height, width = item_shape
    if height % 2 or width % 2:
        raise TrainingError(
            f"preset seed takes images of even height and width, got {height}x{width}; use preset default, which pads"
        )
    return height // 2, width // 2
