"""`vaeserve bench`: load a server with calls, and report rates and latencies."""

import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from vaeserve.async_client import AsyncClient
from vaeserve.cli import output, report
from vaeserve.cli.connection import BadInput, Connection, connecting
from vaeserve.cli.output import Output
from vaeserve.results import ModelInfo
from vaeserve.tensors import Items

if TYPE_CHECKING:
    from vaeserve.load.caller import Load, Run

Ask: TypeAlias = Callable[[int], Awaitable[object]]

METHODS = ("sample", "encode", "reconstruct")
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999, "max": 1.0}
VARIED = 16  # different requests, sent in turn
BUSY = 0.9  # cores; if this program uses more, it may itself be the bottleneck


@click.command(short_help="How many calls a server answers, and how fast.")
@click.argument("methods", nargs=-1, type=click.Choice(METHODS), metavar="[sample|encode|reconstruct]...")
@click.option(
    "--callers", type=click.IntRange(1, 4096), default=8, show_default=True,
    help="Calls in flight: each caller sends its next call when the last is answered.",
)  # fmt: skip
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), metavar="R",
    help="Begin R calls a second, however slow the answers are; at most --callers in flight.",
)  # fmt: skip
@click.option("--rows", type=click.IntRange(min=1), default=1, show_default=True, help="Rows a call.")
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), default=5.0, show_default=True, help="Measured seconds."
)
@click.option("--warm-up", type=click.FloatRange(min=0), default=1.0, show_default=True, help="Seconds before that.")
@click.option("--channels", type=click.IntRange(1, 256), default=1, show_default=True, help="Connections.")
@output.writing(default="latency.png", endings=(".png",), what="A picture of the latency curve.")
@report.json_option
@connecting
def bench(
    connection: Connection,
    *,
    methods: tuple[str, ...],
    callers: int,
    rate: float | None,
    rows: int,
    seconds: float,
    warm_up: float,
    channels: int,
    out: Output,
    as_json: bool,
) -> None:
    """Load a server with calls, and report calls/s, rows/s and latencies.

    One run for each method, `sample` if none is named. With --rate, latency counts from the moment a call was due, so
    that a stall of the server shows in every call that it delays. Items to encode are samples of the model.
    """
    import asyncio  # imported late, like `load`: other commands need neither

    from vaeserve.load.caller import Load

    load = Load(callers=callers, rate=rate, seconds=seconds, warm_up=warm_up)
    model, runs = asyncio.run(_measure(connection, methods or METHODS[:1], load, rows=rows, channels=channels))
    _draw(runs, out, load, rows=rows, model=model)
    figures = {method: _figures(run, load, rows=rows) for method, run in runs.items()}
    if as_json:
        facts = [{"method": method, "rows": rows, **figures[method]} for method in runs]
        settings = {**dataclasses.asdict(load), "channels": channels, "loop": "closed" if rate is None else "open"}
        report.emit({"model": dataclasses.asdict(model.summary.model), **settings, "runs": facts, "out": str(out.path)})
    else:
        _show(figures, rows=rows)
        _remark(figures, runs)
        click.echo(f"{model.summary.model} -> {out.path}")
    if not all(run.tally.answered or run.tally.in_time for run in runs.values()):
        raise click.ClickException("not one call was answered")


async def _measure(
    connection: Connection, methods: tuple[str, ...], load: "Load", *, rows: int, channels: int
) -> tuple[ModelInfo, dict[str, "Run"]]:
    from vaeserve.load.caller import run

    async with connection.open(AsyncClient, channels=channels) as client:
        model = await client.get_model()
        if rows > model.max_request_rows:
            raise BadInput(f"--rows: {model.summary.model} takes 1..{model.max_request_rows} rows a call, got {rows}")
        pinned = client.using(model.summary.model.name, model.summary.model.version)
        items = (await pinned.sample(min(VARIED * rows, model.max_request_rows), seed=0)).items
        return model, {method: await run(_ask_for(pinned, method, items, rows=rows), load) for method in methods}


def _ask_for(client: AsyncClient, method: str, items: Items, *, rows: int) -> Ask:
    """A function that sends call number N: calls differ in their seed or their items."""
    places = max(1, len(items) // rows)

    def items_of(call: int) -> Items:
        first = call % places * rows
        return items[first : first + rows]

    asks: Mapping[str, Ask] = {
        "sample": lambda call: client.sample(rows, seed=call),
        "encode": lambda call: client.encode(items_of(call)),
        "reconstruct": lambda call: client.reconstruct(items_of(call)),
    }
    return asks[method]


def _figures(run: "Run", load: "Load", *, rows: int) -> dict[str, Any]:
    """The measured figures, for scripts; None where no call gives one."""
    tally = run.tally
    milliseconds = {name: _in_ms(tally.waits.quantile(fraction)) for name, fraction in QUANTILES.items()}
    return {
        "answered": tally.answered,
        "calls_per_second": round(tally.in_time / load.seconds, 1),
        "rows_per_second": round(tally.in_time * rows / load.seconds, 1),
        "latency_ms": {**milliseconds, "mean": _in_ms(tally.waits.mean)},
        "errors": {
            code: {"calls": calls, "message": tally.messages[code]} for code, calls in sorted(tally.errors.items())
        },
        "not_begun": tally.not_begun,
        "timer_lag_p99_ms": _in_ms(run.lag.quantile(0.99)),
        "client_cores": round(run.cpu, 2),
    }


def _show(figures: Mapping[str, Mapping[str, Any]], *, rows: int) -> None:
    report.table(
        ("method", "rows", "calls/s", "rows/s", *(f"{name} ms" for name in QUANTILES), "errors"),
        [
            (
                method,
                str(rows),
                f"{of['calls_per_second']:.1f}",
                f"{of['rows_per_second']:.1f}",
                *("-" if of["latency_ms"][name] is None else f"{of['latency_ms'][name]:.2f}" for name in QUANTILES),
                str(sum(error["calls"] for error in of["errors"].values())),
            )
            for method, of in figures.items()
        ],
    )


def _remark(figures: Mapping[str, Mapping[str, Any]], runs: Mapping[str, "Run"]) -> None:
    """Print what the table does not show."""
    for method, of in figures.items():
        for code, error in of["errors"].items():
            click.echo(f"{method}: {error['calls']} {code}, the first: {error['message']}")
        if of["not_begun"]:
            click.echo(
                f"{method}: {of['not_begun']} calls were due and not begun when time was up: the server or --callers "
                "cannot keep this rate. Their wait so far is counted."
            )
    if max(run.cpu for run in runs.values()) > BUSY:
        click.echo("This program kept a core busy: it may be what was measured. `make bench` has a faster generator.")


def _draw(runs: Mapping[str, "Run"], out: Output, load: "Load", *, rows: int, model: ModelInfo) -> None:
    from vaeserve.cli import curve

    loop = f"{load.callers} callers" if load.rate is None else f"{load.rate:g} calls/s due"
    title = f"{model.summary.model}: {loop}, {rows} row{'s' if rows > 1 else ''} a call"
    out.write_picture(curve.draw({method: run.tally.waits for method, run in runs.items()}, title=title))


def _in_ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
