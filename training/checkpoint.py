"""One file from which a run goes on, or is exported; written whole or not at all."""

import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from training.config import Config
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
    temporary = file.with_name(f".{file.name}.partial")
    try:
        with temporary.open("wb") as stream:
            torch.save(
                {
                    "format_version": FORMAT_VERSION,
                    "config": checkpoint.config.to_mapping(),
                    "source": checkpoint.source,
                    "item_shape": list(checkpoint.item_shape),
                    "provenance": checkpoint.provenance,
                    "state": checkpoint.state,
                },
                stream,
            )
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    except OSError as error:  # torch writes through the stream, whose errors name no file
        raise OSError(error.errno, error.strerror, str(file)) from error
    finally:
        temporary.unlink(missing_ok=True)


def read(file: Path) -> Checkpoint:
    """Raises TrainingError if there is none, or it is damaged or of another format."""
    if not file.is_file():
        raise TrainingError(f"{file.parent}: has no {file.name}; give the folder of a run, as fit prints it")
    try:
        with zipfile.ZipFile(file) as archive:
            altered = archive.testzip()  # torch writes checksums and never looks at them
        if altered is not None:
            raise zipfile.BadZipFile(altered)
        facts = torch.load(file, map_location="cpu", weights_only=True)
        version = facts["format_version"]
    except OSError:
        raise
    except Exception as error:  # torch, zipfile and pickle raise their own for damaged files
        raise TrainingError(
            f"{file}: is damaged ({type(error).__name__}); start a new run, or put back a copy of the file"
        ) from None
    if version != FORMAT_VERSION:
        raise TrainingError(f"{file}: format_version is {version!r}; this version of training reads {FORMAT_VERSION}")
    return Checkpoint(
        Config.of(facts["config"]), facts["source"], tuple(facts["item_shape"]), facts["provenance"], facts["state"]
    )
