"""`vaeserve sample`: draw items, in pages or as one stream."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

import click

from vaeserve.cli import noise, output, pages, report
from vaeserve.cli.connection import BadInput, connected, pin
from vaeserve.cli.output import Output
from vaeserve.client import Client
from vaeserve.results import SampleChunk
from vaeserve.tensors import Items


@click.command(short_help="Draw items from a model.")
@click.option("-n", "--count", type=click.IntRange(min=1), default=64, show_default=True, help="How many items.")
@noise.seeding
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Below 1: less varied.")
@noise.draw
@click.option(
    "--stream",
    is_flag=True,
    help="As one stream, written to an .npy as it arrives: any number of rows, little memory.",
)
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
    stream: bool,
    columns: int | None,
    out: Output,
    as_json: bool,
) -> None:
    """Draw items from a model."""
    pinned, model = pin(client)
    if stream:
        if out.path.suffix.lower() != ".npy":
            raise BadInput(f"--stream writes items to an .npy, got --out {out.path}")
        chunks = pinned.sample_stream(
            count, seed=seed, first_row=first_row, temperature=temperature, output="draw" if draw else "mean"
        )
        streamed = _write(chunks, out, shape=(count, *model.item_shape))
        report.done(streamed, model, out, as_json=as_json, first_row=first_row)
        return
    out.require_pictures(model, rows=count)
    paged = pages.ask(
        "sampling",
        count,
        model,
        lambda page: pinned.sample(
            page.count,
            seed=page.seed,
            first_row=page.first_row,
            temperature=temperature,
            output="draw" if draw else "mean",
            encoding=out.encoding(model),
            want_latents=True,
        ),
        seed=seed,
        first_row=first_row,
    )
    out.write_items(paged.joined("items"), model, columns=columns, latents=paged.joined("latents"))
    report.done(paged, model, out, as_json=as_json, first_row=first_row)


@dataclass(frozen=True, slots=True)
class StreamResult:
    """The facts of a finished stream."""

    rows: int
    seconds: float
    seed: int


def _write(chunks: Generator[SampleChunk, None, None], out: Output, *, shape: tuple[int, ...]) -> StreamResult:
    """Write the items of a stream to a file as they arrive."""
    seeds: set[int] = set()
    started = time.perf_counter()
    with closing(chunks), pages.progress("sampling", shape[0], shown=True) as advance:

        def items() -> Iterator[Items]:
            for chunk in chunks:
                seeds.add(chunk.seed)
                yield chunk.items
                advance(len(chunk.items))

        out.write_rows(items(), shape=shape)
    (seed,) = seeds
    return StreamResult(shape[0], time.perf_counter() - started, seed)
