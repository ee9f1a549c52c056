"""`python -m training report`."""

import os
from pathlib import Path

import click

from training import checkpoint, datasets
from training.errors import TrainingError
from training.report import journal, page
from training.report.findings import gather
from training.run import Run


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--data", "source", help="Where the data are now, if they moved.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The page; an old one is replaced.  [default: RUN/report.html]"
)
@click.option("--baselines", "with_baselines", is_flag=True, help="Simpler models beside it: minutes for MNIST.")
def report(*, run: Path, source: str | None, out: Path | None, with_baselines: bool) -> None:
    """Write one HTML page about a run, finished or not: curves, samples, latents, configuration."""
    file = out or run / "report.html"
    if file.suffix != ".html":  # what is there is replaced: a page, never a checkpoint
        raise TrainingError(f"--out {file}: a page's name ends in .html")
    saved = checkpoint.read(Run(run).checkpoint)
    epochs = journal.read(Run(run), until=saved.state["step"])
    dataset = datasets.load(saved.source if source is None else source, environment=os.environ)
    findings = gather(run.resolve().name, saved, epochs, dataset, with_baselines=with_baselines)
    _write_whole(file, page.text(findings))
    click.echo(f"report: {file}")


def _write_whole(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.partial")
    try:
        temporary.write_text(text, encoding="utf-8", errors="replace")  # a folder may have any bytes for a name
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
