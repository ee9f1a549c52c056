"""Measurements of an exported model, read from the files that `evaluate` and `samples` printed."""

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
    """The measurements of one model and of its twins.

    A twin was trained with the configuration of this run, or of a run it started from, but with another seed.
    """

    evaluations: tuple[Facts, ...] = ()  # output of `evaluate --json` for this model
    twins: tuple[Facts, ...] = ()  # output of `evaluate --json` for its twins
    samples: Facts | None = None  # output of `samples --json` for this model

    @classmethod
    def of(cls, facts: Facts) -> "Measurements":
        """The inverse of to_mapping; an empty mapping gives no measurements."""
        return cls(tuple(facts.get("evaluations", ())), tuple(facts.get("twins", ())), facts.get("samples"))

    def to_mapping(self) -> dict[str, Any]:
        return {"evaluations": list(self.evaluations), "twins": list(self.twins), "samples": self.samples}

    def with_newer(self, newer: "Measurements") -> "Measurements":
        """These measurements and the `newer` ones, which replace those of the same rows (and, for twins, of the same
        run).
        """
        return Measurements(
            _replaced(self.evaluations, newer.evaluations, rows_of),
            _replaced(
                self.twins, newer.twins, lambda facts: (json.dumps(facts["config"], sort_keys=True), rows_of(facts))
            ),
            newer.samples or self.samples,
        )

    def require_of(self, *, digest: str, config: Facts, earlier: Sequence[Facts] = ()) -> None:
        """Raise TrainingError if a figure is of another model, or a twin differs in more than its seed.

        `earlier` are the configurations of the runs that this one started from; their twins are accepted too.
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
            if any(same_but_seed(twin["config"], before) for before in earlier):
                continue
            differing = sorted(differences(config, twin["config"]))
            if differing != ["seed"]:
                raise TrainingError(
                    f"--twin: model {twin['model_digest'][:12]} must differ from this one in its seed alone; "
                    f"different: {', '.join(differing) or 'nothing'}"
                )

    def metrics(self, *, data: str) -> dict[str, float]:
        """The metrics for the manifest: test_dynamic_nll, test_dynamic_nll_standard_error (nats) and so on.

        If a split was measured on several data sets, one has the short names: `data`, on which the model was trained,
        else the first. The names of the others contain the data set: test_dynamic_omniglot_nll.
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


def same_but_seed(one: Facts, other: Facts) -> bool:
    """Whether two configurations are equal except for the seed."""
    return differences(one, other).keys() <= {"seed"}


def rows_of(facts: Facts) -> tuple[str, str, str]:
    """The rows of an evaluation: data set, split and binarisation."""
    return facts["data"], facts["split"], facts["binarisation"]


def _replaced(older: tuple[Facts, ...], newer: tuple[Facts, ...], key: Callable[[Facts], object]) -> tuple[Facts, ...]:
    return tuple({key(facts): facts for facts in (*older, *newer)}.values())


def evaluation(file: Path) -> Facts:
    """Read a file that `evaluate --json` printed, with --estimator importance. Raises TrainingError or OSError."""
    facts = _read(file, _EVALUATION, "evaluate --json")
    if facts["estimator"] != "importance":
        raise TrainingError(
            f"{file}: -log p(x) was measured with --estimator {facts['estimator']}; allowed: --estimator importance"
        )
    return facts


def samples(file: Path) -> Facts:
    """Read a file that `samples --json` printed. Raises TrainingError or OSError."""
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
