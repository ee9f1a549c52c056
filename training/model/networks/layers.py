"""Layers that several architectures share: activations, residual blocks, down- and upsampling."""

from typing import cast

from torch import Tensor, nn

from training.config.config import Activation, Upsampling


def activation(name: Activation) -> nn.Module:
    return nn.SiLU() if name == "silu" else nn.ReLU()


class ResidualBlock(nn.Module):
    """x + conv(act(x)), or with two `convolutions` x + conv(act(conv(act(x)))), and so on.

    The convolutions are 3x3 and keep the number of channels.
    """

    def __init__(self, channels: int, name: Activation, *, convolutions: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(convolutions):
            layers += [activation(name), nn.Conv2d(channels, channels, 3, padding=1)]
        self.change = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.change(x))

    def start_as_identity(self) -> None:
        """Set the last layer to zero, so that the block changes nothing before training: deep stacks need it."""
        last = cast(nn.Conv2d, self.change[-1])
        nn.init.zeros_(last.weight)
        nn.init.zeros_(cast(Tensor, last.bias))


def downsample(channels: int, wider: int) -> nn.Module:
    """[rows, channels, 2h, 2w] -> [rows, wider, h, w]."""
    return nn.Conv2d(channels, wider, 4, stride=2, padding=1)


def upsample(channels: int, narrower: int, *, how: Upsampling, kernel: int = 4, bias: bool = True) -> nn.Module:
    """[rows, channels, h, w] -> [rows, narrower, 2h, 2w].

    `transposed` is a transposed convolution with an even kernel. `subpixel` is a 3x3 convolution to four times the
    channels, which become 2x2 pixels (Shi et al. 2016, arXiv 1609.05158).
    """
    if how == "transposed":
        return nn.ConvTranspose2d(channels, narrower, kernel, stride=2, padding=kernel // 2 - 1, bias=bias)
    return nn.Sequential(nn.Conv2d(channels, 4 * narrower, 3, padding=1, bias=bias), nn.PixelShuffle(2))
