"""`python -m training classifier`: train the classifier by which `samples` judges a model."""

import os
from pathlib import Path
from typing import get_args

import click
from rich.console import Console

from training import datasets
from training.config.config import ConvArchitecture
from training.errors import TrainingError
from training.evaluation import classifier as classifiers
from training.evaluation.classifier_fit import EPOCHS, ClassifierEpoch, fit_classifier
from training.run import hardware


@click.command(context_settings={"show_default": True})
@click.option("--data", "source", required=True, help=f"Labelled data; one of: {datasets.source.ALLOWED}.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The file to write, for example runs/mnist-classifier.pt.",
)
@click.option("--epochs", type=click.IntRange(1), default=EPOCHS, help="Passes over the training rows.")
@click.option(
    "--seed", type=int, default=0, help="Decides the initial weights, the order of the rows and how images are moved."
)
@click.option("--device", type=click.Choice(get_args(hardware.Device)), default="auto")
@click.option("--precision", type=click.Choice(get_args(hardware.Precision)), default="auto")
@click.option("--threads", type=click.IntRange(1), help="CPU threads; take fewer than cores on a shared machine.")
def classifier(
    *,
    source: str,
    out: Path,
    epochs: int,
    seed: int,
    device: hardware.Device,
    precision: hardware.Precision,
    threads: int | None,
) -> None:
    """Train a classifier on labelled images; `samples` judges generated images by it."""
    if out.exists():
        raise TrainingError(f"--out {out}: exists already; choose another name")
    machine = hardware.choose(device, precision, ConvArchitecture(), threads=threads)
    dataset = datasets.load(source, environment=os.environ)
    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    def show(event: ClassifierEpoch) -> None:
        seen = "" if event.accuracy is None else f"  validation accuracy {event.accuracy:.2%}"
        say(f"epoch {event.epoch:>{len(str(event.epochs))}}/{event.epochs}  loss {event.loss:.4f}{seen}")

    say(f"data      {dataset.name}: {', '.join(f'{count:,} {name}' for name, count in dataset.counts.items())}")
    say(f"machine   {machine}, seed {seed}")
    trained = fit_classifier(dataset, epochs=epochs, seed=seed, hardware=machine, observe=show)
    classifiers.save(out, trained)
    found = ", ".join(f"{value:.2%} of {name} rows" for name, value in trained.provenance["accuracy"].items())
    click.echo(f"wrote {out}: right on {found or 'unknown: no held-out row has a label'}")
