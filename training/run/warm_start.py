"""When the weights of an earlier run may begin a new one."""

from collections.abc import Iterator, Mapping
from typing import Any

from training.config.config import Config
from training.config.resolve import differences
from training.datasets import Dataset
from training.errors import TrainingError
from training.run.checkpoint import Checkpoint

NETWORK = ("architecture", "latent_size", "likelihood", "sigma", "prior")  # what weights belong to


def require_fit(earlier: Checkpoint, config: Config, dataset: Dataset) -> None:
    """Raises TrainingError unless the network is the same and validation rows may still choose where they are to."""
    was, asked = ({name: each.to_mapping()[name] for name in NETWORK} for each in (earlier.config, config))
    for name, (old, new) in differences(was, asked).items():
        raise TrainingError(
            f"--start-from: that run, of --preset {earlier.config.preset}, has {name} = {old}, this one {new}; "
            "give the same"
        )
    if earlier.item_shape != dataset.item_shape:
        raise TrainingError(
            f"--start-from: that run was trained on items {earlier.item_shape}, {dataset.name} has {dataset.item_shape}"
        )
    if config.train_on == "train" and any(
        before["config"]["train_on"] == "all" and before["data"]["sha256"] == dataset.sha256
        for before in runs(earlier.provenance)
    ):
        raise TrainingError(
            "--start-from: that run was trained on the validation rows of these data, which can choose no epoch now; "
            "give --train-on all"
        )


def origin(provenance: Mapping[str, Any]) -> str | None:
    """In words, whose weights a run began with, and whose that one; None if its own were random."""
    _, *earlier = runs(provenance)
    return ", after ".join(map(_run, earlier)) or None


def _run(provenance: Mapping[str, Any]) -> str:
    config = provenance["config"]
    return (
        f"the averaged weights of a run of preset {config['preset']}, seed {config['seed']}, "
        f"{provenance['epochs']} epochs of {provenance['data']['name']}"
    )


def runs(provenance: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A run, the one it began with, the one before that."""
    yield provenance
    if "started_from" in provenance:
        yield from runs(provenance["started_from"])
