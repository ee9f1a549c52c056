"""`python -m training record`: copy an artifact and add measurements to its manifest and model card."""

import shutil
from dataclasses import replace
from pathlib import Path

import click

from server import artifact as artifacts
from training.atomic import creating
from training.evaluation import exported_model
from training.export import measurements as records
from training.export.export import require_version, write_facts
from training.export.measurements import Measurements
from training.run import warm_start


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="exported/NAME/VERSION; must not exist.")
@click.option(
    "--evaluation",
    "evaluations",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Output of `evaluate --json` for this model. Repeatable.",
)
@click.option(
    "--twin",
    "twins",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Output of `evaluate --json` for the same training with another --seed, of this run or of the run it started "
    "from. Repeatable.",
)
@click.option("--samples", type=click.Path(path_type=Path), help="Output of `samples --json` for this model.")
def record(
    *, artifact: Path, out: Path, evaluations: tuple[Path, ...], twins: tuple[Path, ...], samples: Path | None
) -> None:
    """Copy an ARTIFACT and add measurements to its manifest and card. Graphs, digest and answers stay the same."""
    require_version(out)
    manifest = exported_model.read_artifact(artifact).manifest
    measured = Measurements(
        evaluations=tuple(map(records.evaluation, evaluations)),
        twins=tuple(map(records.evaluation, twins)),
        samples=None if samples is None else records.samples(samples),
    )
    own, *earlier = (run["config"] for run in warm_start.runs(manifest.provenance))
    measured.require_of(digest=manifest.digest, config=own, earlier=earlier)
    every = Measurements.of(manifest.provenance["measured"]).with_newer(measured)
    told = replace(
        manifest,
        provenance={**manifest.provenance, "measured": every.to_mapping()},
        metrics={**manifest.metrics, **every.metrics(data=manifest.provenance["data"]["name"])},
    )
    with creating(out) as folder:
        shutil.copytree(artifact, folder, dirs_exist_ok=True)
        write_facts(folder, told)
        artifacts.read(folder)
    click.echo(f"recorded {out}: {len(every.evaluations)} evaluations, {len(every.twins)} other seeds")
