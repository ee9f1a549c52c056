"""A picture of latencies: the quantiles of each run, on an axis that stretches the rare ones."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from vaeserve.load.histogram import Histogram

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

SIZE = (960, 540)
LEFT, TOP, RIGHT, BOTTOM = 80, 50, 930, 470  # of the plot
COLOURS = ("#0b62a4", "#c2410c", "#2f7d32")  # one for each run
INK, GRID, PAPER = "#222222", "#dddddd", "#ffffff"
STEPS = 400  # points of a curve


def draw(runs: Mapping[str, Histogram], *, title: str) -> "Image":
    """One latency curve for each run, by name. Left to right: p0, p90, p99, ...; upwards: milliseconds."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", SIZE, PAPER)
    pen = ImageDraw.Draw(image)
    nines = max(1.0, *(_nines(run.count) for run in runs.values()))
    top = _ceiling(max(run.largest for run in runs.values()) * 1000)
    _axes(pen, nines=nines, top=top)
    pen.text((LEFT, 22), title, fill=INK, font=_font(16), anchor="lm")
    for (name, run), colour, line in zip(runs.items(), COLOURS, range(len(runs)), strict=False):
        places = [step / STEPS * _nines(run.count) for step in range(STEPS + 1)]
        points = [
            (LEFT + place / nines * (RIGHT - LEFT), _height(run.quantile(_fraction(place)) or 0.0, top))
            for place in places
        ]
        pen.line(points, fill=colour, width=3, joint="curve")
        pen.line([(LEFT + 15, TOP + 18 + 22 * line), (LEFT + 45, TOP + 18 + 22 * line)], fill=colour, width=3)
        pen.text((LEFT + 55, TOP + 18 + 22 * line), name, fill=INK, font=_font(14), anchor="lm")
    return image


def _axes(pen: "ImageDraw", *, nines: float, top: float) -> None:
    for tick in range(6):
        milliseconds = top * tick / 5
        y = _height(milliseconds / 1000, top)
        pen.line([(LEFT, y), (RIGHT, y)], fill=GRID)
        pen.text((LEFT - 8, y), f"{milliseconds:g}", fill=INK, font=_font(13), anchor="rm")
    pen.text((LEFT - 8, TOP - 16), "ms", fill=INK, font=_font(13), anchor="rm")
    for place in [math.log10(2), *range(math.floor(nines) + 1)]:
        x = LEFT + place / nines * (RIGHT - LEFT)
        pen.line([(x, TOP), (x, BOTTOM)], fill=GRID)
        pen.text((x, BOTTOM + 16), f"p{100 * _fraction(place):.7g}", fill=INK, font=_font(13), anchor="mm")
    pen.text(((LEFT + RIGHT) / 2, BOTTOM + 44), "calls that waited no longer", fill=INK, font=_font(14), anchor="mm")
    pen.rectangle([LEFT, TOP, RIGHT, BOTTOM], outline=INK)


def _font(size: int):  # type: ignore[no-untyped-def]  # two of Pillow's types, by how it was built
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _nines(count: int) -> float:
    """How far a curve of `count` calls reaches: 2 for p99, 3 for p99.9."""
    return math.log10(max(count, 2))


def _fraction(nines: float) -> float:
    return float(1 - 10.0**-nines)


def _height(seconds: float, top: float) -> float:
    return BOTTOM - min(seconds * 1000 / top, 1) * (BOTTOM - TOP)


def _ceiling(milliseconds: float) -> float:
    """The next of 1, 2, 5, 10, 20, ... ms."""
    power = 10.0 ** math.floor(math.log10(max(milliseconds, 1e-3)))
    return next(power * step for step in (1, 2, 5, 10) if power * step >= milliseconds * (1 - 1e-9))
