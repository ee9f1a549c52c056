"""Grids of images that travel inside the page."""

import base64
import tempfile
from collections.abc import Callable
from html import escape
from pathlib import Path

from torch import Tensor, cat

from training.export import plots


def grid(items: Tensor, *, columns: int, alt: str) -> str:
    """Items [N, C, H, W] in 0..1, row by row."""
    return _image(lambda file: plots.grid(file, items, columns=columns), alt)


def pairs(originals: Tensor, reconstructions: Tensor, *, columns: int, alt: str) -> str:
    """Lines of originals above lines of their reconstructions; both [N, C, H, W] in 0..1."""
    return _image(lambda file: plots.pairs(file, originals, reconstructions, columns=columns), alt)


def histograms(real: Tensor, sampled: Tensor, *, names: tuple[str, ...], alt: str) -> str:
    """A panel for each of the first columns of real [N, D] and sampled [M, D], named."""
    return _image(lambda file: plots.histograms(file, real, sampled, names=names), alt)


def agreement(originals: Tensor, reconstructions: Tensor, *, names: tuple[str, ...], alt: str) -> str:
    """The same of reconstructions over originals, both [N, D]."""
    return _image(lambda file: plots.agreement(file, originals, reconstructions, names=names), alt)


def paths(lines: tuple[Tensor, ...], *, alt: str) -> str:
    """One line of images [N, C, H, W] under the other."""
    return grid(cat(lines), columns=len(lines[0]), alt=alt)


def _image(draw: Callable[[Path], None], alt: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture.png"
        draw(file)
        content = base64.b64encode(file.read_bytes()).decode()
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{content}">'
