"""Session: a run in memory, new or resumed from a checkpoint, which can be trained and saved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from training.config.config import Config
from training.datasets import Dataset
from training.errors import TrainingError
from training.model.vae import Vae
from training.run import checkpoint, loop, warm_start
from training.run.checkpoint import Checkpoint
from training.run.folder import RunFolder
from training.run.hardware import Hardware
from training.run.progress import EpochDone, Event
from training.run.provenance import describe
from training.run.state import State, begin, copy_weights, restore, to_mapping


@dataclass(frozen=True, slots=True)
class Session:
    """A run in memory: its folder, data, machine and state."""

    run: RunFolder
    source: str  # --data, as given
    dataset: Dataset
    hardware: Hardware
    provenance: dict[str, Any]
    state: State

    @property
    def config(self) -> Config:
        return self.state.model.config

    @property
    def epochs_done(self) -> int:
        return self.state.step // steps_per_epoch(self.config, self.dataset.counts)

    def fit(
        self, *, observe: Callable[[Event], None], stopping: Callable[[], bool], clock: Callable[[], float]
    ) -> bool:
        """Train until the end and return True, or return False if `stopping` is true. Raises as loop.fit does."""

        def note(event: Event) -> None:
            observe(event)
            if isinstance(event, EpochDone) and self.hardware.ranks.first:
                self.run.append(event)

        return loop.fit(
            self.state,
            self.dataset,
            hardware=self.hardware,
            save=self.save,
            observe=note,
            stopping=stopping,
            clock=clock,
        )

    def save(self) -> None:
        """Write the checkpoint. Of several processes only the first does, because their states are equal."""
        if self.hardware.ranks.first:
            checkpoint.save(
                self.run.checkpoint,
                Checkpoint(self.config, self.source, self.dataset.item_shape, self.provenance, to_mapping(self.state)),
            )


def new(
    config: Config,
    *,
    run: RunFolder,
    source: str,
    dataset: Dataset,
    hardware: Hardware,
    earlier: Checkpoint | None = None,
) -> Session:
    """A run before its first step, with random weights or with the averaged weights of an `earlier` run.

    Raises TrainingError if a minibatch has fewer rows than there are processes, and as warm_start.require_fit does.
    """
    rows, processes = min(config.optimisation.batch_size, len(dataset.train)), hardware.ranks.count
    if rows < processes:
        raise TrainingError(f"a minibatch of {rows} rows cannot be shared by {processes} processes; start fewer")
    state = begin(
        config,
        item_shape=dataset.item_shape,
        mean_item=dataset.mean_item(),
        deviation=dataset.deviation(),
        hardware=hardware,
    )
    provenance = describe(config, dataset, hardware)
    if earlier is not None:
        warm_start.require_fit(earlier, config, dataset)
        model, done = trained_model(earlier)
        copy_weights(state, model)
        provenance["started_from"] = {**earlier.provenance, **done}
    return Session(run, source, dataset, hardware, provenance, state)


def resume(saved: Checkpoint, *, run: RunFolder, dataset: Dataset, hardware: Hardware) -> Session:
    """The run of a checkpoint, which continues as if it had not been interrupted: bit for bit on a CPU.

    With another number of processes it is equal except for rounding. The journal loses what came after the checkpoint.
    Raises TrainingError if the data or the precision are not those of the run.
    """
    require_same_data(saved, dataset)
    was = saved.provenance["hardware"]["precision"]
    if hardware.precision != was:
        raise TrainingError(f"--resume: the run was trained in {was}; use --precision {was}, or start a new run")
    session = new(saved.config, run=run, source=saved.source, dataset=dataset, hardware=hardware)
    restore(session.state, saved.state)
    if hardware.ranks.first:
        run.drop_after(session.state.step)
    return replace(session, provenance=saved.provenance)


def require_same_data(saved: Checkpoint, dataset: Dataset) -> None:
    """Raise TrainingError if `dataset` is not what the run was trained on."""
    was = saved.provenance["data"]["sha256"]
    if dataset.sha256 != was:
        raise TrainingError(
            f"{dataset.name}: its rows have sha256 {dataset.sha256[:12]}..., the run was trained on {was[:12]}...; "
            "give the same --data, or start a new run"
        )


def trained_model(saved: Checkpoint) -> tuple[Vae, dict[str, Any]]:
    """The model to export, with averaged weights in fp32 on the CPU, and its part of the provenance: `epochs` done and
    `chosen_epoch` (None: the last step).
    """
    model = Vae(saved.config, saved.item_shape)
    best = saved.state["best"]
    model.load_state_dict(saved.state["average"] if best is None else best["weights"])
    return model.requires_grad_(False), {
        "epochs": saved.state["step"] // steps_per_epoch(saved.config, saved.provenance["data"]["rows"]),
        "chosen_epoch": None if best is None else best["epoch"],
    }


def steps_per_epoch(config: Config, counts: Mapping[str, int]) -> int:
    """The steps in one epoch; `counts` are the numbers of rows by split."""
    rows = counts["train"] + (counts["validation"] if config.train_on == "all" else 0)
    return rows // min(config.optimisation.batch_size, rows)
