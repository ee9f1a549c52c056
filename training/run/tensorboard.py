"""The writer of the journal's figures for TensorBoard (`fit --tensorboard`), under names that TensorBoard groups."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.run.progress import EpochDone, Event

FOLDER = "tensorboard"  # inside the run's folder


@contextmanager
def recorder(run: Path, *, epochs_done: int, wanted: bool) -> Iterator[Callable[[Event], None]]:
    """A function to call with every event: it writes the figures of finished epochs, or nothing if not `wanted`.

    The figures that an interrupted run wrote are continued after `epochs_done`. Raises TrainingError if the package
    tensorboard is missing.
    """
    if not wanted:
        yield lambda _: None
        return
    writer = _writer(run / FOLDER, epochs_done=epochs_done)
    try:
        yield lambda event: _write(writer, event)
    finally:
        writer.close()


def figures(epoch: EpochDone) -> dict[str, float]:
    """The figures of an epoch by name, in nats except for the schedule and the speed."""
    found: dict[str, float] = {}
    for rows, means in (("train", epoch.train), ("validation", epoch.validation)):
        found |= {
            f"elbo/{rows}": means.elbo,
            f"reconstruction/{rows}": means.reconstruction,
            f"kl/{rows}": means.kl,
        }
    if epoch.bound is not None:
        found["importance_weighted_bound/validation"] = epoch.bound
    return found | {
        "schedule/learning_rate": epoch.learning_rate,
        "schedule/kl_weight": epoch.kl_weight,
        "speed/rows_per_second": epoch.rows_per_second,
    }


def _writer(folder: Path, *, epochs_done: int) -> Any:
    try:
        writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter
    except ImportError as error:
        raise TrainingError(
            f"--tensorboard needs the package tensorboard ({error}); pip install 'vaeserve[tensorboard]'"
        ) from error
    # TensorBoard hides epochs after the checkpoint, because the resumed run does them again.
    return writer(str(folder), purge_step=epochs_done + 1)


def _write(writer: Any, event: Event) -> None:
    if isinstance(event, EpochDone):
        for name, value in figures(event).items():
            writer.add_scalar(name, value, event.epoch)
