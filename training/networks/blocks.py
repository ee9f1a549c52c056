"""A picture as blocks of 2x2 pixels: [rows, C, 2h, 2w] written as [rows, 4C, h, w], channel c * 4 + row * 2 + column.

What doubles a picture, and what follows it, is then computed by ordinary convolutions on the small grid: the same
numbers, and on a CPU in bf16 several times faster, because oneDNN 3.12 has no quick kernel for a transposed convolution
of stride 2, nor for a convolution to so few channels.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear, pad, pixel_shuffle, pixel_unshuffle


def pay(x: Tensor) -> bool:
    """Whether blocks are the faster way to treat x. Never in an exported graph, which computes in fp32."""
    return x.dtype == torch.bfloat16 and x.device.type == "cpu"


def doubled(x: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
    """layer(x) as blocks, with zeros added below and on the right to fill the last ones.

    x [rows, C, h, w]; the layer has stride 2, no padding and a square kernel k, made even by a row and a column of
    zeros. Pixel 2i + a comes from input pixels i, i - 1, ... and kernel entries a, 2 + a, ...: a convolution with k / 2
    entries for either a.
    """
    half = (layer.kernel_size[0] + 1) // 2
    odd = 2 * half - layer.kernel_size[0]
    taps = pad(layer.weight, (0, odd, 0, odd)).view(*layer.weight.shape[:2], half, 2, half, 2).flip(2, 4)
    kernel = taps.permute(1, 3, 5, 0, 2, 4).flatten(0, 2)  # [in, out, half, 2, half, 2] -> [4 out, in, half, half]
    bias = None if layer.bias is None else layer.bias.repeat_interleave(4)
    return conv2d(x, kernel, bias, padding=half - 1)


def convolved(blocks: Tensor, layer: nn.Conv2d) -> Tensor:
    """layer(picture), a picture again, of a picture in blocks; the last row and column of pixels are not looked at.

    blocks [rows, 4C, h, w]; the layer has a 2x2 kernel and no padding; the result is [rows, out, 2h - 2, 2w - 2]. Pixel
    (a, b) of a block sees four pixels of a neighbourhood of 2x2 blocks: its kernel, moved by (a, b) within 4x4 pixels.
    """
    moved = [pad(layer.weight, (b, 2 - b, a, 2 - a)) for a in (0, 1) for b in (0, 1)]
    kernel = torch.stack([pixel_unshuffle(one, 2) for one in moved], dim=1)  # [out, 4, 4C, 2, 2]
    out, channels = kernel.shape[0], kernel.shape[2]
    # Every block times every entry of the kernel at once, [rows, h, w, 2, 2, 4 out]; then sum over the neighbourhood.
    each = linear(blocks.permute(0, 2, 3, 1), kernel.permute(3, 4, 0, 1, 2).reshape(16 * out, channels))
    each = each.view(*each.shape[:3], 2, 2, 4 * out).float()
    summed = each[:, :-1, :-1, 0, 0] + each[:, :-1, 1:, 0, 1] + each[:, 1:, :-1, 1, 0] + each[:, 1:, 1:, 1, 1]
    picture = pixel_shuffle(summed.permute(0, 3, 1, 2), 2)
    return picture if layer.bias is None else picture + layer.bias.view(-1, 1, 1)
