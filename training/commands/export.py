"""`python -m training export`."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from training import checkpoint, datasets, record
from training import export as exporting
from training.datasets import Dataset
from training.run import Run
from training.session import require_same_data, trained_model


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="exported/NAME/VERSION; must not exist.")
@click.option("--data", "source", help="Where the data are now, if they moved.")
@click.option(
    "--evaluation",
    "evaluations",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A file that `evaluate --json` printed of this model, to be recorded in manifest and card. Repeatable.",
)
def export(run: Path, out: Path, source: str | None, evaluations: tuple[Path, ...]) -> None:
    """Export the best weights of a run, finished or interrupted."""
    exporting.require_version(out)
    exporting.require_free(out)
    saved = checkpoint.read(Run(run).checkpoint)
    recorded = [record.read(file) for file in evaluations]
    export_run(Run(run), datasets.load(source or saved.source, environment=os.environ), out, evaluations=recorded)


def export_run(run: Run, dataset: Dataset, out: Path, *, evaluations: Sequence[Mapping[str, Any]] = ()) -> None:
    """Write the artifact of a run's checkpoint and say what it is. Raises TrainingError or OSError."""
    saved = checkpoint.read(run.checkpoint)
    require_same_data(saved, dataset)
    model, chosen = trained_model(saved)
    total = saved.config.optimisation.epochs
    trained = f"Trained for {chosen['epochs']} of {total} epochs; exported are the averaged weights of " + (
        "its last step."
        if chosen["chosen_epoch"] is None
        else f"epoch {chosen['chosen_epoch']}, the best on the validation rows."
    )
    done = exporting.export(
        model,
        dataset,
        provenance={**saved.provenance, **chosen},
        trained=trained,
        out=out,
        evaluations=evaluations,
    )
    manifest = done.manifest
    metrics, alike = manifest.metrics, manifest.provenance["parity"]["rows_bit_identical"]
    for graph in (name for name, same in alike.items() if not same):
        click.echo(f"note: in onnxruntime on this CPU a row's last bits depend on its batch: {graph}.onnx", err=True)
    click.echo(
        f"exported {done.path}: validation ELBO {metrics['elbo']:.2f}, "
        f"-log p(x) {metrics['nll']:.2f} ± {metrics['nll_standard_error']:.2f} nats, "
        f"{metrics['active_units']:.0f} of {manifest.latent_size} latents active"
    )
