"""A picture in blocks of 2x2 pixels gives the numbers that the picture gives."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle

from training.networks import blocks
from training.networks.tutorial import Doubling

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def draw(*shape: int, layout: torch.memory_format = torch.contiguous_format) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).contiguous(memory_format=layout)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kernel", [2, 3, 4, 6])
def test_a_doubled_picture_is_that_of_the_transposed_convolution(
    kernel: int, bias: bool, layout: torch.memory_format
) -> None:
    layer = nn.ConvTranspose2d(5, 3, kernel, stride=2, bias=bias).to(memory_format=layout)  # type: ignore[call-overload]
    x = draw(2, 5, 7, 4, layout=layout)
    expected = layer(x)
    pixels = pixel_shuffle(blocks.doubled(x, layer), 2)[:, :, : expected.shape[2], : expected.shape[3]]
    torch.testing.assert_close(pixels, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_convolved_picture_is_that_of_the_convolution(channels: int, bias: bool, layout: torch.memory_format) -> None:
    layer = nn.Conv2d(6, channels, 2, bias=bias).to(memory_format=layout)  # type: ignore[call-overload]
    x = draw(2, 24, 5, 4, layout=layout)
    torch.testing.assert_close(
        blocks.convolved(x, layer), layer(pixel_shuffle(x, 2)[:, :, :-1, :-1]), atol=1e-6, rtol=1e-5
    )


def test_the_tutorials_last_layers_take_blocks_in_bf16_only_and_learn_the_same_either_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer, h = Doubling(8, 1), draw(4, 8, 3, 3)
    assert not blocks.pay(h)
    assert blocks.pay(h.bfloat16())

    def learned() -> list[Tensor]:
        out = layer(h)
        return [out, *torch.autograd.grad(out.square().sum(), list(layer.parameters()))]

    pictures = learned()
    monkeypatch.setattr(blocks, "pay", lambda h: True)
    for in_blocks, expected in zip(learned(), pictures, strict=True):
        torch.testing.assert_close(in_blocks, expected, atol=1e-5, rtol=1e-5)
