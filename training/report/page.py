"""The page as one HTML text, made from findings and without references to other files."""

from html import escape
from importlib.resources import files
from string import Template

from training.report.findings import Findings
from training.report.heading import heading
from training.report.palette import style_sheet
from training.report.sections import sections

PACKAGE = "training.report"


def text(findings: Findings) -> str:
    """The HTML of the page. Images and styles are inside, so a browser fetches nothing."""
    parts = sections(findings)
    folder = files(PACKAGE)
    return Template((folder / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(f"Run {findings.name}"),
        style=style_sheet() + (folder / "page.css").read_text(encoding="utf-8"),
        header=heading(findings),
        contents="".join(f'<li><a href="#{part.anchor}">{part.title}</a></li>' for part in parts),
        sections="".join(
            f'<section id="{part.anchor}">\n<h2>{part.title}</h2>\n{part.body}\n</section>\n' for part in parts
        ),
    )
