"""Drawing of the model card's PNG files, without dates or other metadata: equal values give equal bytes."""

from pathlib import Path
from typing import BinaryIO

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, cat

SMALLEST_SIDE = 96  # pixels; smaller images are magnified
GAP = 4  # pixels between images
PAPER = 255  # the grey value of the background
INK, FILL = "#35618f", "#c9c4b8"
LONGEST_NAME = 30  # characters of a column's name that are shown


def grid(file: Path | BinaryIO, items: Tensor, *, columns: int) -> None:
    """Draw images [N, C, H, W] in 0..1 in lines of `columns`, magnified without smoothing."""
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


def pairs(file: Path | BinaryIO, originals: Tensor, reconstructions: Tensor, *, columns: int) -> None:
    """Draw lines of originals, each above the line of their reconstructions; both [N, C, H, W] in 0..1."""
    paper = originals.new_ones((-len(originals) % columns, *originals.shape[1:]))  # white images fill the last line
    originals, reconstructions = cat((originals, paper)), cat((reconstructions, paper))
    lines = []
    for start in range(0, len(originals), columns):
        lines += [originals[start : start + columns], reconstructions[start : start + columns]]
    grid(file, cat(lines), columns=columns)


def bars(file: Path | BinaryIO, values: tuple[float, ...], *, title: str, horizontal: str, vertical: str) -> None:
    """Draw one bar per value, in descending order."""
    with mpl.style.context("default"):  # the user's own settings must not change the file
        figure = Figure(figsize=(8, 3.2), dpi=100, layout="constrained")
        axes = figure.subplots()
        axes.bar(range(1, len(values) + 1), sorted(values, reverse=True), color=INK, width=0.8)
        axes.set(title=title, xlabel=horizontal, ylabel=vertical, xlim=(0, len(values) + 1))
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(file, format="png", metadata={"Software": None})


def histograms(file: Path | BinaryIO, real: Tensor, sampled: Tensor, *, names: tuple[str, ...]) -> None:
    """Draw a panel for each named column, with the densities of real [N, D] (filled) and sampled [M, D] (a line)."""
    with mpl.style.context("default"):
        figure, panels = _panels(names)
        for index, axes in enumerate(panels):
            edges = np.histogram_bin_edges(real[:, index].double().numpy(), bins=40).tolist()
            for values, look in (
                (real, {"color": FILL}),
                (sampled, {"color": INK, "histtype": "step", "linewidth": 1.4}),
            ):
                axes.hist(values[:, index].double().numpy(), edges, density=True, **look)
            axes.set_yticks([])
        figure.savefig(file, format="png", metadata={"Software": None})


def agreement(file: Path | BinaryIO, originals: Tensor, reconstructions: Tensor, *, names: tuple[str, ...]) -> None:
    """Draw a panel for each named column, with the diagonal and a dot per row.

    The dot's x is the value in originals [N, D], its y that in reconstructions [N, D].
    """
    with mpl.style.context("default"):
        figure, panels = _panels(names)
        for index, axes in enumerate(panels):
            axes.scatter(originals[:, index], reconstructions[:, index], s=4, color=INK, alpha=0.4, linewidths=0)
            axes.axline((float(originals[0, index]),) * 2, slope=1, color=FILL, linewidth=1, zorder=0)
        figure.savefig(file, format="png", metadata={"Software": None})


def _panels(names: tuple[str, ...]) -> tuple[Figure, list[Axes]]:
    """A figure with one empty panel per name."""
    across = min(4, len(names))
    lines = -(-len(names) // across)
    figure = Figure(figsize=(2.5 * across, 2.2 * lines), dpi=100, layout="constrained")
    every = figure.subplots(lines, across, squeeze=False).flatten()
    for axes in every[len(names) :]:
        axes.remove()
    panels = list(every[: len(names)])
    for axes, name in zip(panels, names, strict=True):
        axes.set_title(name[:LONGEST_NAME], fontsize=8, parse_math=False)
        axes.tick_params(labelsize=6)
        axes.xaxis.get_offset_text().set_fontsize(6)
        axes.yaxis.get_offset_text().set_fontsize(6)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _image(sheet: NDArray[np.uint8]) -> Image.Image:
    if sheet.shape[2] == 1:
        return Image.fromarray(sheet[:, :, 0])
    return Image.fromarray(sheet)
