"""The convolutional networks: the encoder halves the image once per width, and the decoder doubles it as often."""

from typing import cast

from torch import Tensor, nn
from torch.nn.functional import pad

from training.config.config import ConvArchitecture
from training.model.networks.layers import ResidualBlock, activation, downsample, upsample


class ConvEncoder(nn.Module):
    """x [rows, C, H, W] -> features [rows, hidden]."""

    def __init__(self, architecture: ConvArchitecture, item_shape: tuple[int, ...]) -> None:
        super().__init__()
        channels, height, width = item_shape
        grid = _grid(architecture, item_shape)
        scale = 2 ** len(architecture.widths)
        self.padding = (0, grid[1] * scale - width, 0, grid[0] * scale - height)  # right and below
        layers: list[nn.Module] = []
        for wider, blocks in zip(architecture.widths, architecture.residual_blocks, strict=True):
            layers.append(downsample(channels, wider))
            layers.extend(_blocks(blocks, wider, architecture))
            layers.append(activation(architecture.activation))
            channels = wider
        layers.append(nn.Flatten())
        layers.append(nn.Linear(channels * grid[0] * grid[1], architecture.hidden))
        layers.append(activation(architecture.activation))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        if any(self.padding):
            x = pad(x, self.padding)
        return cast(Tensor, self.layers(x))


class ConvDecoder(nn.Module):
    """z [rows, latent] -> [rows, C, H, W]; the last layer has no bias, because the model adds one per pixel."""

    def __init__(self, architecture: ConvArchitecture, item_shape: tuple[int, ...], latent_size: int) -> None:
        super().__init__()
        self.item_shape = item_shape
        grid = _grid(architecture, item_shape)
        widths = architecture.decoder_widths or architecture.widths
        blocks = architecture.decoder_blocks or architecture.residual_blocks
        layers: list[nn.Module] = [
            nn.Linear(latent_size, architecture.hidden),
            activation(architecture.activation),
            nn.Linear(architecture.hidden, widths[-1] * grid[0] * grid[1]),
            nn.Unflatten(1, (widths[-1], *grid)),
        ]
        narrowing = (*reversed(widths[:-1]), item_shape[0])
        for level, narrower in enumerate(narrowing):
            channels, last = widths[-1 - level], level == len(narrowing) - 1
            layers.extend(_blocks(blocks[-1 - level], channels, architecture))
            layers.append(activation(architecture.activation))
            layers.append(
                upsample(
                    channels,
                    narrower,
                    how=architecture.upsampling,
                    kernel=architecture.last_kernel if last else 4,
                    bias=not last,
                )
            )
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        _, height, width = self.item_shape
        out = cast(Tensor, self.layers(z))
        return out if out.shape[2:] == (height, width) else out[:, :, :height, :width]


def _blocks(count: int, channels: int, architecture: ConvArchitecture) -> list[nn.Module]:
    return [
        ResidualBlock(channels, architecture.activation, convolutions=architecture.block_convolutions)
        for _ in range(count)
    ]


def _grid(architecture: ConvArchitecture, item_shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width after the last halving, rounded up."""
    scale = 2 ** len(architecture.widths)
    return -(-item_shape[1] // scale), -(-item_shape[2] // scale)
