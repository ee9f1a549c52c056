"""`python -m training export`: write a run's best weights as an artifact."""

import os
from pathlib import Path

import click

from training import datasets
from training.atomic import require_free
from training.datasets import Dataset
from training.export import export as exporting
from training.export.export import require_version
from training.run import checkpoint
from training.run.folder import RunFolder
from training.run.session import require_same_data, trained_model


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="exported/NAME/VERSION; must not exist.")
@click.option("--data", "source", help="Where the data are now, if they were moved.")
def export(run: Path, out: Path, source: str | None) -> None:
    """Export the best weights of a run, finished or interrupted."""
    require_version(out)
    require_free(out)
    saved = checkpoint.read(RunFolder(run).checkpoint)
    export_run(RunFolder(run), datasets.load(saved.source if source is None else source, environment=os.environ), out)


def export_run(run: RunFolder, dataset: Dataset, out: Path) -> None:
    """Export a run's checkpoint to `out` and print the artifact's figures. Raises TrainingError or OSError."""
    saved = checkpoint.read(run.checkpoint)
    require_same_data(saved, dataset)
    model, chosen = trained_model(saved)
    done = exporting.export(model, dataset, provenance={**saved.provenance, **chosen}, out=out)
    manifest = done.manifest
    metrics, alike = manifest.metrics, manifest.provenance["parity"]["rows_bit_identical"]
    for graph in (name for name, same in alike.items() if not same):
        click.echo(f"note: on this CPU the last bits of a row of {graph}.onnx depend on its batch", err=True)
    click.echo(
        f"exported {done.path}: {manifest.provenance['held_out']} ELBO {metrics['elbo']:.2f}, "
        f"-log p(x) {metrics['nll']:.2f} ± {metrics['nll_standard_error']:.2f} nats, "
        f"{metrics['active_units']:.0f} of {manifest.latent_size} latents active"
    )
