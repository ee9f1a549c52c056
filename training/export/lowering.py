"""Lowering, before export: layers are replaced by equivalent ones that onnxruntime runs faster."""

import copy
from typing import cast

from torch import nn


def lower_layers(module: nn.Module) -> nn.Module:
    """A copy of `module` in which every transposed convolution of stride 1 is an ordinary one.

    Those of stride 2 stay: on a CPU neither a convolution per phase nor a sub-pixel convolution was faster
    (docs/decisions/0007).
    """
    module = copy.deepcopy(module)
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.ConvTranspose2d) and _is_convolution(child):
                setattr(parent, name, _convolution(child))
    return module


def _is_convolution(layer: nn.ConvTranspose2d) -> bool:
    return layer.stride == (1, 1) and layer.dilation == (1, 1) and layer.output_padding == (0, 0) and layer.groups == 1


def _convolution(layer: nn.ConvTranspose2d) -> nn.Conv2d:
    """The convolution that equals a transposed one of stride 1; its kernel is flipped.

    y[o, i] = sum over c and k of W[c, o, k] x[c, i + p - k].
    """
    height, width = layer.kernel_size
    padding = cast(tuple[int, int], layer.padding)
    same = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        (height, width),
        padding=(height - 1 - padding[0], width - 1 - padding[1]),
        bias=layer.bias is not None,
    )
    same.weight.data = layer.weight.data.flip(2, 3).transpose(0, 1).contiguous()
    if layer.bias is not None:
        assert same.bias is not None
        same.bias.data = layer.bias.data.clone()
    return same.requires_grad_(False).eval()
