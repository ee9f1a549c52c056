"""Reads an artifact's folder and verifies every file against SHA256SUMS and the manifest."""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from server.artifact.manifest import GOLDEN, MANIFEST, SUMS, Manifest
from server.artifact.manifest_reader import read_manifest, reason_of
from server.errors import ArtifactError


@dataclass(frozen=True, slots=True)
class Artifact:
    """A verified artifact: its folder, manifest and file names."""

    path: Path
    manifest: Manifest
    files: tuple[str, ...] = field(default=())

    def graph(self, name: str) -> bytes:
        """The bytes of a graph, read and checked again, so that the graph that runs is the one that was verified.

        Raises ArtifactError if the file has changed.
        """
        graph = self.manifest.graphs[name]
        content = (self.path / graph.file).read_bytes()
        if hashlib.sha256(content).hexdigest() != graph.sha256:
            raise ArtifactError(f"{graph.file}: changed while it was being loaded")
        return content


def read(path: Path) -> Artifact:
    """Read an artifact and verify it.

    Raises ArtifactError if a file is missing, altered, a symbolic link or not as required; the message names it.
    """
    if not path.is_dir():
        raise ArtifactError(f"{path}: no such folder")
    for entry in sorted(path.rglob("*")):
        if entry.is_symlink():
            raise ArtifactError(f"{entry.relative_to(path)}: is a symbolic link; artifacts hold plain files")
    manifest = read_manifest(path / MANIFEST)
    sums = _sums(path / SUMS)
    for name, expected in sums.items():
        file = path / name
        if not file.is_file():
            raise ArtifactError(f"{name}: listed in {SUMS} but missing")
        got = sha256_of(file)
        if got != expected:
            raise ArtifactError(f"{name}: sha256 is {got[:12]}..., {SUMS} says {expected[:12]}...")
    for name in (MANIFEST, GOLDEN, *(graph.file for graph in manifest.graphs.values())):
        if name not in sums:
            raise ArtifactError(f"{name}: not listed in {SUMS}")
    for graph in manifest.graphs.values():
        if sums[graph.file] != graph.sha256:
            raise ArtifactError(f"{graph.file}: {MANIFEST} and {SUMS} disagree on its sha256")
    return Artifact(path, manifest, tuple(sorted(sums)))


def write_sums(path: Path) -> None:
    """Write SHA256SUMS for all other files of the folder, in the format of sha256sum(1)."""
    names = sorted(entry.name for entry in path.iterdir() if entry.name != SUMS)
    (path / SUMS).write_text("".join(f"{sha256_of(path / name)}  {name}\n" for name in names))


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file in hexadecimal. Raises OSError."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sums(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{SUMS}: cannot be read: {reason_of(error)}") from None
    sums = {}
    for line in lines:
        match = re.fullmatch(r"([0-9a-f]{64})  ([\w.-]+)", line)
        if not match or match[2].startswith("."):
            raise ArtifactError(f"{SUMS}: not a line of sha256sum over a plain file name: {line[:80]!r}")
        sums[match[2]] = match[1]
    return sums
