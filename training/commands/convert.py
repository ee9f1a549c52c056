"""`python -m training convert`: copy an artifact in another precision."""

from pathlib import Path
from typing import get_args

import click

from training.atomic import require_free
from training.export.export import require_version
from training.export.half_precision import Precision
from training.export.half_precision import convert as convert_artifact


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="exported/NAME/VERSION; must not exist.")
@click.option("--precision", type=click.Choice(get_args(Precision)), required=True, help="fp16: for GPUs.")
def convert(*, artifact: Path, out: Path, precision: Precision) -> None:
    """Copy an ARTIFACT with its encoder and decoder in another precision.

    The copy has another digest and gives nearly the same answers.
    """
    require_version(out)
    require_free(out)
    done = convert_artifact(artifact, precision=precision, out=out)
    errors = done.manifest.provenance["parity"]["max_error"]
    worst = max(errors, key=errors.__getitem__)
    click.echo(
        f"converted {out} to {precision}: the largest error is {errors[worst]:.2g}, in {worst} "
        "(relative for values above 1)"
    )
