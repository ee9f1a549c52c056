"""KL per latent as a bar chart, active latents told from the others; inline SVG in the page's colours."""

from training.report.axis import Axis, number
from training.report.levels import levels

WIDTH, HEIGHT = 600, 220
LEFT, RIGHT, TOP, BOTTOM = 44, 594, 12, 192


def bars(kl: tuple[float, ...], active: tuple[bool, ...]) -> str:
    """One bar a latent in descending order; pointing at one names it."""
    order = sorted(range(len(kl)), key=lambda latent: -kl[latent])
    up = Axis(0.0, max(1.05 * max(kl), 0.1), BOTTOM, TOP)  # a collapsed model's bars stay small
    pitch = (RIGHT - LEFT) / len(kl)
    across = Axis(0.5, len(kl) + 0.5, LEFT, RIGHT)
    summary = f"KL of {len(kl)} latents, from {number(kl[order[0]])} down to {number(kl[order[-1]])} nats"
    names = tuple(f"latent {i}: {number(kl[i])} nats{'' if active[i] else ', not active'}" for i in range(len(kl)))
    return (
        f'<svg class="chart wide" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{summary}; '
        f'{sum(active)} are active">'
        + levels(up, left=LEFT, right=RIGHT)
        + "".join(
            f'<rect class="{"active" if active[latent] else "idle"}" x="{across.at(rank) - 0.4 * pitch:.1f}" '
            f'y="{up.at(kl[latent]):.1f}" width="{0.8 * pitch:.1f}" height="{BOTTOM - up.at(kl[latent]):.1f}">'
            f"<title>{names[latent]}</title></rect>"
            for rank, latent in enumerate(order, start=1)
        )
        + "".join(
            f'<text class="tick middle" x="{across.at(rank):.1f}" y="{BOTTOM + 17}">{rank:.0f}</text>'
            for rank in across.ticks(most=10, whole=True)
            if rank >= 1
        )
        + f'<path class="axis" d="M{LEFT} {BOTTOM}H{RIGHT}"/></svg>'
    )
