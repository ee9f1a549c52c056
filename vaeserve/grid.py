"""A grid of small pictures: an array [rows, channels, height, width] becomes one image."""

import math
from typing import TYPE_CHECKING

import numpy as np

from vaeserve.errors import InvalidInput
from vaeserve.tensors import Bytes, Items

if TYPE_CHECKING:
    from PIL.Image import Image

READABLE = 84  # pixels: small items are enlarged to about this edge
PADDING = 4  # pixels between items and around them
SEAM = 1  # pixels between an item and the one under it
BACKGROUND = 96  # the grey of padding and seams, 0..255


def picture(
    items: Items,
    *,
    under: Items | None = None,
    columns: int | None = None,
    scale: int | None = None,
    value_range: tuple[float, float] = (0.0, 1.0),
) -> "Image":
    """The items side by side, in reading order.

    items        [rows, channels, height, width], 1 or 3 channels: uint8, or floats in `value_range`
    under        as many items of the same shape, each shown right below its partner: reconstructions below inputs
    columns      items in a line; by default as many as make a square of items
    scale        edge of the square that shows one pixel of an item; by default larger for smaller items
    value_range  the floats shown as black and white; others are clipped

    Raises InvalidInput for shapes that are not pictures.
    """
    from PIL import Image

    layers = [_pixels(layer, value_range) for layer in (items, under) if layer is not None]
    rows, height, width, channels = layers[0].shape
    columns = columns or math.ceil(math.sqrt(rows))
    scale = scale or max(1, READABLE // max(height, width))
    lines = math.ceil(rows / columns)

    layer_height = height * scale + SEAM
    cell_height = layer_height * len(layers) - SEAM + PADDING
    cell_width = width * scale + PADDING
    size = (lines * cell_height + PADDING, columns * cell_width + PADDING, channels)
    canvas = np.full(size, BACKGROUND, np.uint8)
    for depth, layer in enumerate(layers):
        for row, item in enumerate(layer):
            top = (row // columns) * cell_height + PADDING + depth * layer_height
            left = (row % columns) * cell_width + PADDING
            enlarged = item.repeat(scale, axis=0).repeat(scale, axis=1)
            canvas[top : top + height * scale, left : left + width * scale] = enlarged
    return Image.fromarray(canvas[:, :, 0] if channels == 1 else canvas)


def _pixels(items: Items, value_range: tuple[float, float]) -> Bytes:
    """Items as [rows, height, width, channels], 0..255."""
    if items.ndim != 4 or items.shape[1] not in (1, 3) or 0 in items.shape:
        raise InvalidInput.field(
            "items", f"must be pictures [rows, 1 or 3 channels, height, width], got shape {list(items.shape)}"
        )
    if items.dtype == np.uint8:
        return items.astype(np.uint8, copy=False).transpose(0, 2, 3, 1)
    low, high = value_range
    scaled = np.clip((items - low) * (255.0 / (high - low)), 0, 255)
    return np.asarray(np.rint(scaled), np.uint8).transpose(0, 2, 3, 1)
