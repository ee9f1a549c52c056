"""Files in torch's format: written atomically, and read only after their checksums are verified."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from training.atomic import replacing
from training.errors import TrainingError

Built = TypeVar("Built")


def save(file: Path, facts: Mapping[str, Any]) -> None:
    """Replace the content of `file` by `facts`; its folder must exist. Raises OSError."""
    with replacing(file) as stream:
        torch.save(dict(facts), stream)


def read(file: Path, build: Callable[[dict[str, Any]], Built], *, damaged: str, advice: str) -> Built:
    """Read a file that `save` wrote, and return what `build` makes of its mapping.

    Raises OSError, and the TrainingError of `build`. Any other error, of torch or `build`, becomes a TrainingError made
    of `damaged` (the problem) and `advice`.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            altered = archive.testzip()  # torch writes checksums but does not verify them
        if altered is not None:
            raise zipfile.BadZipFile(altered)
        return build(torch.load(file, map_location="cpu", weights_only=True))
    except (OSError, MemoryError, TrainingError):
        raise
    except Exception as error:  # for damaged files torch, zipfile and pickle raise errors of many types
        raise TrainingError(f"{file}: {damaged} ({type(error).__name__}); {advice}") from None
