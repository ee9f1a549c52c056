"""`vaeserve reconstruct`: pictures or arrays are encoded, decoded and scored."""

from pathlib import Path

import click
import numpy as np

from vaeserve.cli import noise, output, pages, report, sources
from vaeserve.cli.connection import connected, pin
from vaeserve.cli.output import Output
from vaeserve.client import Client

SCORES = ("reconstruction_nll", "kl", "elbo", "elbo_percentile")
COLUMNS = 10


@click.command(short_help="Encode and decode pictures or arrays, and score them.")
@sources.inputs
@click.option("--draw", is_flag=True, help="Decode a draw from q(z | x) instead of its mean.")
@noise.seeding
@output.columns
@output.writing(
    default="reconstructions.png",
    endings=(".png", ".npy", ".npz"),
    what="A picture with each input above its reconstruction, the items as .npy, or items and scores as .npz.",
)
@report.json_option
@connected
def reconstruct(
    client: Client,
    *,
    inputs: tuple[Path, ...],
    resize: bool,
    draw: bool,
    seed: int | None,
    first_row: int,
    columns: int | None,
    out: Output,
    as_json: bool,
) -> None:
    """Encode and decode pictures (files, folders) or arrays (.npy, .npz), and score them.

    A low percentile of the ELBO among held-out training rows marks an item unlike the training data.
    """
    pinned, model = pin(client)
    loaded = sources.load(inputs, model, resize=resize)
    items = loaded.items
    out.require_pictures(model, rows=len(items))
    paged = pages.ask(
        "reconstructing",
        len(items),
        model,
        lambda page: pinned.reconstruct(
            items[page.rows],
            latent="draw" if draw else "mean",
            seed=page.seed,
            first_row=page.first_row,
            encoding="uint8" if items.dtype == np.uint8 else "float32",
        ),
        seed=seed,
        first_row=first_row,
    )
    scores = {name: paged.joined(name) for name in SCORES}
    if out.is_picture:
        columns = columns or min(COLUMNS, len(items))
        out.write_picture(output.picture(items, model, under=paged.joined("items"), columns=columns))
    else:
        out.write_arrays({"items": paged.joined("items"), **scores})
    if not as_json:
        report.list_scores(loaded.names, scores, heads=("-log p(x|z)", "KL", "ELBO", "percentile"))
    report.done(paged, model, out, as_json=as_json, **report.score_facts(loaded.names, scores))
