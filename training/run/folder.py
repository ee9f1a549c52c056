"""RunFolder: the folder of a run, with its checkpoint and its journal."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from training.errors import TrainingError
from training.run.progress import EpochDone


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder runs/NAME/."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    @property
    def journal(self) -> Path:
        """The journal's file: one line per epoch, each a JSON object with the fields of EpochDone."""
        return self.path / "journal.jsonl"

    def append(self, event: EpochDone) -> None:
        """Add an epoch to the journal. Raises OSError."""
        with self.journal.open("a") as stream:
            stream.write(json.dumps(asdict(event), sort_keys=True) + "\n")

    def drop_after(self, step: int) -> None:
        """Remove the journal's lines after `step`, which a resumed run writes again, and a line cut off by a crash."""
        if not self.journal.exists():
            return
        kept = [line for line in self.journal.read_text().splitlines() if _step(line) <= step]
        self.journal.write_text("".join(line + "\n" for line in kept))


def _step(line: str) -> float:
    """The step in a line of the journal; infinity if the line cannot be read."""
    try:
        return int(json.loads(line)["step"])
    except ValueError:
        return math.inf


def create(path: Path) -> RunFolder:
    """Create the folder of a new run. Raises TrainingError if it holds a run already."""
    run = RunFolder(path)
    if run.checkpoint.exists() or run.journal.exists():
        raise TrainingError(
            f"{path}: holds a run already; continue it with --resume {path} or choose another --run-dir"
        )
    path.mkdir(parents=True, exist_ok=True)
    return run


def free_name(parent: Path, name: str) -> Path:
    """parent/NAME-1 or, if it exists, parent/NAME-2 and so on: the first path that does not exist."""
    number = 1
    while (parent / f"{name}-{number}").exists():
        number += 1
    return parent / f"{name}-{number}"
