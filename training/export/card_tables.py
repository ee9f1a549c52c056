"""The tables of a model card with the measurements made after export."""

from collections.abc import Mapping, Sequence
from typing import Any

from training.export.measurements import FIGURES, Measurements, rows_of, same_but_seed


def tables(records: Measurements, *, data: str, config: Mapping[str, Any]) -> str:
    """The tables in Markdown or, for a model without measurements, a sentence that says how to measure it.

    `data` is the name of the data set that the model was trained on, and `config` its configuration.
    """
    if not records.evaluations:
        return (
            "For the published protocol on test rows: "
            "`python -m training evaluate FOLDER --data DATA --split test --importance-samples 5000`.\n"
        )
    return "\n".join(
        (
            _evaluations(records, data, config["train_on"]),
            *_twins(records, config),
            *([_samples(records.samples)] if records.samples is not None else []),
        )
    )


def _evaluations(records: Measurements, data: str, train_on: str) -> str:
    notes = dict.fromkeys(_seen(found, data, train_on) for found in records.evaluations)
    lines = [
        "Measured afterwards, by `python -m training evaluate`; mean ± standard error over rows. "
        + " ".join(notes)
        + "\n",
        "| rows | -log p(x) | ELBO | reconstruction | KL |",
        "|---|---|---|---|---|",
    ]
    for found in records.evaluations:
        lines.append(f"| {_protocol(found)} | {' | '.join(_figure(found, name) for name in FIGURES)} |")
        baselines = found.get("baselines", {}).items()
        for name, figure in sorted(baselines, key=lambda item: item[1]["mean"]):  # a manifest's keys have no order
            lines.append(f"| {name}, the same rows | {figure['mean']:.2f} ± {figure['standard_error']:.2f} | | | |")
    return "\n".join(lines) + "\n"


def _seen(found: Mapping[str, Any], data: str, train_on: str) -> str:
    """Whether training has seen the rows of an evaluation, in words."""
    split = found["split"]
    if found["data"] != data:
        return (
            f"{found['data']} is not {data}, which the model was trained on; whether they share rows is not recorded."
        )
    if split == "test":
        return f"Neither training nor choice has seen the test rows of {data}."
    if split == "train" or train_on == "all":
        return (
            f"The {'training' if split == 'train' else split} rows of {data} were trained on, so their figures flatter."
        )
    return f"The validation rows of {data} chose the epoch that is exported, so their figures flatter a little."


def _twins(records: Measurements, config: Mapping[str, Any]) -> list[str]:
    """A table of the twins of this run, and one of the twins of the run that it started from."""
    later = [twin for twin in records.twins if same_but_seed(twin["config"], config)]
    earlier = [twin for twin in records.twins if not same_but_seed(twin["config"], config)]
    tables = []
    if later:
        twinned = [rows_of(twin) for twin in later]
        own = [found for found in records.evaluations if rows_of(found) in twinned] or [records.evaluations[0]]
        title = f"The same configuration trained from other seeds, beside this model's seed {config['seed']}:"
        tables.append(_seeds(title, [*own, *later]))
    if earlier:
        tables.append(_seeds("The run whose weights it began with, from each seed that was measured:", earlier))
    return tables


def _seeds(title: str, measured: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"{title}\n", "| seed | rows | -log p(x) | ELBO |", "|---|---|---|---|"]
    for found in measured:
        seed = found["config"]["seed"]
        lines.append(f"| {seed} | {_protocol(found)} | {_figure(found, 'nll')} | {_figure(found, 'elbo')} |")
    return "\n".join(lines) + "\n"


def _samples(found: Mapping[str, Any]) -> str:
    accuracies = sorted(found["classifier"]["accuracy"].items())
    accuracy = ", ".join(f"{value:.2%} of {split} rows" for split, value in accuracies)
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
