"""Scans the models' folder: its versions, their files' fingerprints, and models.toml."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from server import artifact
from server.catalog import models_toml
from server.catalog.models_toml import Policies
from server.errors import ArtifactError

# Name, size, time of change in nanoseconds and inode of every file. It is cheap to compute, and it changes whenever a
# file is written, replaced, added or removed.
Fingerprint: TypeAlias = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class VersionOnDisk:
    """The folder of one version, with its fingerprint."""

    name: str
    version: str
    path: Path
    files: Fingerprint


def versions_on_disk(folder: Path) -> list[VersionOnDisk]:
    """Every <model>/<version>/ of the folder: models by name, versions newest first. Raises OSError."""
    found = []
    for model in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        numbered = [p for p in _entries(model) if p.name.isascii() and p.name.isdigit() and p.is_dir()]
        found += [
            VersionOnDisk(model.name, p.name, p, fingerprint(p)) for p in sorted(numbered, key=_number, reverse=True)
        ]
    return found


def fingerprint(path: Path) -> Fingerprint:
    """The fingerprint of a version's files; it stays the same while no file changes."""
    facts = []
    for file in sorted(_entries(path)):
        try:
            stat = file.stat()
        except OSError:  # just removed, or a broken link: the next scan or the loader will find out
            facts.append((file.name, -1, 0, 0))
        else:
            facts.append((file.name, stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return tuple(facts)


@dataclass(frozen=True, slots=True)
class Scan:
    """What the folder held at one moment."""

    versions: Sequence[VersionOnDisk]
    policies: Policies | None  # None: not valid, see complaint
    complaint: str = ""  # what is wrong with the folder or models.toml; "": nothing


def scan(folder: Path) -> Scan:
    """Scan the folder. Any thread may call this, as it only reads the disk."""
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
    """The first scan, which must be valid. Raises ArtifactError for a complaint or an unknown `default_model`."""
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such folder")
    seen = scan(folder)
    if seen.complaint:
        raise ArtifactError(seen.complaint)
    if default_model and default_model not in model_names(seen.versions):
        there = ", ".join(model_names(seen.versions))
        raise ArtifactError(f"--default-model is {default_model!r}; {folder} holds {there}")
    return seen


def model_names(versions: Sequence[VersionOnDisk]) -> list[str]:
    """The models' names, each once, in the order of `versions`."""
    return list(dict.fromkeys(version.name for version in versions))


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:  # removed during the scan
        return []


def _number(path: Path) -> int:
    return int(path.name)
