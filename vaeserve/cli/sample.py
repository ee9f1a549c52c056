"""`vaeserve sample`."""

import click

from vaeserve.cli import noise, output, pages, report
from vaeserve.cli.connection import connected, pin
from vaeserve.cli.output import Output
from vaeserve.client import Client


@click.command(short_help="Draw items from a model.")
@click.option("-n", "--count", type=click.IntRange(min=1), default=64, show_default=True, help="How many items.")
@noise.seed
@noise.first_row
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Below 1: less varied.")
@noise.draw
@output.columns
@output.writing(
    default="samples.png",
    endings=(".png", ".npy", ".npz"),
    what="A picture, the items as .npy, or items and latents as .npz.",
)
@report.json_option
@connected
def sample(
    client: Client,
    *,
    count: int,
    seed: int | None,
    first_row: int,
    temperature: float,
    draw: bool,
    columns: int | None,
    out: Output,
    as_json: bool,
) -> None:
    """Draw items from a model."""
    pinned, model = pin(client)
    out.require_pictures(model, rows=count)
    paged = pages.ask(
        "sampling",
        count,
        model,
        lambda page, seed: pinned.sample(
            len(page),
            seed=seed,
            first_row=first_row + page.start,
            temperature=temperature,
            output="draw" if draw else "mean",
            encoding=out.encoding(model),
            want_latents=True,
        ),
        seed=seed,
    )
    if out.is_picture:
        out.write_picture(output.picture(paged.joined("items"), model, columns=columns))
    else:
        out.write_arrays({"items": paged.joined("items"), "latents": paged.joined("latents")})
    report.done(paged, model, out, as_json=as_json, first_row=first_row)
