"""`vaeserve top`: a server's rates, queues and latencies, live, from its metrics."""

import contextlib
import dataclasses
import itertools
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from vaeserve.cli import report
from vaeserve.cli.connection import INTERRUPTED, BadInput

if TYPE_CHECKING:
    from vaeserve.watch.figures import Figures
    from vaeserve.watch.watching import Frame

TERMINATED = 143  # 128 + SIGTERM
METHOD_HEADS = ("method", "calls/s", "failed/s", "p50 ms", "p99 ms", "failures")
GRAPH_HEADS = (
    "model", "graph", "executors", "rows/s", "rows a batch", "waiting", "running",
    "queue p99 ms", "run p50 ms", "refused/s",
)  # fmt: skip


@click.command(short_help="What a server is doing, live.")
@click.option(
    "--metrics", "url", default="http://127.0.0.1:9464/metrics", show_default=True, metavar="URL",
    help="The server's metrics.",
)  # fmt: skip
@click.option(
    "--interval", type=click.FloatRange(min=0.1), default=2.0, show_default=True, metavar="SECONDS",
    help="Between two readings; rates and percentiles are of that time.",
)  # fmt: skip
@click.option("-n", "--frames", type=click.IntRange(min=1), metavar="N", help="Stop after N readings.")
@click.option(
    "--once",
    is_flag=True,
    help="One reading with rates, after one interval; exit 1 if there is none.",
)
@report.json_option
def top(*, url: str, interval: float, frames: int | None, once: bool, as_json: bool) -> None:
    """Show calls/s, rows/s, waiting rows and latencies of a server, from its Prometheus metrics, until Ctrl-C.

    Goes on while the server is unreachable, and says so. Without a terminal, readings are printed one below the other.
    """
    from vaeserve.watch import watching  # imported late, like rich below: other commands need neither

    if not url.startswith(("http://", "https://")):
        raise BadInput(f"--metrics must be an http:// or https:// address, got {url}")
    frames_seen = watching.watch(lambda: watching.fetch(url), interval=interval)
    try:
        if once:
            _show_one(next(itertools.islice(frames_seen, 1, None)), url, as_json=as_json)
            return
        with _display(url, as_json=as_json) as show:
            for frame in itertools.islice(frames_seen, frames):
                show(frame)
    except KeyboardInterrupt:
        click.get_current_context().exit(INTERRUPTED)


def _show_one(frame: "Frame", url: str, *, as_json: bool) -> None:
    if frame.figures is None:
        raise click.ClickException(f"{url}: {frame.problem}")
    if as_json:
        report.emit(_plain(frame, url))
    else:
        _print(frame, url)


@contextlib.contextmanager
def _display(url: str, *, as_json: bool) -> Iterator[Callable[["Frame"], None]]:
    """Yield a function that shows a frame: as JSON, on the whole terminal, or as plain text. Restores the terminal."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if as_json:
        yield lambda frame: report.emit(_plain(frame, url))
    elif not console.is_terminal or console.is_dumb_terminal:
        yield lambda frame: _print(frame, url)
    else:
        # SIGTERM would leave the alternate screen behind.
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
        try:
            with Live(console=console, screen=True, auto_refresh=False) as live:
                yield lambda frame: live.update(_screen(frame, url), refresh=True)
        finally:
            signal.signal(signal.SIGTERM, before)


def _screen(frame: "Frame", url: str):  # type: ignore[no-untyped-def]  # rich is imported late
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    def table(heads: tuple[str, ...], rows: list[tuple[str, ...]], *, words: int) -> Table:
        made = Table(box=None, pad_edge=False, header_style="bold")
        for place, head in enumerate(heads):
            made.add_column(head, justify="left" if place < words else "right")
        for row in rows:
            made.add_row(*row)
        return made

    head = Text(_head(frame, url), style="bold red" if frame.figures is None else "bold")
    if frame.figures is None:
        return head
    blank = Text()
    return Group(
        head,
        blank,
        table(METHOD_HEADS, _methods(frame.figures), words=1),
        blank,
        table(GRAPH_HEADS, _graphs(frame.figures), words=3),
    )


def _print(frame: "Frame", url: str) -> None:
    click.echo(_head(frame, url))
    if frame.figures is not None:
        report.table(METHOD_HEADS, _methods(frame.figures))
        report.table(GRAPH_HEADS, _graphs(frame.figures))
    click.echo()
    sys.stdout.flush()


def _plain(frame: "Frame", url: str) -> dict[str, object]:
    if frame.figures is None:
        return {"metrics": url, "problem": frame.problem, "away_seconds": round(frame.away_seconds, 1)}
    return {"metrics": url, **dataclasses.asdict(frame.figures)}


def _head(frame: "Frame", url: str) -> str:
    if frame.figures is None:
        return f"{url} is away for {frame.away_seconds:.0f} s: {frame.problem}; trying again"
    this = frame.figures
    facts = [url]
    if this.up_seconds is not None:
        facts.append(f"up {_duration(this.up_seconds)}")
    facts.append(f"{this.memory_bytes / 2**20:.0f} MiB")
    if this.cores_used is not None:
        facts.append(f"{this.cores_used:.2f} cores")
    facts += [f"{name} NOT READY" for name in this.not_ready]
    return ", ".join(facts)


def _methods(figures: "Figures") -> list[tuple[str, ...]]:
    return [
        (
            f"{of.service.rpartition('.')[2]}/{of.method}",
            _number(of.calls_per_second),
            _number(None if of.failed_per_second is None else sum(of.failed_per_second.values())),
            _ms(of.p50_seconds),
            _ms(of.p99_seconds),
            ", ".join(f"{code} {rate:.1f}/s" for code, rate in (of.failed_per_second or {}).items()),
        )
        for of in figures.methods
    ]


def _graphs(figures: "Figures") -> list[tuple[str, ...]]:
    return [
        (
            f"{of.model}/{of.version}",
            of.graph,
            "up" if of.up else "DOWN",
            _number(of.rows_per_second),
            _number(of.batch_rows),
            str(of.queue_rows),
            str(of.inflight_rows),
            _ms(of.queue_p99_seconds),
            _ms(of.run_p50_seconds),
            _number(of.refused_per_second),
        )
        for of in figures.graphs
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.2f}"


def _duration(seconds: float) -> str:
    minutes, _ = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{int(seconds)} s"
