"""HTML tables, which scroll sideways on narrow screens, and the formatting of numbers."""

from collections.abc import Iterable, Sequence
from html import escape


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """A table of names and values. Both are plain text and are escaped here."""
    body = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)
    return f'<div class="scroll"><table>{body}</table></div>'


def figures(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a header line, whose rows begin with a name. All cells are plain text and are escaped here."""
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
    """A number with `digits` significant digits, thousands separators and a typographic minus sign."""
    text = f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:,.{digits}g}"
    return text.replace("-", "−")
