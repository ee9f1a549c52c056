"""The metrics of a server and of a supervisor as a table in Markdown: name, type, labels, meaning."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric

from server.telemetry.metrics import Metrics
from server.telemetry.supervision import SupervisionMetrics


def markdown() -> str:
    """Our own metrics, in the order of the code, before those of the Prometheus client."""
    registries = (Metrics().registry, SupervisionMetrics(workers=2, ask=dict).own)
    rows = {name: row for registry in registries for name, row in _rows(registry)}
    theirs = [row for name, row in rows.items() if name.startswith(("process_", "python_"))]
    ours = [row for name, row in rows.items() if not name.startswith(("process_", "python_"))]
    return "\n".join(("| metric | type | labels | what |", "|---|---|---|---|", *ours, *theirs))


def _rows(registry: CollectorRegistry) -> Iterator[tuple[str, str]]:
    """(name as a scrape shows it, its row) of each metric."""
    labels = dict(_labels(registry))
    for metric in registry.collect():
        name = metric.name + "_total" * (metric.type == "counter")
        told = ", ".join(f"`{label}`" for label in labels.get(metric.name, ()))
        yield name, f"| `{name}` | {metric.type} | {told} | {metric.documentation} |"


def _labels(registry: CollectorRegistry) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The label names of each metric that has any: a registry collects none of a metric that counted nothing yet."""
    for collector in registry._collector_to_names:
        families = collector.collect() if not hasattr(collector, "_labelnames") else [collector]
        for family in families:
            if names := getattr(family, "_labelnames", ()):
                yield _name(family), tuple(names)


def _name(family: "Metric | object") -> str:
    return str(getattr(family, "name", None) or getattr(family, "_name", ""))
