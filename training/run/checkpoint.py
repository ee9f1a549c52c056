"""One file from which a run goes on, or is exported; written whole or not at all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training import torch_file
from training.config.config import Config
from training.errors import TrainingError

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A run as it was saved."""

    config: Config
    source: str  # --data, as given
    item_shape: tuple[int, ...]
    provenance: dict[str, Any]  # what the artifact's manifest will say about the run's origin
    state: dict[str, Any]  # state.to_mapping


def save(file: Path, checkpoint: Checkpoint) -> None:
    """Replace `file` by this checkpoint; a reader, or a crash, sees the old one or the new one. Raises OSError."""
    torch_file.save(
        file,
        {
            "format_version": FORMAT_VERSION,
            "config": checkpoint.config.to_mapping(),
            "source": checkpoint.source,
            "item_shape": list(checkpoint.item_shape),
            "provenance": checkpoint.provenance,
            "state": checkpoint.state,
        },
    )


def read(file: Path) -> Checkpoint:
    """Raises TrainingError if there is none, or it is damaged, incomplete or of another format."""
    if not file.is_file():
        raise TrainingError(f"{file.parent}: has no {file.name}; give the folder of a run, as fit prints it")

    def built(facts: dict[str, Any]) -> Checkpoint:
        version = facts["format_version"]
        if version != FORMAT_VERSION:
            raise TrainingError(
                f"{file}: format_version is {version!r}; this version of training reads {FORMAT_VERSION}"
            )
        return Checkpoint(
            Config.of(facts["config"]), facts["source"], tuple(facts["item_shape"]), facts["provenance"], facts["state"]
        )

    return torch_file.read(file, built, damaged="is damaged", advice="start a new run, or put back a copy of the file")
