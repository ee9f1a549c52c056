"""The tables of a model card: what was measured of the model after it was exported."""

from collections.abc import Mapping
from typing import Any

from training.record import FIGURES, Records


def tables(records: Records, *, seed: int) -> str:
    """Markdown, one paragraph or table after the other; of an unmeasured model, how to measure it."""
    if not records.evaluations:
        return (
            "For the published protocol on test rows: "
            "`python -m training evaluate FOLDER --data DATA --split test --importance-samples 5000`.\n"
        )
    return "\n".join(
        (
            _evaluations(records),
            *([_seeds(records, seed)] if records.twins else []),
            *([_samples(records.samples)] if records.samples is not None else []),
        )
    )


def _evaluations(records: Records) -> str:
    lines = [
        "Measured afterwards, by `python -m training evaluate`, on rows that neither training nor choice has seen; "
        "mean ± standard error over rows:\n",
        "| rows | -log p(x) | ELBO | reconstruction | KL |",
        "|---|---|---|---|---|",
        *(
            f"| {_protocol(found)} | {' | '.join(_figure(found, name) for name in FIGURES)} |"
            for found in records.evaluations
        ),
    ]
    for found in records.evaluations:
        for name, figure in found.get("baselines", {}).items():
            lines.append(f"| {name}, the same rows | {figure['mean']:.2f} ± {figure['standard_error']:.2f} | | | |")
    return "\n".join(lines) + "\n"


def _seeds(records: Records, seed: int) -> str:
    own = records.evaluations[0]
    measured = [(seed, own), *((twin["config"]["seed"], twin) for twin in records.twins)]
    lines = [
        "The same configuration trained from other seeds, of which this is the first line:\n",
        "| seed | rows | -log p(x) | ELBO |",
        "|---|---|---|---|",
    ]
    for number, found in measured:
        lines.append(f"| {number} | {_protocol(found)} | {_figure(found, 'nll')} | {_figure(found, 'elbo')} |")
    return "\n".join(lines) + "\n"


def _samples(found: Mapping[str, Any]) -> str:
    accuracy = ", ".join(f"{value:.2%} of {split} rows" for split, value in found["classifier"]["accuracy"].items())
    lines = [
        f"Mean images of samples, seed {found['seed']}, judged by a classifier that is right on {accuracy} "
        "(`python -m training samples`):\n",
        "| | rows | confidence | gap to real | entropy of classes, nats | Fréchet distance |",
        "|---|---|---|---|---|---|",
    ]
    named = {
        f"real {found['split']}": found["real"],
        "real train": found["real_train"],
        "samples, learned prior": found["learned_prior"],
        "samples, N(0, I)": found["standard_normal"],
    }
    for name, quality in named.items():
        if quality is not None:
            lines.append(
                f"| {name} | {quality['rows']:,} | {quality['confidence']:.4f} ± "
                f"{quality['confidence_standard_error']:.4f} | {quality['gap']:.4f} | {quality['entropy']:.3f} | "
                f"{quality['frechet']:.2f} |"
            )
    return "\n".join(lines) + "\n"


def _protocol(found: Mapping[str, Any]) -> str:
    return (
        f"{found['rows']:,} {found['split']} rows of {found['data']}, binarisation {found['binarisation']}, "
        f"seed {found['seed']}, {found['samples']:,} importance samples"
    )


def _figure(found: Mapping[str, Any], name: str) -> str:
    return f"{found[name]['mean']:.2f} ± {found[name]['standard_error']:.2f}"
