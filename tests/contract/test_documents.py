"""What the documents point at is there: links, anchors, and the pages that code and configuration name."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from support.documents import ROOT, name_of

PAGES = sorted([*ROOT.glob("*.md"), *(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)])
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_NAMED = re.compile(r"docs/[\w/.-]+\.md(?:#[\w-]+)?")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = [link for link in _LINK.findall(_FENCE.sub("", page.read_text())) if "://" not in link]
    assert [link for link in links if not leads_somewhere(page, link)] == []


def test_every_page_that_another_file_names_is_there() -> None:
    """In comments, messages, rules and dashboards."""
    named = {(path, name) for path in tracked() for name in _NAMED.findall(text(path))}
    assert len(named) > 20
    assert [(name_of(path), name) for path, name in sorted(named) if not leads_somewhere(ROOT / "x", name)] == []


def test_every_page_is_reached_from_the_index() -> None:
    index = (ROOT / "docs/index.md").read_text()
    lists_of_pages = re.findall(r"^([a-z-]+(?:/[\w*-]+)?)$", index, re.MULTILINE)
    listed = {path for entry in lists_of_pages for path in (ROOT / "docs").glob(f"{entry}.md")}
    assert {path for path in PAGES if path.is_relative_to(ROOT / "docs")} - listed == {ROOT / "docs/index.md"}


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


@cache
def anchors(page: Path) -> frozenset[str]:
    """GitHub's anchors of the headings: lower case, no punctuation, hyphens for blanks."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text()))
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


@cache
def tracked() -> tuple[Path, ...]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    paths = [ROOT / name for name in names.split("\0") if name]
    return tuple(path for path in paths if path.is_file() and path not in PAGES)


def text(path: Path) -> str:
    return path.read_bytes().decode(errors="ignore")
