"""`python -m training report`: write an HTML page about a run."""

import os
from pathlib import Path

import click

from training import atomic, datasets
from training.errors import TrainingError
from training.report import journal, page
from training.report.findings import gather
from training.run import checkpoint
from training.run.folder import RunFolder


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", "source", help="Where the data are now, if they were moved.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The page; replaced if it exists.  [default: RUN/report.html]"
)
@click.option(
    "--baselines", "with_baselines", is_flag=True, help="Measure simpler models too; takes minutes for MNIST."
)
def report(*, run: Path, source: str | None, out: Path | None, with_baselines: bool) -> None:
    """Write an HTML page about a run, finished or not: curves, samples, latents, configuration."""
    file = out or run / "report.html"
    if file.suffix != ".html":  # the file is replaced: it must not be a checkpoint
        raise TrainingError(f"--out {file}: the name must end in .html")
    saved = checkpoint.read(RunFolder(run).checkpoint)
    epochs = journal.read(RunFolder(run), until=saved.state["step"])
    dataset = datasets.load(saved.source if source is None else source, environment=os.environ)
    findings = gather(run.resolve().name, saved, epochs, dataset, with_baselines=with_baselines)
    # The page shows the folder's name, which may hold bytes that are not UTF-8.
    atomic.replace(file, page.text(findings).encode("utf-8", errors="replace"))
    click.echo(f"report: {file}")
