"""Checkpoint: the file from which a run is continued or exported, and its reader and writer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training import torch_file
from training.config.config import Config
from training.errors import TrainingError

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The content of a checkpoint file."""

    config: Config
    source: str  # --data, as given
    item_shape: tuple[int, ...]
    provenance: dict[str, Any]  # the part of the manifest's provenance that is known before export
    state: dict[str, Any]  # state.to_mapping


def save(file: Path, checkpoint: Checkpoint) -> None:
    """Replace the content of `file` by this checkpoint, atomically. Raises OSError."""
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
    """Read a checkpoint. Raises TrainingError if it is missing, damaged, incomplete or of another format."""
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
