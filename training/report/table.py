"""HTML tables, which scroll inside themselves where the screen is narrow, and numbers for a reader."""

from collections.abc import Iterable, Sequence
from html import escape


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Names on the left, what they are on the right; plain text, escaped here."""
    body = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)
    return f'<div class="scroll"><table>{body}</table></div>'


def figures(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A line of heads over lines that begin with a name; plain text, escaped here."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table class="figures"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def number(value: float, *, digits: int = 4) -> str:
    """`digits` significant ones, thousands apart, with a true minus."""
    text = f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:,.{digits}g}"
    return text.replace("-", "−")
