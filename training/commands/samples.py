"""`python -m training samples`: judge an artifact's samples by a classifier and print the figures."""

import json
import os
from pathlib import Path
from typing import get_args

import click

from training import datasets
from training.datasets.dataset import SplitName
from training.evaluation import classifier as classifiers
from training.evaluation import exported_model
from training.evaluation.classifier import TrainedClassifier
from training.evaluation.sample_quality import TARGET, Quality, SampleQuality, sample_quality


@click.command(context_settings={"show_default": True})
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--data", "source", required=True, help=f"One of: {datasets.source.ALLOWED}.")
@click.option(
    "--classifier",
    "file",
    type=click.Path(path_type=Path),
    required=True,
    help="The classifier, as `training classifier` wrote it.",
)
@click.option("--split", type=click.Choice(get_args(SplitName)), default="test", help="The real rows to compare with.")
@click.option("--count", type=click.IntRange(2), default=10_000, help="Number of samples.")
@click.option("--seed", type=int, default=0, help="Decides the noise.")
@click.option("--threads", type=click.IntRange(1), help="Threads of onnxruntime.  [default: one per core]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def samples(
    *,
    artifact: Path,
    source: str,
    file: Path,
    split: SplitName,
    count: int,
    seed: int,
    threads: int | None,
    as_json: bool,
) -> None:
    """Judge samples of an ARTIFACT by a classifier: from its learned prior, and from N(0, I) in its place."""
    model = exported_model.load(artifact, threads=threads)
    trained = classifiers.read(file)
    dataset = datasets.load(source, environment=os.environ)
    result = sample_quality(model, trained, dataset, split=split, count=count, seed=seed)
    if as_json:
        click.echo(
            json.dumps(
                {"model_digest": model.manifest.digest, **result.to_mapping(), "classifier": trained.provenance},
                indent=1,
            )
        )
    else:
        click.echo(_table(result, trained))


def _table(result: SampleQuality, trained: TrainedClassifier) -> str:
    def line(label: str, quality: Quality) -> str:
        return (
            f"{label:<28}{quality.rows:>7,}{quality.confidence:>11.4f} ± {quality.confidence_standard_error:.4f}"
            f"{quality.gap:>9.4f}{quality.entropy:>9.4f}{quality.effective_classes:>9.2f}{quality.frechet:>10.3f}"
        )

    learned = result.learned_prior
    return "\n".join(
        (
            f"mean images, seed {result.seed}; classifier: {_accuracy(trained)}",
            f"{'':<28}{'rows':>7}{'confidence':>20}{'gap':>9}{'entropy':>9}{'classes':>9}{'Fréchet':>10}",
            line(f"real {result.split}", result.real),
            line("real train", result.real_train),
            *([] if learned is None else [line("samples, learned prior", learned)]),
            line("samples, N(0, I)", result.standard_normal),
            *_verdict(result),
        )
    )


def _verdict(result: SampleQuality) -> list[str]:
    gap, frechet = result.gap_ratio, result.frechet_ratio
    if gap is None or frechet is None:
        return ["the model has no learned prior: N(0, I) is its own"]
    return [
        f"{name} with the learned prior: {ratio:.2f} of that with N(0, I); at most {TARGET} is "
        f"{'reached' if ratio <= TARGET else 'not reached'}"
        for name, ratio in (("gap", gap), ("Fréchet", frechet))
    ]


def _accuracy(trained: TrainedClassifier) -> str:
    name, found = trained.provenance["data"]["name"], trained.provenance["accuracy"]
    figures = ", ".join(f"{value:.2%} of {split} rows" for split, value in found.items())
    return f"{name}, right on {figures or 'unknown: no held-out row has a label'}"
