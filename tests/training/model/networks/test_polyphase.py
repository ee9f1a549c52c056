"""Polyphase computation gives the same numbers as the layers it replaces."""

import pytest
import torch
from torch import Tensor, nn

from training.model.networks import polyphase
from training.model.networks.tutorial import Doubling

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def draw(*shape: int, layout: torch.memory_format = torch.contiguous_format) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).contiguous(memory_format=layout)


def phases(picture: Tensor) -> polyphase.Phases:
    return {(a, b): picture[:, :, a::2, b::2] for a, b in polyphase.PARITIES}


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kernel", [2, 3, 4, 6])
def test_the_phases_are_those_of_the_transposed_convolution(
    kernel: int, bias: bool, layout: torch.memory_format
) -> None:
    layer = nn.ConvTranspose2d(5, 3, kernel, stride=2, bias=bias).to(memory_format=layout)  # type: ignore[call-overload]
    x = draw(2, 5, 7, 4, layout=layout)
    found = polyphase.transposed_convolution(x, layer)
    for parity, expected in phases(layer(x)).items():
        torch.testing.assert_close(found[parity], expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_convolution_of_the_phases_is_that_of_the_image(
    channels: int, bias: bool, layout: torch.memory_format
) -> None:
    layer = nn.Conv2d(6, channels, 2, bias=bias).to(memory_format=layout)  # type: ignore[call-overload]
    picture = draw(2, 6, 9, 7, layout=layout)
    torch.testing.assert_close(polyphase.convolution(phases(picture), layer), layer(picture), atol=1e-6, rtol=1e-5)


def test_the_tutorial_decoder_takes_phases_in_bf16_only_with_the_same_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer, h = Doubling(8, 1), draw(4, 8, 3, 3)
    assert not polyphase.is_faster(h)
    assert polyphase.is_faster(h.bfloat16())

    def learned() -> list[Tensor]:
        out = layer(h)
        return [out, *torch.autograd.grad(out.square().sum(), list(layer.parameters()))]

    expected = learned()
    monkeypatch.setattr(polyphase, "is_faster", lambda h: True)
    for in_phases, whole in zip(learned(), expected, strict=True):
        torch.testing.assert_close(in_phases, whole, atol=1e-5, rtol=1e-5)
