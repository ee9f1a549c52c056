"""`vaeserve decode`: latents from a file become items."""

from pathlib import Path

import click

from vaeserve.cli import noise, output, pages, report, sources
from vaeserve.cli.connection import BadInput, connected, pin
from vaeserve.cli.output import Output
from vaeserve.client import Client


@click.command(short_help="Decode latents into items.")
@click.argument("latents", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="LATENTS.npy|npz")
@noise.draw
@noise.seeding
@output.columns
@output.writing(
    default="decoded.png", endings=(".png", ".npy", ".npz"), what="A picture, or the items as .npy or .npz."
)
@report.json_option
@connected
def decode(
    client: Client,
    *,
    latents: Path,
    draw: bool,
    seed: int | None,
    first_row: int,
    columns: int | None,
    out: Output,
    as_json: bool,
) -> None:
    """Decode latents [rows, latent] into items, e.g. from the .npz that `sample` or `encode` wrote."""
    pinned, model = pin(client)
    rows = sources.read_array(latents, "latents", "mean")
    if rows.ndim != 2 or rows.shape[1] != model.latent_size or not len(rows):
        raise BadInput(f"{latents} has shape {list(rows.shape)}, the model wants [rows, {model.latent_size}]")
    out.require_pictures(model, rows=len(rows))
    paged = pages.ask(
        "decoding",
        len(rows),
        model,
        lambda page: pinned.decode(
            rows[page.rows],
            output="draw" if draw else "mean",
            seed=page.seed,
            first_row=page.first_row,
            encoding=out.encoding(model),
        ),
        seed=seed,
        first_row=first_row,
    )
    out.write_items(paged.joined("items"), model, columns=columns)
    report.done(paged, model, out, as_json=as_json)
