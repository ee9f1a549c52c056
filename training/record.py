"""Evaluations of an exported model, read back to be recorded in its artifact."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.errors import TrainingError

FIGURES = ("nll", "elbo", "reconstruction_nll", "kl")


def read(file: Path) -> Mapping[str, Any]:
    """What `evaluate --json` printed. Raises TrainingError, OSError."""
    try:
        facts = json.loads(file.read_text())
        complete = {"model_digest", "split", "binarisation", "rows", "samples", *FIGURES} <= facts.keys()
    except (ValueError, AttributeError):
        complete = False
    if not complete:
        raise TrainingError(f"{file}: is not what `evaluate --json` prints")
    return dict(facts)


def metrics(evaluations: Sequence[Mapping[str, Any]], *, digest: str) -> dict[str, float]:
    """The manifest's names and values, e.g. test_dynamic_nll and test_dynamic_nll_standard_error in nats.

    Raises TrainingError for an evaluation of a model with another digest: no figure is ever another model's.
    """
    found: dict[str, float] = {}
    for evaluation in evaluations:
        if evaluation["model_digest"] != digest:
            raise TrainingError(
                f"--evaluation: measured model {evaluation['model_digest'][:12]}, this is {digest[:12]}; "
                "export without it, evaluate that, then export again"
            )
        prefix = f"{evaluation['split']}_{evaluation['binarisation']}"
        for name in FIGURES:
            found[f"{prefix}_{name}"] = evaluation[name]["mean"]
            found[f"{prefix}_{name}_standard_error"] = evaluation[name]["standard_error"]
        found[f"{prefix}_rows"] = evaluation["rows"]
        found[f"{prefix}_importance_samples"] = evaluation["samples"]
    return found
