"""`vaeserve models`: the server's models as a table, or one in full."""

import dataclasses

import click

from vaeserve.cli import report
from vaeserve.cli.connection import connected
from vaeserve.client import Client
from vaeserve.results import ModelInfo, ModelSummary


@click.command(short_help="The server's models, or one in full.")
@click.option("--details", is_flag=True, help="One model in full: --model, or the default.")
@report.json_option
@connected
def models(client: Client, *, details: bool, as_json: bool) -> None:
    """List the server's models, or describe one (--details)."""
    if details:
        model = client.get_model()
        report.emit(dataclasses.asdict(model)) if as_json else _describe(model)
    else:
        summaries = client.list_models()
        report.emit([dataclasses.asdict(summary) for summary in summaries]) if as_json else _list(summaries)


def _list(summaries: tuple[ModelSummary, ...]) -> None:
    report.table(
        ("model", "version", "state", "default", "digest", "reason"),
        [
            (
                summary.model.name,
                summary.model.version,
                summary.state,
                "yes" if summary.is_default else "",
                summary.model.digest[:12],
                summary.reason,
            )
            for summary in summaries
        ],
    )


def _describe(model: ModelInfo) -> None:
    unbounded = model.value_min is None or model.value_max is None
    sigma = "" if model.sigma is None else f", sigma {model.sigma:g}"
    facts = {
        "model": f"{model.summary.model}, {model.summary.state}",
        "digest": model.summary.model.digest,
        "items": f"{' x '.join(map(str, model.item_shape))}, "
        + ("unbounded" if unbounded else f"{model.value_min:g} to {model.value_max:g}"),
        "latents": str(model.latent_size),
        "likelihood": model.likelihood + sigma,
        "prior": "learned" if model.learned_prior else "N(0, I)",
        "embedding space": model.embedding_space,
        "sampling version": str(model.sampling_version),
        "rows a request": f"{model.max_request_rows} at most",
        **{f"metric {name}": f"{value:g}" for name, value in sorted(model.metrics.items())},
        **{
            f"graph {name}": f"{graph.provider}, {graph.max_batch_rows} rows a batch, "
            f"{graph.executors} at a time"
            + (f" and {graph.helpers} more if full" if graph.helpers else "")
            + f", {graph.threads} threads each, {graph.source}"
            for name, graph in sorted(model.graphs.items())
        },
    }
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {value}")
