"""A folder of models: which versions lie in it, and whether their files are still what they were."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

# Name, size, time of change in nanoseconds and inode of every file: cheap to take, and another whenever a file is
# written, replaced, added or removed.
Fingerprint: TypeAlias = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A version on disk."""

    name: str
    version: str
    path: Path
    files: Fingerprint


def scan(folder: Path) -> list[Found]:
    """Every <model>/<version>/, models by name and versions newest first. Raises OSError if it cannot be read."""
    found = []
    for model in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        numbered = [p for p in _entries(model) if p.name.isascii() and p.name.isdigit() and p.is_dir()]
        found += [Found(model.name, p.name, p, fingerprint(p)) for p in sorted(numbered, key=_number, reverse=True)]
    return found


def fingerprint(path: Path) -> Fingerprint:
    """What identifies the files of a version as long as nobody touches them."""
    facts = []
    for file in sorted(_entries(path)):
        try:
            stat = file.stat()
        except OSError:  # removed meanwhile, or a link to nowhere: the next look will tell
            facts.append((file.name, -1, 0, 0))
        else:
            facts.append((file.name, stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return tuple(facts)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:  # removed while being looked at
        return []


def _number(path: Path) -> int:
    return int(path.name)
