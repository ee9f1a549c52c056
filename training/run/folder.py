"""A run's folder: its checkpoint and its journal."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from training.errors import TrainingError
from training.run.progress import EpochDone


@dataclass(frozen=True, slots=True)
class RunFolder:
    """runs/NAME/."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    @property
    def journal(self) -> Path:
        """One JSON object a line, one line an epoch."""
        return self.path / "journal.jsonl"

    def note(self, event: EpochDone) -> None:
        with self.journal.open("a") as stream:
            stream.write(json.dumps(asdict(event), sort_keys=True) + "\n")

    def forget_after(self, step: int) -> None:
        """Drop what the journal says of steps that a resumed run will do again, and a line cut off by a crash."""
        if not self.journal.exists():
            return
        kept = [line for line in self.journal.read_text().splitlines() if _step(line) <= step]
        self.journal.write_text("".join(line + "\n" for line in kept))


def _step(line: str) -> float:
    """The step that a line of the journal speaks of; beyond every step if it cannot be read."""
    try:
        return int(json.loads(line)["step"])
    except ValueError:
        return math.inf


def create(path: Path) -> RunFolder:
    """A new run's folder. Raises TrainingError if it holds a run already."""
    run = RunFolder(path)
    if run.checkpoint.exists() or run.journal.exists():
        raise TrainingError(
            f"{path}: holds a run already; continue it with --resume {path} or choose another --run-dir"
        )
    path.mkdir(parents=True, exist_ok=True)
    return run


def free_name(parent: Path, name: str) -> Path:
    """parent/name-1, or the first number that is free."""
    number = 1
    while (parent / f"{name}-{number}").exists():
        number += 1
    return parent / f"{name}-{number}"
