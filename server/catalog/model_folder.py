"""The folder of models: which versions lie in it, whether their files have changed, what models.toml says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from server import artifact
from server.catalog import models_toml
from server.catalog.models_toml import Policies
from server.errors import ArtifactError

# Name, size, time of change in nanoseconds and inode of every file: cheap to take, and another whenever a file is
# written, replaced, added or removed.
Fingerprint: TypeAlias = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class VersionOnDisk:
    """A version on disk."""

    name: str
    version: str
    path: Path
    files: Fingerprint


def versions_on_disk(folder: Path) -> list[VersionOnDisk]:
    """Every <model>/<version>/, models by name and versions newest first. Raises OSError if it cannot be read."""
    found = []
    for model in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        numbered = [p for p in _entries(model) if p.name.isascii() and p.name.isdigit() and p.is_dir()]
        found += [
            VersionOnDisk(model.name, p.name, p, fingerprint(p)) for p in sorted(numbered, key=_number, reverse=True)
        ]
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


@dataclass(frozen=True, slots=True)
class Scan:
    """What the folder held at one moment."""

    versions: Sequence[VersionOnDisk]
    policies: Policies | None  # None: see complaint
    complaint: str = ""


def scan(folder: Path) -> Scan:
    """What there is now. Touches the disk and nothing else: for any thread."""
    try:
        versions = versions_on_disk(folder)
    except OSError as error:
        return Scan((), None, f"{folder}: cannot be read: {error.strerror}")
    if not versions:
        return Scan((), None, f"{folder}: holds no model; it needs <model>/<version>/{artifact.MANIFEST}")
    try:
        return Scan(versions, models_toml.read(folder, models=model_names(versions)))
    except ArtifactError as error:
        return Scan(versions, None, str(error))


def scan_first(folder: Path, default_model: str) -> Scan:
    """As `scan`, with nothing to fall back on. Raises ArtifactError where there is a complaint, or no such model."""
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such folder")
    seen = scan(folder)
    if seen.complaint:
        raise ArtifactError(seen.complaint)
    if default_model and default_model not in model_names(seen.versions):
        there = ", ".join(model_names(seen.versions))
        raise ArtifactError(f"{folder}: has no model {default_model!r} to prefer; there are {there}")
    return seen


def model_names(versions: Sequence[VersionOnDisk]) -> list[str]:
    """The models of versions, each once."""
    return list(dict.fromkeys(version.name for version in versions))


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:  # removed while being looked at
        return []


def _number(path: Path) -> int:
    return int(path.name)
