"""`python -m training evaluate`: measure an artifact on a data set and print the figures."""

import json
import os
from pathlib import Path
from typing import get_args

import click
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training import datasets
from training.datasets.dataset import SplitName
from training.evaluation import exported_model
from training.evaluation.evaluate import Estimator, Evaluation
from training.evaluation.evaluate import evaluate as measure
from training.evaluation.mean_and_error import MeanAndError


@click.command(context_settings={"show_default": True})
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--data", "source", required=True, help=f"One of: {datasets.source.ALLOWED}.")
@click.option("--split", type=click.Choice(get_args(SplitName)), default="test")
@click.option("--importance-samples", "samples", type=click.IntRange(1), default=5000, help="Draws of z per row.")
@click.option(
    "--estimator",
    type=click.Choice(get_args(Estimator)),
    default="importance",
    help="How -log p(x) is estimated: importance samples from q(z | x), or draws from the prior (Eq. 6-7), "
    "which shows why that fails.",
)
@click.option("--rows", type=click.IntRange(2), help="Measure this many rows, chosen at random.  [default: all]")
@click.option("--seed", type=int, default=0, help="Decides the binarisation, the choice of rows and the draws of z.")
@click.option("--threads", type=click.IntRange(1), help="Rows measured in parallel.  [default: one per core]")
@click.option(
    "--baselines", "with_baselines", is_flag=True, help="Measure simpler models too; takes minutes for MNIST."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def evaluate(
    *,
    artifact: Path,
    source: str,
    split: SplitName,
    samples: int,
    estimator: Estimator,
    rows: int | None,
    seed: int,
    threads: int | None,
    with_baselines: bool,
    as_json: bool,
) -> None:
    """Measure an ARTIFACT: -log p(x), ELBO, reconstruction, KL, active units. Runs the graphs that are served."""
    # The tensors are small: many rows with one thread each are faster than one row with many threads.
    model = exported_model.load(artifact, threads=1)
    torch.set_num_threads(1)
    dataset = datasets.load(source, environment=os.environ)
    console = Console(stderr=True)
    with Progress(
        TextColumn("rows"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("rows", total=None)
        result = measure(
            model,
            dataset,
            split=split,
            samples=samples,
            estimator=estimator,
            seed=seed,
            most_rows=rows,
            with_baselines=with_baselines,
            workers=threads or len(os.sched_getaffinity(0)),
            begin=lambda count: progress.update(task, total=count),
            done=lambda count: progress.advance(task, count),
        )
    click.echo(json.dumps(result.to_mapping(), indent=1) if as_json else _table(result, dataset.name))


def _table(result: Evaluation, name: str) -> str:
    def line(label: str, figure: MeanAndError) -> str:
        return f"{label:<36}{figure.mean:10.3f} ± {figure.standard_error:.3f}"

    how = {"importance": "importance samples from q(z | x)", "prior": "draws from the prior, shared by all rows"}
    return "\n".join(
        (
            f"{result.rows:,} {result.split} rows of {name}, binarisation {result.binarisation}, seed {result.seed}; "
            "nats per row, mean ± standard error over rows",
            f"{line('-log p(x)', result.nll)}   {result.samples:,} {how[result.estimator]}",
            line("ELBO", result.elbo),
            line("reconstruction", result.reconstruction_nll),
            line("KL", result.kl),
            *(
                f"{line(f'-log p(x), {name}', figure)}   worse by {figure.mean - result.nll.mean:.2f}"
                for name, figure in result.baselines.items()
            ),
            f"{'active units':<36}{result.active_units:6d} of {result.latent_size}",
        )
    )
