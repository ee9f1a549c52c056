"""What was measured of an exported model, read back to be recorded in its artifact."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.config.resolve import differences
from training.errors import TrainingError

Facts = Mapping[str, Any]
FIGURES = ("nll", "elbo", "reconstruction_nll", "kl")
_EVALUATION = {"model_digest", "config", "data", "split", "binarisation", "estimator", "rows", "samples", *FIGURES}
_SAMPLES = {"model_digest", "real", "real_train", "learned_prior", "standard_normal", "classifier"}


@dataclass(frozen=True, slots=True)
class Measurements:
    """Of one model and of its twins: its configuration, or that of a run it began with, from other seeds."""

    evaluations: tuple[Facts, ...] = ()  # what `evaluate --json` printed of this model
    twins: tuple[Facts, ...] = ()  # and of the others
    samples: Facts | None = None  # what `samples --json` printed of this model

    @classmethod
    def of(cls, facts: Facts) -> "Measurements":
        """The inverse of to_mapping; of an empty mapping none."""
        return cls(tuple(facts.get("evaluations", ())), tuple(facts.get("twins", ())), facts.get("samples"))

    def to_mapping(self) -> dict[str, Any]:
        return {"evaluations": list(self.evaluations), "twins": list(self.twins), "samples": self.samples}

    def with_newer(self, newer: "Measurements") -> "Measurements":
        """Both, where `newer` takes the place of what was measured of the same rows and, of twins, the same run."""
        return Measurements(
            _replaced(self.evaluations, newer.evaluations, rows_of),
            _replaced(
                self.twins, newer.twins, lambda facts: (json.dumps(facts["config"], sort_keys=True), rows_of(facts))
            ),
            newer.samples or self.samples,
        )

    def require_of(self, *, digest: str, config: Facts, earlier: Sequence[Facts] = ()) -> None:
        """Raises TrainingError for a figure of another model, or of a twin that differs in more than its seed.

        `earlier` are the configurations of the runs that the model began with, whose twins are welcome too.
        """
        for flag, facts in (
            *(("--evaluation", facts) for facts in self.evaluations),
            *(() if self.samples is None else (("--samples", self.samples),)),
        ):
            if facts["model_digest"] != digest:
                raise TrainingError(
                    f"{flag}: measured model {facts['model_digest'][:12]}, this is {digest[:12]}; measure this one"
                )
        for twin in self.twins:
            if any(alike(twin["config"], before) for before in earlier):
                continue
            differing = sorted(differences(config, twin["config"]))
            if differing != ["seed"]:
                raise TrainingError(
                    f"--twin: model {twin['model_digest'][:12]} must differ from this one in its seed alone; "
                    f"different: {', '.join(differing) or 'nothing'}"
                )

    def metrics(self, *, data: str) -> dict[str, float]:
        """The manifest's names and values, e.g. test_dynamic_nll and test_dynamic_nll_standard_error in nats.

        Where a split was measured of two data sets, that of `data`, which the model was trained on, or else the first
        has the short name; the others' names say which they are: test_dynamic_omniglot_nll.
        """
        found: dict[str, float] = {}
        for evaluation in sorted(self.evaluations, key=lambda facts: bool(facts["data"] != data)):
            prefix = f"{evaluation['split']}_{evaluation['binarisation']}"
            if f"{prefix}_rows" in found:
                prefix = f"{prefix}_{evaluation['data']}"
            for name in FIGURES:
                found[f"{prefix}_{name}"] = evaluation[name]["mean"]
                found[f"{prefix}_{name}_standard_error"] = evaluation[name]["standard_error"]
            found[f"{prefix}_rows"] = float(evaluation["rows"])
            found[f"{prefix}_importance_samples"] = float(evaluation["samples"])
        if self.samples is not None:
            own = self.samples["learned_prior"] or self.samples["standard_normal"]
            found |= {f"samples_{name}": own[name] for name in ("confidence", "gap", "entropy", "frechet")}
        return found


def alike(one: Facts, other: Facts) -> bool:
    """Whether two configurations are the same but for the seed."""
    return differences(one, other).keys() <= {"seed"}


def rows_of(facts: Facts) -> tuple[str, str, str]:
    """Which rows an evaluation is of, and how its likelihood saw them."""
    return facts["data"], facts["split"], facts["binarisation"]


def _replaced(older: tuple[Facts, ...], newer: tuple[Facts, ...], key: Callable[[Facts], object]) -> tuple[Facts, ...]:
    return tuple({key(facts): facts for facts in (*older, *newer)}.values())


def evaluation(file: Path) -> Facts:
    """What `evaluate --json` printed of -log p(x) by importance sampling. Raises TrainingError, OSError."""
    facts = _read(file, _EVALUATION, "evaluate --json")
    if facts["estimator"] != "importance":
        raise TrainingError(
            f"{file}: its -log p(x) is by --estimator {facts['estimator']}, which is no figure to publish; "
            "measure with --estimator importance"
        )
    return facts


def samples(file: Path) -> Facts:
    """What `samples --json` printed. Raises TrainingError, OSError."""
    return _read(file, _SAMPLES, "samples --json")


def _read(file: Path, needed: set[str], command: str) -> Facts:
    try:
        facts = json.loads(file.read_text())
        complete = needed <= facts.keys()
    except (ValueError, AttributeError):
        complete = False
    if not complete:
        raise TrainingError(f"{file}: is not what `{command}` prints")
    return dict(facts)
