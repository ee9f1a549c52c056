"""A line chart over epochs, as inline SVG that takes its colours from the page."""

from dataclasses import dataclass
from html import escape

from training.report.axis import Axis, number, spanning
from training.report.levels import levels

WIDTH, HEIGHT = 400, 236
LEFT, RIGHT, TOP, BOTTOM = 54, 388, 30, 202  # of the plot, within the drawing
LEGEND_WIDTH = 172


@dataclass(frozen=True, slots=True)
class Series:
    """One line: a value an epoch."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One or two lines over the same epochs."""

    title: str
    series: tuple[Series, ...]
    from_zero: bool = False  # whether the vertical axis shows zero too
    settled: int = 0  # so many epochs at the beginning do not widen the vertical axis; what is outside is cut off


def lines(chart: Chart, *, epochs: tuple[int, ...]) -> str:
    """The drawing without its title; each line's last value stands beside its name."""
    across = _across(epochs)
    shown = tuple(value for each in chart.series for value in each.values[chart.settled :])
    up = spanning((0.0, *shown) if chart.from_zero else shown, start=BOTTOM, end=TOP)
    summary = "; ".join(f"{s.name} from {number(s.values[0])} to {number(s.values[-1])}" for s in chart.series)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"{chart.title}: {summary}")}">'
        + "".join(_legend(series, index) for index, series in enumerate(chart.series))
        + levels(up, left=LEFT, right=RIGHT)
        + "".join(_epoch(value, across) for value in across.ticks(most=8, whole=True))
        + f'<text class="tick end" x="{RIGHT}" y="{HEIGHT - 3}">epoch</text>'
        # A nested svg cuts off what is outside of it.
        + f'<svg x="{LEFT}" y="{TOP}" width="{RIGHT - LEFT}" height="{BOTTOM - TOP}" '
        + f'viewBox="{LEFT} {TOP} {RIGHT - LEFT} {BOTTOM - TOP}">'
        + "".join(_curve(series, index, epochs, across, up) for index, series in enumerate(chart.series))
        + "</svg></svg>"
    )


def _across(epochs: tuple[int, ...]) -> Axis:
    alone = 0.5 if len(epochs) == 1 else 0.0  # a single epoch lies in the middle
    return Axis(epochs[0] - alone, epochs[-1] + alone, LEFT, RIGHT)


def _legend(series: Series, index: int) -> str:
    left = LEFT + index * LEGEND_WIDTH
    return (
        f'<path class="line line-{index + 1}" d="M{left} 13h18"/>'
        f'<text class="tick" x="{left + 24}" y="17">{escape(series.name)} {number(series.values[-1])}</text>'
    )


def _epoch(value: float, across: Axis) -> str:
    x = across.at(value)
    return (
        f'<path class="axis" d="M{x:.1f} {BOTTOM}v4"/>'
        f'<text class="tick middle" x="{x:.1f}" y="{BOTTOM + 17}">{number(value)}</text>'
    )


def _curve(series: Series, index: int, epochs: tuple[int, ...], across: Axis, up: Axis) -> str:
    points = [(across.at(epoch), up.at(value)) for epoch, value in zip(epochs, series.values, strict=True)]
    if len(points) == 1:
        return f'<circle class="dot-{index + 1}" cx="{points[0][0]:.1f}" cy="{points[0][1]:.1f}" r="4"/>'
    return f'<polyline class="line line-{index + 1}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'
