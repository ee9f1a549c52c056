"""The reader of a run's journal, which has one EpochDone per line."""

import json

from training.config.mapping import from_mapping
from training.errors import TrainingError
from training.run.folder import RunFolder
from training.run.progress import EpochDone


def read(run: RunFolder, *, until: int) -> tuple[EpochDone, ...]:
    """The epochs, at least one, that ended at or before step `until`, the checkpoint's.

    Later ones may be in the journal, because a run writes its journal before its checkpoint. An incomplete last line is
    left out. Raises TrainingError if there is no epoch or a line is damaged, and OSError if the file cannot be read.
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
