"""The horizontal lines of a chart, with the values they stand for; SVG."""

from training.report.axis import Axis, number


def levels(up: Axis, *, left: float, right: float) -> str:
    """One at each round value of the vertical axis `up`, from `left` to `right`."""
    return "".join(
        f'<path class="grid" d="M{left} {up.at(value):.1f}H{right}"/>'
        f'<text class="tick end" x="{left - 6}" y="{up.at(value) + 4:.1f}">{number(value)}</text>'
        for value in up.ticks(most=5)
    )
