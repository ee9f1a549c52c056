"""Starting a run from an earlier run's weights (`fit --start-from`): when it is allowed, and how it is described."""

from collections.abc import Iterator, Mapping
from typing import Any

from training.config.config import Config
from training.config.resolve import differences
from training.datasets import Dataset
from training.errors import TrainingError
from training.run.checkpoint import Checkpoint

NETWORK = ("architecture", "latent_size", "likelihood", "sigma", "prior")  # settings that decide what the weights are


def require_fit(earlier: Checkpoint, config: Config, dataset: Dataset) -> None:
    """Raise TrainingError if the network or the items differ, or if the earlier run was trained on validation rows by
    which this run would choose its best epoch.
    """
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
            "--start-from: that run was trained on the validation rows of these data, so they cannot choose the best "
            "epoch of this one; give --train-on all"
        )


def origin(provenance: Mapping[str, Any]) -> str | None:
    """The runs that a run started from, in words, the latest first; None if it started from random weights."""
    _, *earlier = runs(provenance)
    return ", after ".join(map(_run, earlier)) or None


def _run(provenance: Mapping[str, Any]) -> str:
    config = provenance["config"]
    return (
        f"the averaged weights of a run of preset {config['preset']}, seed {config['seed']}, "
        f"{provenance['epochs']} epochs of {provenance['data']['name']}"
    )


def runs(provenance: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The provenance of a run, of the run it started from, of the run before that, and so on."""
    yield provenance
    if "started_from" in provenance:
        yield from runs(provenance["started_from"])
