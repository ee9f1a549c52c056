"""Code and commands in the documents, to be run as a reader would."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Decisions tell what was done once; everything else is for readers to follow.
_OTHERS = {"decisions", "_build"}
_DOCS = [path for path in (ROOT / "docs").rglob("*.md") if path.relative_to(ROOT / "docs").parts[0] not in _OTHERS]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *_DOCS])

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^(?: {4}|\t)\S.*\n)+", re.MULTILINE)
_PROGRAMS = (
    "make", "pip", "python", "vaeserve", "vaeserve-health", "buf", "curl", "grpcurl", "docker", "npm", "node", "kill",
    "torchrun", "tensorboard", ".venv/bin/vaeserve", ".venv/bin/python", "bench/loadgen/build/loadgen",
)  # fmt: skip


def name_of(document: Path) -> str:
    """Its path in the repository, e.g. "docs/index.md"."""
    return document.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Block:
    """A fenced piece of a document."""

    language: str
    text: str
    line: int


def blocks(document: Path) -> list[Block]:
    """The fenced pieces, in order."""
    text = document.read_text()
    return [Block(m[1], m[2], text.count("\n", 0, m.start()) + 2) for m in _FENCE.finditer(text)]


def commands(document: Path) -> Iterator[str]:
    """Every command shown in a fence or indented, without its comment, one line each."""
    text = document.read_text()
    shown = [block.text for block in blocks(document) if block.language in ("", "sh")]
    shown += [found[0] for found in _INDENTED.finditer(_FENCE.sub("", text))]
    for piece in shown:
        for line in piece.replace("\\\n", " ").splitlines():
            command = re.sub(r"\s{2,}#(?! exits with).*", "", line.strip())
            if command.split(" ")[0] in _PROGRAMS:
                yield command
