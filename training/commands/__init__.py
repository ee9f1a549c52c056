"""The verbs of the command line, one per file."""

import click

from training.commands.classifier import classifier
from training.commands.convert import convert
from training.commands.evaluate import evaluate
from training.commands.export import export
from training.commands.fit import fit
from training.commands.record import record
from training.commands.report import report
from training.commands.samples import samples


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Train variational autoencoders, measure them, and export them for `python -m server`."""


cli.add_command(fit)
cli.add_command(evaluate)
cli.add_command(export)
cli.add_command(record)
cli.add_command(convert)
cli.add_command(classifier)
cli.add_command(samples)
cli.add_command(report)
