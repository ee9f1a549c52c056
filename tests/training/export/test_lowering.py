"""Lowered layers compute the same as the originals."""

from collections import Counter

import onnx
import pytest
import torch
from torch import nn

from training.config.resolve import resolve
from training.export.graphs import to_onnx
from training.export.lowering import lower_layers
from training.model.vae import Vae
from training.randomness import generator


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize(("kernel", "padding"), [(3, 1), (3, 0), ((5, 2), (2, 1)), (1, 0)], ids=str)
def test_a_transposed_convolution_of_stride_1_becomes_a_convolution(
    kernel: int | tuple[int, int], padding: int | tuple[int, int], bias: bool
) -> None:
    layer = nn.ConvTranspose2d(3, 5, kernel, padding=padding, bias=bias)
    x = torch.randn(2, 3, 6, 7, generator=generator(0, "weights"))
    (same,) = lower_layers(nn.Sequential(layer)).children()
    assert type(same) is nn.Conv2d
    torch.testing.assert_close(same(x), layer(x), rtol=0, atol=1e-5)


def test_other_transposed_convolutions_and_the_model_itself_stay() -> None:
    model = nn.Sequential(
        nn.ConvTranspose2d(4, 4, 4, stride=2), nn.ConvTranspose2d(4, 4, 3, groups=2), nn.ConvTranspose2d(4, 4, 3)
    )
    kinds = [type(layer) for layer in lower_layers(model).children()]
    assert kinds == [nn.ConvTranspose2d, nn.ConvTranspose2d, nn.Conv2d]
    assert {type(layer) for layer in model.children()} == {nn.ConvTranspose2d}


def test_the_exported_tutorial_decoder_transposes_once() -> None:
    flags = {"latent_size": 4, "architecture": {"filters": 4, "hidden": 8}}
    graph = onnx.load_from_string(
        to_onnx(Vae(resolve(name="seed", file=None, flags=flags), (1, 8, 8)), "decoder")
    ).graph
    assert Counter(node.op_type for node in graph.node)["ConvTranspose"] == 1
