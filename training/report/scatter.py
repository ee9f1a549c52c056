"""A latent map as inline SVG: a dot a row, one colour a class, the class's name at the middle of its dots."""

import torch
from torch import Tensor

from training.report.latent_map import LatentMap

SIDE, MARGIN = 640, 14
MANY = 500  # rows, whose dots are small
MOST_CLASSES = 20  # more colours cannot be told apart
# Ten hues of middling lightness, seen on light and on dark paper (d3's category10).
COLOURS = [
    *("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd"),
    *("#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf"),
]


def scatter(shown: LatentMap) -> str:
    """Both directions have one scale, so distances can be compared."""
    x, y = shown.points[:, 0], shown.points[:, 1]
    scale = (SIDE - 2 * MARGIN) / max(float(x.max() - x.min()), float(y.max() - y.min()), 1e-12)
    across = (x - x.min()) * scale + MARGIN
    down = (y.max() - y) * scale + MARGIN  # up is positive
    places = torch.stack((across, down), dim=1)
    groups = _groups(shown)
    width = 5 if len(x) > MANY else 10
    return (
        f'<svg class="chart map" viewBox="0 0 {SIDE} {float(down.max()) + MARGIN:.0f}" role="img" '
        f'aria-label="Latent map of {len(x)} rows{f" in {len(groups)} classes" if groups else ""}">'
        + (
            "".join(_dots(places[mask], colour, f"class {name}", width=width) for name, mask, colour in groups)
            if groups
            else _dots(places, "var(--line-1)", f"{len(x)} rows", width=width)
        )
        + "".join(_name(str(name), places[mask].median(0).values) for name, mask, _ in groups)
        + "</svg>"
    )


def legend(shown: LatentMap) -> str:
    """The colour of each class; nothing where dots have none."""
    keys = (f'<li><i style="background:{colour}"></i>{name}</li>' for name, _, colour in _groups(shown))
    return f'<ul class="legend" aria-label="Classes">{"".join(keys)}</ul>' if classes(shown) else ""


def classes(shown: LatentMap) -> tuple[int, ...]:
    """The labels that are told apart by colour, in order; none without labels or with too many."""
    if shown.labels is None:
        return ()
    names = tuple(sorted(set(shown.labels.tolist())))
    return names if len(names) <= MOST_CLASSES else ()


def _groups(shown: LatentMap) -> list[tuple[int, Tensor, str]]:
    names = classes(shown)
    colours = COLOURS if len(names) <= len(COLOURS) else [f"hsl({360 * i // len(names)} 60% 50%)" for i in range(20)]
    return [(name, shown.labels == name, colours[index]) for index, name in enumerate(names)]  # type: ignore[misc]


def _dots(places: Tensor, colour: str, title: str, *, width: int) -> str:
    # A line of length nothing with round ends is a dot, and takes a tenth of a circle's bytes.
    path = "".join(f"M{x:.0f} {y:.0f}h0" for x, y in places.tolist())
    return f'<path class="dots" stroke="{colour}" stroke-width="{width}" d="{path}"><title>{title}</title></path>'


def _name(name: str, place: Tensor) -> str:
    return f'<text class="class-name" x="{place[0]:.0f}" y="{place[1]:.0f}">{name}</text>'
