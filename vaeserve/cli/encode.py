"""`vaeserve encode`: pictures or arrays become posteriors."""

from pathlib import Path

import click
import numpy as np

from vaeserve.cli import noise, output, pages, report, sources
from vaeserve.cli.connection import connected, pin
from vaeserve.cli.output import Output
from vaeserve.client import Client


@click.command(short_help="Encode pictures or arrays into posteriors.")
@sources.inputs
@click.option(
    "--draws", type=click.IntRange(0, 64), default=0, show_default=True, help="Latents to draw for each item."
)
@noise.seeding
@click.option("--kl", "want_kl", is_flag=True, help="Write KL(q(z | x) || p(z)) of each item too, in nats.")
@click.option("--expect-embedding-space", metavar="DIGEST", help="Refuse to encode into any other space.")
@output.writing(
    default="latents.npz",
    endings=(".npz", ".npy"),
    what="mean, log_var and what --draws and --kl add as .npz, or the mean alone as .npy.",
)
@report.json_option
@connected
def encode(
    client: Client,
    *,
    inputs: tuple[Path, ...],
    resize: bool,
    draws: int,
    seed: int | None,
    first_row: int,
    want_kl: bool,
    expect_embedding_space: str | None,
    out: Output,
    as_json: bool,
) -> None:
    """Encode pictures (files, folders) or arrays (.npy, .npz) into posteriors q(z | x)."""
    pinned, model = pin(client)
    items = sources.load(inputs, model, resize=resize).items
    paged = pages.ask(
        "encoding",
        len(items),
        model,
        lambda page: pinned.encode(
            items[page.rows],
            draws=draws,
            seed=page.seed,
            first_row=page.first_row,
            expect_embedding_space=expect_embedding_space,
            want_kl=want_kl,
        ),
        seed=seed,
        first_row=first_row,
    )
    names = ("mean", "log_var", *(("draws",) if draws else ()), *(("kl",) if want_kl else ()))
    arrays = {name: paged.joined(name) for name in names}
    out.write_arrays(arrays | {"embedding_space": np.asarray(model.embedding_space)})
    facts = {"kl": arrays["kl"].tolist()} if want_kl else {}
    report.done(paged, model, out, as_json=as_json, embedding_space=model.embedding_space, **facts)
