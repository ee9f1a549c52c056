"""Tensors and facts in one file of torch's: written whole, and believed only after its checksums are verified."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from training.atomic import replacing
from training.errors import TrainingError

Built = TypeVar("Built")


def save(file: Path, facts: Mapping[str, Any]) -> None:
    """Replace `file`, whose folder must exist. Raises OSError."""
    with replacing(file) as stream:
        torch.save(dict(facts), stream)


def read(file: Path, build: Callable[[dict[str, Any]], Built], *, damaged: str, advice: str) -> Built:
    """What `build` makes of the facts.

    Raises OSError and TrainingError, of `build` too; whatever else a file provokes becomes a TrainingError that says
    that it is `damaged` and gives the `advice`.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            altered = archive.testzip()  # torch writes checksums and never looks at them
        if altered is not None:
            raise zipfile.BadZipFile(altered)
        return build(torch.load(file, map_location="cpu", weights_only=True))
    except (OSError, MemoryError, TrainingError):
        raise
    except Exception as error:  # torch, zipfile and pickle raise their own for damaged files
        raise TrainingError(f"{file}: {damaged} ({type(error).__name__}); {advice}") from None
