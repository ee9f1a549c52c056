"""Reading a run's journal: one EpochDone a line."""

import json

from training.config.mapping import from_mapping
from training.errors import TrainingError
from training.run.folder import RunFolder
from training.run.progress import EpochDone


def read(run: RunFolder, *, until: int) -> tuple[EpochDone, ...]:
    """The epochs, at least one, that ended at or before step `until`: a run that goes on notes one before it saves.

    A last line cut off by a crash, or half written, is left out.

    Raises TrainingError if there is none or a line is damaged, OSError if the file cannot be read.
    """
    file = run.journal
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    epochs = []
    for number, line in enumerate(lines, start=1):
        try:
            epochs.append(from_mapping(EpochDone, json.loads(line)))
        except (ValueError, TypeError, TrainingError):
            if number < len(lines):
                raise TrainingError(f"{file}: line {number} is damaged; put back a copy of the file") from None
    saved = tuple(epoch for epoch in epochs if epoch.step <= until)
    if not saved:
        raise TrainingError(
            f"{run.path}: no epoch is complete in {file.name}; go on with fit --resume, or put back a copy of the file"
        )
    return saved
