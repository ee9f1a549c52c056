"""`vaeserve score`: estimate log p(x) of pictures or arrays."""

from pathlib import Path

import click
import numpy as np

from vaeserve.cli import noise, output, pages, report, sources
from vaeserve.cli.connection import connected, pin
from vaeserve.cli.output import Output
from vaeserve.client import Client

SCORES = ("log_evidence", "elbo", "elbo_percentile", "effective_samples")


@click.command(short_help="Estimate log p(x) of pictures or arrays.")
@sources.inputs
@click.option(
    "-k",
    "--importance-samples",
    type=click.IntRange(1, 10_000),
    default=64,
    show_default=True,
    help="Latents to draw for each item: more take longer and come closer to log p(x).",
)
@noise.seeding
@output.writing(
    default="scores.npz", endings=(".npz", ".npy"), what=f"{', '.join(SCORES)} as .npz, or the first alone as .npy."
)
@report.json_option
@connected
def score(
    client: Client,
    *,
    inputs: tuple[Path, ...],
    resize: bool,
    importance_samples: int,
    seed: int | None,
    first_row: int,
    out: Output,
    as_json: bool,
) -> None:
    """Estimate log p(x), in nats, of pictures (files, folders) or arrays (.npy, .npz) by importance sampling.

    A low percentile of the ELBO among held-out training rows marks an item unlike the training data.
    """
    pinned, model = pin(client)
    loaded = sources.load(inputs, model, resize=resize)
    items = loaded.items
    paged = pages.ask(
        "scoring",
        len(items),
        model,
        lambda page: pinned.score(
            items[page.rows],
            importance_samples=importance_samples,
            seed=page.seed,
            first_row=page.first_row,
        ),
        seed=seed,
        first_row=first_row,
        most_rows=min(pages.PAGE_ROWS, max(1, pages.PAGE_DECODES // importance_samples)),
    )
    scores = {name: paged.joined(name) for name in SCORES}
    out.write_arrays(scores)
    log_evidence = scores["log_evidence"].astype(np.float64)
    # The standard error of the mean over rows; a single row has none.
    error = float(log_evidence.std(ddof=1) / np.sqrt(len(items))) if len(items) > 1 else None
    if not as_json:
        report.list_scores(loaded.names, scores, heads=("log p(x)", "ELBO", "percentile", "effective samples"))
        spread = "" if error is None else f" ± {error:.2f} (standard error)"
        click.echo(f"mean log p(x) {log_evidence.mean():.2f}{spread} nats, {importance_samples} samples a row")
    facts = {"importance_samples": importance_samples, "mean": float(log_evidence.mean()), "standard_error": error}
    report.done(paged, model, out, as_json=as_json, **report.score_facts(loaded.names, scores), **facts)
