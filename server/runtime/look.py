"""A look at the folder of models: what lies there, and what its models.toml says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from server import artifact
from server.errors import ArtifactError
from server.runtime import policy
from server.runtime.folder import Found, scan
from server.runtime.policy import Policies


@dataclass(frozen=True, slots=True)
class Look:
    """What the folder held at one moment."""

    found: Sequence[Found]
    policies: Policies | None  # None: see complaint
    complaint: str = ""


def take(folder: Path) -> Look:
    """What there is now. Touches the disk and nothing else: for any thread."""
    try:
        found = scan(folder)
    except OSError as error:
        return Look((), None, f"{folder}: cannot be read: {error.strerror}")
    if not found:
        return Look((), None, f"{folder}: holds no model; it needs <model>/<version>/{artifact.MANIFEST}")
    try:
        return Look(found, policy.read(folder, models=names(found)))
    except ArtifactError as error:
        return Look(found, None, str(error))


def take_first(folder: Path, default_model: str) -> Look:
    """As `take`, with nothing to fall back on. Raises ArtifactError where there is a complaint, or no such model."""
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such folder")
    look = take(folder)
    if look.complaint:
        raise ArtifactError(look.complaint)
    if default_model and default_model not in names(look.found):
        there = ", ".join(names(look.found))
        raise ArtifactError(f"{folder}: has no model {default_model!r} to prefer; there are {there}")
    return look


def names(found: Sequence[Found]) -> list[str]:
    """The models of versions, each once."""
    return list(dict.fromkeys(version.name for version in found))
