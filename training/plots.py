"""The pictures of a model card. Files carry no date and no metadata: equal models give equal bytes."""

from pathlib import Path

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, cat

SMALLEST_SIDE = 96  # pixels: small items are magnified until they can be seen
GAP = 4
PAPER = 255


def grid(file: Path, items: Tensor, *, columns: int) -> None:
    """Items [N, C, H, W] in 0..1, row by row, each magnified without smoothing."""
    pixels = np.rint(items.clamp(0, 1).numpy() * 255).astype(np.uint8)  # [N, C, H, W]
    factor = max(1, -(-SMALLEST_SIDE // max(pixels.shape[2:])))
    pixels = pixels.repeat(factor, axis=2).repeat(factor, axis=3)
    count, channels, height, width = pixels.shape
    lines = -(-count // columns)
    sheet = np.full((lines * (height + GAP) + GAP, columns * (width + GAP) + GAP, channels), PAPER, np.uint8)
    for index, item in enumerate(pixels):
        top, left = GAP + index // columns * (height + GAP), GAP + index % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = item.transpose(1, 2, 0)
    _image(sheet).save(file, format="PNG", optimize=False)


def pairs(file: Path, originals: Tensor, reconstructions: Tensor, *, columns: int) -> None:
    """Lines of originals, each above the line of its reconstructions; both [N, C, H, W] in 0..1."""
    paper = originals.new_ones((-len(originals) % columns, *originals.shape[1:]))  # fills the last line
    originals, reconstructions = cat((originals, paper)), cat((reconstructions, paper))
    lines = []
    for start in range(0, len(originals), columns):
        lines += [originals[start : start + columns], reconstructions[start : start + columns]]
    grid(file, cat(lines), columns=columns)


def bars(file: Path, values: tuple[float, ...], *, title: str, horizontal: str, vertical: str) -> None:
    """One bar a value, in descending order."""
    with mpl.style.context("default"):  # whatever the user has set for other plots
        figure = Figure(figsize=(8, 3.2), dpi=100, layout="constrained")
        axes = figure.subplots()
        axes.bar(range(1, len(values) + 1), sorted(values, reverse=True), color="#35618f", width=0.8)
        axes.set(title=title, xlabel=horizontal, ylabel=vertical, xlim=(0, len(values) + 1))
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(file, format="png", metadata={"Software": None})


def _image(sheet: NDArray[np.uint8]) -> Image.Image:
    if sheet.shape[2] == 1:
        return Image.fromarray(sheet[:, :, 0])
    return Image.fromarray(sheet)
