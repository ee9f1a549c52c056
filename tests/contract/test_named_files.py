"""Files and functions that the documents name are where they say (decisions and the changelog: as they were)."""

import re
from pathlib import Path

import pytest
from support.documents import DOCUMENTS, ROOT, name_of

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_TOP = r"(?:server|training|vaeserve|tests|deploy|bench|docs|proto|examples)"
_FILE = re.compile(rf"{_TOP}/(?:[\w.-]+/)*[\w.-]*")
_ROOM = re.compile(r"(?:envoy_process|app|process|catalog|engine|edge|telemetry|core)/[\w/]*")  # of the server
_PLACED = re.compile(r"((?:`\w+`, )*`\w+`) \(`([\w/]+\.py)`\)")
MADE = {"bench/cache"}  # when needed, and never committed


@pytest.mark.parametrize("page", DOCUMENTS, ids=name_of)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    named = _CODE.findall(_FENCE.sub("", page.read_text()))
    files = {name for name in named if _FILE.fullmatch(name)} - MADE
    rooms = {f"server/{name}" for name in named if _ROOM.fullmatch(name)}
    assert [file for file in sorted(files | rooms) if not exists(file)] == []


def test_every_function_that_the_theory_names_is_where_it_says() -> None:
    """Its table has `function`, `function` (`file`)."""
    theory = (ROOT / "docs/explanation/theory.md").read_text()
    placed = [(name, file) for names, file in _PLACED.findall(theory) for name in _CODE.findall(names)]
    assert len(placed) > 15
    assert [each for each in placed if not defines(ROOT / each[1], each[0])] == []


def exists(name: str) -> bool:
    """A file or a folder, or a module without its ending."""
    return (ROOT / name).exists() or (ROOT / f"{name}.py").exists()


def defines(file: Path, name: str) -> bool:
    return re.search(rf"^(?:async def|def|class) {name}\b", file.read_text(), re.MULTILINE) is not None
