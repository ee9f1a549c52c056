"""The charts of a page, drawn by matplotlib as images inside the page; equal values give equal bytes."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import BinaryIO

import matplotlib as mpl
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from training.report.latent_map import LatentMap
from training.report.palette import PALETTE, adaptive
from training.report.table import number

PAPER, INK, SOFT, RULE = (PALETTE[name][0] for name in ("paper", "ink", "soft", "rule"))
LINES = ((PALETTE["line-1"][0], "-"), (PALETTE["line-2"][0], "--"))
ACTIVE, IDLE = PALETTE["line-1"][0], PALETTE["idle"][0]
STYLE = {
    "svg.fonttype": "none",  # text stays text, which can be searched, copied and read aloud
    "svg.hashsalt": "vaeserve",  # a fixed salt: a drawing's identifiers depend on its content only
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": SOFT,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "grid.color": RULE,
    "legend.frameon": False,
}
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
MANY = 500  # with more dots than this, all are drawn smaller


@dataclass(frozen=True, slots=True)
class Series:
    """One line: a value for each epoch."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One or two lines over the same epochs."""

    title: str
    unit: str  # of the values
    series: tuple[Series, ...]
    from_zero: bool = False  # whether the vertical axis shows zero too
    settled: int = 0  # the vertical axis ignores this many first epochs, whose values may be cut off


def lines(chart: Chart, *, epochs: tuple[int, ...]) -> str:
    """Draw a chart without its title. Each line's last value stands beside its name; a single epoch is a dot."""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        marker = "o" if len(epochs) == 1 else ""
        for series, (colour, dashes) in zip(chart.series, LINES, strict=False):
            label = f"{series.name} {number(series.values[-1])}"
            axes.plot(epochs, series.values, color=colour, linestyle=dashes, linewidth=1.5, marker=marker, label=label)
        shown = [value for series in chart.series for value in series.values[chart.settled :]]
        axes.set_ylim(*_limits([0.0, *shown] if chart.from_zero else shown))
        alone = 0.5 if len(epochs) == 1 else 0.0
        axes.set_xlim(epochs[0] - alone, epochs[-1] + alone)
        axes.set(xlabel="epoch", ylabel=chart.unit)
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        _values_upwards(axes)
        figure.legend(loc="outside upper left", ncols=2)

    ends = "; ".join(f"{s.name} from {number(s.values[0])} to {number(s.values[-1])}" for s in chart.series)
    return _drawing(draw, width=4.0, height=2.5, alt=f"{chart.title}: {ends}")


def bars(kl: tuple[float, ...], active: tuple[bool, ...]) -> str:
    """Draw the KL of each latent, in nats and in descending order; inactive latents are grey."""
    order = sorted(range(len(kl)), key=lambda latent: -kl[latent])

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        colours = [ACTIVE if active[latent] else IDLE for latent in order]
        axes.bar(range(1, len(kl) + 1), [kl[latent] for latent in order], color=colours, width=0.8)
        axes.set_xlim(0.5, len(kl) + 0.5)
        axes.set_ylim(0.0, max(1.05 * max(kl), 0.1))  # at least 0.1, so that a collapsed model's bars look small
        axes.set(xlabel="latents in descending order of their KL", ylabel="KL, nats")
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        _values_upwards(axes)

    span = f"from {number(kl[order[0]])} down to {number(kl[order[-1]])} nats"
    return _drawing(draw, width=5.6, height=2.4, alt=f"KL of {len(kl)} latents, {span}; {sum(active)} are active")


def scatter(shown: LatentMap) -> str:
    """Draw a dot for each row, with a colour for each class and the class's name at the median of its dots.

    Both axes have the same scale, so that distances can be compared.
    """
    classes = shown.classes
    colours = mpl.color_sequences["tab10" if len(classes) <= 10 else "tab20"]
    size = 2.2 if len(shown.points) > MANY else 4.5

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        groups = [shown.points[shown.labels == name] for name in classes] if classes else [shown.points]
        for group, colour in zip(groups, colours, strict=False):
            x, y = group.T.numpy()
            # Rasterized, because thousands of vector dots would be most of the page's bytes.
            axes.plot(x, y, "o", color=colour, alpha=0.65, markersize=size, markeredgewidth=0, rasterized=True)
        outline = [withStroke(linewidth=4, foreground=PAPER)]
        for name, group in zip(classes, groups, strict=False):
            x, y = group.median(0).values.tolist()
            axes.text(x, y, str(name), ha="center", va="center", weight="bold", fontsize=15, path_effects=outline)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set(xlabel="first principal direction of the means of z", ylabel="second principal direction")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: number(value))
        keys = [
            Line2D([], [], color=colour, marker="o", linestyle="", label=str(name))
            for name, colour in zip(classes, colours, strict=False)
        ]
        if keys:
            figure.legend(handles=keys, loc="outside lower center", ncols=10, handletextpad=0.1, columnspacing=1.0)

    words = f"Latent map of {len(shown.points)} rows{f' in {len(classes)} classes' if classes else ''}"
    return _drawing(draw, width=5.6, height=5.0, alt=words)


def picture(draw: Callable[[BinaryIO], None], *, alt: str) -> str:
    """The PNG file that `draw` writes, as an image inside the page."""
    file = BytesIO()
    draw(file)
    return _image(file.getvalue(), "png", alt)


def _drawing(draw: Callable[[Figure], None], *, width: float, height: float, alt: str) -> str:
    """What `draw` draws, as an SVG image; width and height are in inches of 72 points."""
    file = BytesIO()
    with mpl.style.context(["default", STYLE]):  # the user's own settings must not change the page
        figure = Figure(figsize=(width, height), dpi=200, layout="constrained")
        draw(figure)
        figure.savefig(file, format="svg", transparent=True, metadata=NO_METADATA)
    svg = file.getvalue().decode()
    return _image(adaptive(svg[svg.index("<svg") :]).encode(), "svg+xml", alt)


def _image(content: bytes, kind: str, alt: str) -> str:
    return f'<img alt="{escape(alt)}" src="data:image/{kind};base64,{base64.b64encode(content).decode()}">'


def _limits(values: list[float]) -> tuple[float, float]:
    """An interval that holds all `values` with a margin; a single value is in the middle of it."""
    low, high = min(values), max(values)
    room = 0.05 * (high - low) or 0.5 * abs(low) or 1.0
    return low - room, high + room


def _values_upwards(axes: Axes) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(lambda value, _: number(value))
    axes.grid(axis="y")
